"""Numbers that the SAFormer paper published, as data frames; files and source are in `published/`."""

from importlib import resources
from typing import TYPE_CHECKING

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


def _read(name: str) -> "pandas.DataFrame":
    import pandas

    with resources.files("saformer.reports.results").joinpath("published", name).open(encoding="utf-8") as file:
        return pandas.read_csv(file)
