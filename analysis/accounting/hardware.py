"""Hardware: what one operation costs, in picojoules, read from a TOML file."""

import reprlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from saformer.errors import InputError
from saformer.files import BY_HAND, read_text
from saformer.text import nearest
from saformer.toml import parse_toml

DEFAULT_HARDWARE = "45nm-fp32"
_ENERGIES = ("mac", "ac", "multiply")
_ATTEMPTS = 40  # parses of a faulty file, to name a line of it; one that is written as usual takes a dozen
_MOST = 1e15  # picojoules: a kilojoule for one operation is a slip of the pen


@dataclass(frozen=True)
class Hardware:
    """Energy per operation in picojoules, with the source of the numbers.

    Args:
        name: what `--hardware` calls it.
        title: what it is.
        source: where the numbers were published.
        leaves_out: what they do not include.
        mac_pj: one multiply-accumulate; None if the hardware has none, or none is published.
        ac_pj: one accumulate; on a neuromorphic chip, one synaptic operation.
        multiply_pj: one multiplication alone, if known.
        technology: the process, such as "28 nm"; empty if unknown.
        alternatives: other values that were published for the same hardware.
    """

    name: str
    title: str
    source: str
    leaves_out: str
    mac_pj: float | None
    ac_pj: float
    multiply_pj: float | None = None
    technology: str = ""
    alternatives: tuple[str, ...] = ()


def hardware_names() -> list[str]:
    """Names of the hardware tables that ship with the package."""
    folder = resources.files("saformer.analysis.accounting").joinpath("hardware_tables")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_hardware(name: str | Path = DEFAULT_HARDWARE) -> Hardware:
    """Read a shipped hardware table by its name, or a TOML file by its path.

    Raises:
        InputError: the name is unknown, or the file lacks a key or holds a wrong value or an unknown key; the
            message names the key and the line.
    """
    shipped = resources.files("saformer.analysis.accounting").joinpath("hardware_tables", f"{name}.toml")
    try:
        is_shipped = shipped.is_file()
    except (OSError, ValueError):  # the name is too long for a file, or has a NUL character
        is_shipped = False
    if is_shipped:
        text = shipped.read_text(encoding="utf-8")
    elif str(name).endswith(".toml"):
        text = read_text(name, "the hardware file", BY_HAND)
    else:
        raise InputError(
            f"unknown hardware {str(name)!r}{nearest(str(name), hardware_names())}: choose one of "
            f"{', '.join(hardware_names())} or give a .toml file"
        )
    try:
        table = parse_toml(text)
    except (ValueError, RecursionError) as error:  # TOML's own error; a number of 5000 digits; 5000 brackets
        raise InputError(f"hardware file {name} is not valid TOML: {error}") from None

    def fault(problem: str, *path: str) -> InputError:
        line = _line_of(text, *path)
        return InputError(f"hardware file {name}{f', line {line}' if line else ''}: {problem}")

    energies = table.get("energy_pj")
    if "energy_pj" not in table:
        raise fault("section [energy_pj] is missing")
    if not isinstance(energies, dict):
        raise fault(f"[energy_pj] must be a section, found {energies!r}", "energy_pj")
    for key in energies:
        if key not in _ENERGIES:
            raise fault(f"unknown key energy_pj.{key}: use {', '.join(_ENERGIES)}", "energy_pj", key)
    for key in _ENERGIES:
        if key in table:
            raise fault(f"{key} must stand in the section [energy_pj]", key)
    if "ac" not in energies:
        raise fault("energy_pj.ac is missing: the picojoules of one accumulate", "energy_pj")

    def energy(key: str) -> float | None:
        value = energies.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
            problem = f"energy_pj.{key} must be a number of picojoules from 0 to {_MOST:g}, found {reprlib.repr(value)}"
            raise fault(problem, "energy_pj", key)
        return float(value)

    def text_of(key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise fault(f"{key} must be text, found {value!r}", key)
        return value

    alternatives = table.get("alternatives", [])
    if not isinstance(alternatives, list) or not all(isinstance(entry, str) for entry in alternatives):
        raise fault(f"alternatives must be a list of texts, found {alternatives!r}", "alternatives")
    return Hardware(
        name=text_of("name") or Path(name).stem,
        title=text_of("title"),
        source=text_of("source"),
        leaves_out=text_of("leaves_out"),
        mac_pj=energy("mac"),
        ac_pj=energy("ac") or 0.0,
        multiply_pj=energy("multiply"),
        technology=text_of("technology"),
        alternatives=tuple(alternatives),
    )


def _line_of(text: str, *path: str) -> int | None:
    """The line on which the key or section at `path` starts; None if the text has none.

    Found by parsing beginnings of the text, of half the lines first: any way of writing a key (dotted, quoted, inline)
    is read as TOML reads it. A value over several lines starts after the longest beginning that parses without it.
    None, too, where the values are so long that this would take more than a moment.
    """
    lines = text.split("\n")
    left = _ATTEMPTS

    def holds(count: int) -> bool | None:
        """Whether these lines have the key; None where they end within a value."""
        nonlocal left
        left -= 1
        try:
            found: object = parse_toml("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            return None
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found is not None

    without, with_it = 0, len(lines)  # the longest beginning known to lack the key, and the shortest to have it
    while with_it - without > 1 and left:
        middle = (without + with_it) // 2
        found = None
        for end in range(middle, with_it):
            if left and (found := holds(end)) is not None:
                break
        if found is None:
            # From the middle on no beginning parses but those that have the key: it stands before, or there.
            for end in range(middle - 1, without, -1):
                if left and (found := holds(end)) is not None:
                    break
            if found is None:
                break
        if found:
            with_it = end
        else:
            without = end
    return without + 1 if left and holds(with_it) else None
