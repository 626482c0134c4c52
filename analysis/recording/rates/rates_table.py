"""Published firing rates as a table: read from a CSV file, found by the names of layers."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from saformer.errors import InputError
from saformer.files import BY_HAND, read_text

_LONGEST = 1000  # characters of a layer's name
# Names that authors published rates under, and have since changed in their code.
_RENAMED = {
    "spikingformer": (
        (re.compile(r"^patch_embed\.proj_conv(\d)$"), r"patch_embed.proj\1_conv"),
        (re.compile(r"^patch_embed\.rpe_conv$"), "patch_embed.proj4_conv"),
        (re.compile(r"\.mlp\.fc(\d)_conv$"), r".mlp.mlp\1_conv"),
    )
}


class Quantity(StrEnum):
    """What a file of rates holds: of the input of a layer the share of nonzeros, or the mean of its integers; or the
    accumulates of a layer per image, biases left out.
    """

    rate = "input_firing_rate"
    mean = "mean_spikes"
    acs = "acs"
    sops = "sops"

    @property
    def of_operations(self) -> bool:
        """Only operations have it; the neurons that they read do not."""
        return self in (Quantity.acs, Quantity.sops)


@dataclass(frozen=True)
class Rates:
    """Layers, or patterns of layers, each with its number, and what the numbers are."""

    rows: tuple[tuple[str, float], ...]
    quantity: Quantity = Quantity.rate


def read_rates(path: str | Path) -> Rates:
    """Layers, or patterns of layers, with their input firing rates, mean spikes or accumulates, from a CSV file.

    The columns `layer` (a path, or a glob such as `block.*.attn.q_conv`) and one of `input_firing_rate` (0 to 1),
    `mean_spikes` (0 or more), `acs` and `sops` (per image) are read; others may stand beside them.

    Raises:
        InputError: the file cannot be read, lacks a column or has two of the four, is empty, names a layer twice, or
            holds something that is no such number.
    """
    rows: dict[str, float] = {}
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, "the rates", BY_HAND)))
        quantity = _quantity(reader.fieldnames or (), path)
        for row in reader:
            layer, text = ((row[column] or "").strip() for column in ("layer", quantity))
            where = f"rates {path}, line {reader.line_num}"
            if extra := row.get(None):
                raise InputError(f"{where}: {len(extra)} more fields than the first line names: quote the commas")
            if not layer:
                raise InputError(f"{where}: the layer has no name")
            if len(layer) > _LONGEST:  # a pattern of brackets takes a time that grows with the square of its length
                raise InputError(f"{where}: a layer's name of {len(layer):,} characters, and {_LONGEST:,} is the most")
            if layer in rows:
                raise InputError(f"{where}: layer {layer} has a rate already")
            rows[layer] = _number(text, quantity, where)
    except csv.Error as error:
        raise InputError(f"rates {path}: this is not a CSV file ({error})") from None
    if not rows:
        raise InputError(f"rates {path}: there is no layer in the file")
    return Rates(tuple(rows.items()), quantity)


def _quantity(columns: Sequence[str], path: str | Path) -> Quantity:
    found = [quantity for quantity in Quantity if quantity in columns]
    if "layer" not in columns:
        raise InputError(f"rates {path}: there is no column 'layer' in the first line")
    if not found:
        raise InputError(
            f"rates {path}: there is no column 'input_firing_rate' in the first line, nor mean_spikes, acs or sops"
        )
    if len(found) > 1:
        raise InputError(f"rates {path}: the columns {' and '.join(found)} say the same twice: leave one of them")
    return found[0]


def _number(text: str, quantity: Quantity, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if quantity is Quantity.rate and not 0 <= value <= 1:
        raise InputError(
            f"{where}: a firing rate is a number from 0 to 1, found {text!r}; a mean of integers goes into mean_spikes"
        )
    if not 0 <= value < float("inf"):
        raise InputError(f"{where}: {quantity} is a number of at least 0, found {text!r}")
    return value


def present_name(name: str, family: str) -> str:
    """What a layer is called now that authors published under another name."""
    for former, now in _RENAMED.get(family, ()):
        name = former.sub(now, name)
    return name


class RatesTable:
    """Rates by name: the name itself before a pattern, a later pattern before an earlier one; remembers what was used.

    `renamed` maps a layer's former names to the present ones.
    """

    def __init__(self, rates: Rates, family: str) -> None:
        self.quantity = rates.quantity
        self._given = dict(rates.rows)
        self._exact: dict[str, tuple[str, float]] = {}
        self._patterns: list[tuple[str, str, float]] = []
        for name, rate in rates.rows:
            present = present_name(name, family)
            if any(sign in name for sign in "*?["):
                self._patterns.append((name, present, rate))
            else:
                # The present name wins if a file has both.
                self._exact.setdefault(present, (name, rate))
                self._exact[name] = (name, rate)
        self._used: set[str] = set()

    def find(self, names: Sequence[str]) -> float | None:
        """The rate of what goes by any of these names, or None."""
        found = [self._exact[name] for name in names if name in self._exact]
        found += [
            (given, rate)
            for given, present, rate in reversed(self._patterns)
            if any(fnmatchcase(name, pattern) for name in names for pattern in (present, given))
        ]
        if not found:
            return None
        self._used.add(found[0][0])
        return found[0][1]

    @property
    def unused(self) -> list[str]:
        """Rows that no name matched."""
        return [name for name in self._given if name not in self._used]
