"""Numbers that papers published: those of the SAFormer paper as data frames, the energies of the field as records.

The files are in `published/`, with their sources.
"""

import csv
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from io import StringIO
from typing import TYPE_CHECKING

from saformer.errors import InputError

if TYPE_CHECKING:
    import pandas


def published_energy() -> "pandas.DataFrame":
    """Energy per image: `dataset`, `method`, `energy_mj`, `source`, `stated_reduction_percent`.

    Rows whose `source` is `implied` were solved from the stated reduction by Eq. 21.
    """
    return _read("published_energy.csv")


def published_accuracy() -> "pandas.DataFrame":
    """Tables 1 and 2: `table`, `method`, `architecture`, `dataset`, `time_steps`, `top1_percent`."""
    return _read("published_accuracy.csv").astype({"time_steps": "Int64"})


def published_ablation() -> "pandas.DataFrame":
    """Table 3: `model`, `dataset`, `top1_percent`."""
    return _read("published_ablation.csv")


def published_complexity() -> "pandas.DataFrame":
    """Tables 4 and 5: `table`, `attention`, `quantity`, `formula`, `source`, `stated`.

    A formula is text that sympy reads, in the symbols of `saformer.analysis.complexity.formulas`. All are `restored`.
    """
    return _read("published_complexity.csv")


@dataclass(frozen=True)
class Printed:
    """A number as it was printed: the text, its value, and half a unit of its last digit."""

    text: str
    value: float
    half: float


def printed(text: str) -> Printed:
    """A printed number from its digits.

    Raises:
        InputError: it is no positive decimal number.
    """
    digits = text.strip()
    whole, _, decimals = digits.partition(".")
    if not (whole + decimals).isdecimal() or not digits.isascii() or not float(digits):
        raise InputError(f"a printed energy is a positive number such as 21.477, got {text!r}")
    return Printed(digits, float(digits), 0.5 * 10.0 ** -len(decimals))


@dataclass(frozen=True)
class PublishedEnergy:
    """One energy in print, with what was printed beside it.

    Args:
        name: of the network, by which `saformer literature` finds it.
        system: what the source calls the method.
        size: and the network.
        dataset: of the rates.
        pixels: sides of an image; None where the source does not say.
        time_steps: T; None where the source does not say.
        parameters_m: in millions.
        gsops: billions of synaptic operations.
        gacs: billions of accumulates.
        gmacs: billions of multiply-accumulates.
        gflops: billions of dense operations.
        gops: billions of operations of any kind.
        energy: in millijoules.
        architecture: the network whose shapes it has, see `saformer.reports.results.architectures`; may be empty.
        charged: the convention of the source, see `saformer.reports.results.readings`.
        rates: the file of published rates; may be empty.
        source: where it was printed.
        read_in: how we read it: "itself", in a "translation", or "second hand".
    """

    name: str
    system: str
    size: str
    dataset: str
    pixels: int | None
    time_steps: int | None
    parameters_m: Printed | None
    gsops: Printed | None
    gacs: Printed | None
    gmacs: Printed | None
    gflops: Printed | None
    gops: Printed | None
    energy: Printed
    architecture: str
    charged: str
    rates: str
    source: str
    read_in: str

    @property
    def layered(self) -> bool:
        """The published rates are those of every layer."""
        return bool(self.rates) and "layer" in rates_columns(self.rates) and not self.partial

    @property
    def partial(self) -> bool:
        """The published rates are those of some layers, or of one image."""
        return bool(self.rates) and not {"input_firing_rate", "mean_spikes"} & set(rates_columns(self.rates))


def published_energies() -> list[PublishedEnergy]:
    """Every energy in print that is known here, in the order of the file."""
    return [_energy(row) for row in records("energies.csv")]


def _energy(row: dict[str, str]) -> PublishedEnergy:
    def whole(key: str) -> int | None:
        return int(row[key]) if row[key] else None

    def given(key: str) -> Printed | None:
        return printed(row[key]) if row[key] else None

    return PublishedEnergy(
        name=row["name"],
        system=row["system"],
        size=row["size"],
        dataset=row["dataset"],
        pixels=whole("pixels"),
        time_steps=whole("time_steps"),
        parameters_m=given("parameters_m"),
        gsops=given("gsops"),
        gacs=given("gacs"),
        gmacs=given("gmacs"),
        gflops=given("gflops"),
        gops=given("gops"),
        energy=printed(row["energy_mj"]),
        architecture=row["architecture"],
        charged=row["charged"],
        rates=row["rates"],
        source=row["source"],
        read_in=row["read_in"],
    )


def records(name: str) -> list[dict[str, str]]:
    """The rows of a published file."""
    return list(csv.DictReader(StringIO(published_file(name).read_text(encoding="utf-8"))))


def rates_columns(name: str) -> list[str]:
    """The columns of a published file."""
    return list(csv.DictReader(StringIO(published_file(name).read_text(encoding="utf-8"))).fieldnames or ())


def partial_rates(name: str) -> list[float]:
    """The rates in a published file that has them for some layers alone."""
    return sorted(float(value) for row in records(name) for key, value in row.items() if _is_rate(key) and value)


def _is_rate(column: str) -> bool:
    return column.endswith("_rate") or column.startswith("step_")


def published_file(name: str) -> Traversable:
    """A file of `published/`."""
    return resources.files("saformer.reports.results").joinpath("published", name)


def _read(name: str) -> "pandas.DataFrame":
    import pandas

    with published_file(name).open(encoding="utf-8") as file:
        return pandas.read_csv(file)
