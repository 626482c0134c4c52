"""Hardware: what one operation costs, in picojoules, read from a TOML file."""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from saformer.errors import InputError

DEFAULT_HARDWARE = "45nm-fp32"


@dataclass(frozen=True)
class Hardware:
    """Energy per operation in picojoules, with the source of the numbers."""

    name: str
    title: str
    source: str
    leaves_out: str
    mac_pj: float
    ac_pj: float
    multiply_pj: float | None = None


def hardware_names() -> list[str]:
    """Names of the hardware tables that ship with the package."""
    folder = resources.files("saformer.analysis").joinpath("hardware_tables")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_hardware(name: str | Path = DEFAULT_HARDWARE) -> Hardware:
    """Read a shipped hardware table by its name, or a TOML file by its path.

    Raises:
        InputError: the name is unknown, or the file lacks a key or holds a wrong value.
    """
    shipped = resources.files("saformer.analysis").joinpath("hardware_tables", f"{name}.toml")
    try:
        if shipped.is_file():
            text = shipped.read_text(encoding="utf-8")
        elif str(name).endswith(".toml"):
            text = Path(name).read_text(encoding="utf-8")
        else:
            raise InputError(
                f"unknown hardware {str(name)!r}: choose one of {', '.join(hardware_names())} or give a .toml file"
            )
        table = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the hardware file {name}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"hardware file {name} is not valid TOML: {error}") from None
    energies = table.get("energy_pj")
    if not isinstance(energies, dict):
        raise InputError(f"hardware file {name}: section [energy_pj] is missing")

    def energy(key: str) -> float:
        value = energies.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise InputError(
                f"hardware file {name}: energy_pj.{key} must be a number of picojoules >= 0, found {value!r}"
            )
        return float(value)

    def text_of(key: str) -> str:
        value = table.get(key, "")
        if not isinstance(value, str):
            raise InputError(f"hardware file {name}: {key} must be text, found {value!r}")
        return value

    return Hardware(
        name=text_of("name") or Path(name).stem,
        title=text_of("title"),
        source=text_of("source"),
        leaves_out=text_of("leaves_out"),
        mac_pj=energy("mac"),
        ac_pj=energy("ac"),
        multiply_pj=energy("multiply") if "multiply" in energies else None,
    )
