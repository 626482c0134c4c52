"""How to run: on how many images, where, in which floating type."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.options.groups import Options
from saformer.cli.options.panels import Panel
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.accounting.energy import Choices


class Kind(StrEnum):
    """What an input is: a static image, which is repeated T times (Eq. 19), or events (Eq. 20)."""

    static = "static"
    events = "events"


class DType(StrEnum):
    """Floating types a model can be run in."""

    float32 = "float32"
    float64 = "float64"


Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        help="Images to draw at random; 0 for all. Default: 512 of a data set, all of --input.",
        rich_help_panel=Panel.data,
    ),
]
PrecisionTarget = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="PERCENT",
        help="Stop when the 95 % interval of the energy is within this, such as 1%.",
        rich_help_panel=Panel.data,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of everything random.", rich_help_panel=Panel.run)]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="B", help="Images per forward pass.", rich_help_panel=Panel.run),
]
FittingBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        metavar="B",
        help="Images per forward pass.",
        show_default="16; 64 of 256 or more up to 16 x 16 pixels",
        rich_help_panel=Panel.run,
    ),
]
FloatType = Annotated[DType, typer.Option("--dtype", help="Floating type.", rich_help_panel=Panel.run)]
InputKind = Annotated[
    Kind | None,
    typer.Option(
        "--kind",
        help="What the input is: a static image (Eq. 19) or events (Eq. 20).",
        show_default="as its values show",
        rich_help_panel=Panel.data,
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps, or auto.", rich_help_panel=Panel.run)
]


Fold = Annotated[
    bool,
    typer.Option(
        "--fold",
        help="Merge BatchNorms, and linear layers with nothing between, into one layer first.",
        rich_help_panel=Panel.run,
    ),
]


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How to run: where, in which floating type, on how many images; what is no option here is the command's to set."""

    limit: Limit = None
    batch_size: FittingBatchSize = None
    dtype: FloatType = DType.float32
    device: Device = "auto"
    seed: Seed = 0
    kind: InputKind = None
    fold: Fold = False
    precision: str | None = None
    graded: bool = False
    accounting: str = "paper"
    hardware: str = "45nm-fp32"
    choices: "Choices | None" = None

    def __post_init__(self) -> None:
        if self.precision is not None:
            self.target()  # complains of what is no share
            if self.limit is not None:
                raise InputError("--precision decides how many images are enough: leave out --limit")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"--batch-size must be at least 1, got {self.batch_size}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"--seed must lie between 0 and 2**63 - 1, got {self.seed}")
        if self.limit is not None and self.limit < 0:
            raise InputError(f"--limit must be at least 1, or 0 for all images, got {self.limit}")

    def target(self) -> float | None:
        """The relative half-width at which to stop, from text such as 1% or 0.01."""
        if self.precision is None:
            return None
        text = self.precision.strip()
        try:
            value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            value = 0.0
        if not 0 < value < 1:
            meant = f": for {text} per cent write {text}%" if 1 <= value < 100 and not text.endswith("%") else ""
            raise InputError(f"--precision takes a share such as 1% or 0.01, got {self.precision!r}{meant}")
        return value


@dataclass(frozen=True, kw_only=True)
class PreciseRunOptions(RunOptions):
    """How to run, until the answer is precise enough."""

    precision: PrecisionTarget = None
