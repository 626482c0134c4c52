"""Which data to run on, and what stands for a run: a saved profile, given firing rates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from saformer.cli.options.groups import Options
from saformer.cli.options.panels import Panel
from saformer.errors import InputError

DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="Data set; see `saformer datasets`.", rich_help_panel=Panel.data),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where the data set lies. Default: ./data.", rich_help_panel=Panel.data
    ),
]
Split = Annotated[
    str, typer.Option("--split", metavar="NAME", help="Split of the data set.", rich_help_panel=Panel.data)
]
SplitBy = Annotated[
    str | None,
    typer.Option(
        "--split-by",
        metavar="number|time",
        help="Event frames: equally many events in each (default), or equal times.",
        rich_help_panel=Panel.data,
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        metavar="DIR",
        help="Where event frames are kept. Default: .saformer/ beside the data.",
        rich_help_panel=Panel.data,
    ),
]
Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE.npz",
        help="Array x, already normalised (B x C x H x W, or B x T x C x H x W events); labels y. A model of your "
        "own: an array per input.",
        rich_help_panel=Panel.data,
    ),
]
FromProfile = Annotated[
    Path | None,
    typer.Option(
        "--from-profile",
        metavar="FILE",
        help="Answer from a saved profile instead of a run.",
        rich_help_panel=Panel.data,
    ),
]
Rates = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        metavar="FILE.csv",
        help="Instead of data: columns layer (a path or glob) and input_firing_rate, mean_spikes, acs or sops.",
        rich_help_panel=Panel.data,
    ),
]
UniformRate = Annotated[
    float | None,
    typer.Option(
        "--uniform-rate",
        metavar="R",
        help="Instead of data: this firing rate for all inputs, or all that --rates leaves out.",
        rich_help_panel=Panel.data,
    ),
]


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Which data to run on."""

    dataset: DatasetName = None
    data_dir: DataDir = None
    split: Split = "test"
    input: Input = None
    split_by: SplitBy = None
    cache_dir: CacheDir = None

    def __post_init__(self) -> None:
        if self.input is not None and self.dataset is not None:
            raise InputError("give either --dataset or --input, not both")

    @property
    def named(self) -> bool:
        """The user said what to run on."""
        return self.dataset is not None or self.input is not None


@dataclass(frozen=True, kw_only=True)
class SavedOptions(Options):
    """An answer without a run: from a saved profile."""

    from_profile: FromProfile = None
    rates: Path | None = None
    uniform_rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class InsteadOptions(SavedOptions):
    """An answer without a run: from a saved profile, or from firing rates."""

    rates: Rates = None
    uniform_rate: UniformRate = None
