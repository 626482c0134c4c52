"""Options that mean the same in every command."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_MODEL, _DATA, _RUN, _ENERGY, _OUTPUT = "Model", "Data", "Run", "Energy", "Output"


class DType(StrEnum):
    """Floating types a model can be run in."""

    float32 = "float32"
    float64 = "float64"


class Graded(StrEnum):
    """How an integer input of 2, 3, ... is charged where an accounting counts events."""

    mac = "mac"
    unroll = "unroll"


class FirstLayer(StrEnum):
    """How often the first layer of a static image is charged."""

    repeat = "repeat"
    once = "once"


Checkpoint = Annotated[
    str | None,
    typer.Option("--ckpt", metavar="FILE", help="Checkpoint: ours, or a published one.", rich_help_panel=_MODEL),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Untrained: a preset or FAMILY-DEPTH-DIM. Your own: package.module:factory.",
        rich_help_panel=_MODEL,
    ),
]
ModelArguments = Annotated[
    list[str] | None,
    typer.Option("--model-arg", metavar="K=V", help="Argument of your own factory; repeat it.", rich_help_panel=_MODEL),
]
TimeFirst = Annotated[
    int | None,
    typer.Option(
        "--time-first",
        metavar="T",
        help="Your own model takes T x B x ...: repeat images so.",
        rich_help_panel=_MODEL,
    ),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", metavar="C,H,W", help="Random inputs for your own model.", rich_help_panel=_DATA),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="KEY",
        help="Which weights of the file, such as model_ema, if there are several.",
        rich_help_panel=_MODEL,
    ),
]
TimeSteps = Annotated[
    int | None,
    typer.Option(
        "--time-steps", "-T", metavar="T", help="Time steps, if not stored; event frames.", rich_help_panel=_MODEL
    ),
]
Heads = Annotated[
    int | None, typer.Option("--heads", metavar="H", help="Attention heads, if not stored.", rich_help_panel=_MODEL)
]
Pooling = Annotated[
    str | None,
    typer.Option(
        "--pooling", metavar="DIGITS", help="Stages that pool, such as 0011, if not stored.", rich_help_panel=_MODEL
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size", metavar="PIXELS", help="Image size, if not stored; of event frames.", rich_help_panel=_MODEL
    ),
]
Aggregated = Annotated[
    int | None,
    typer.Option("--aggregated", "-n", metavar="n", help="SASA's aggregated tokens.", rich_help_panel=_MODEL),
]
DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAME", help="Data set; see `saformer datasets`.", rich_help_panel=_DATA),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where the data set lies. Default: ./data", rich_help_panel=_DATA),
]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the data set.", rich_help_panel=_DATA)]
SplitBy = Annotated[
    str | None,
    typer.Option(
        "--split-by",
        metavar="number|time",
        help="Event frames: equally many events in each (default), or equal times.",
        rich_help_panel=_DATA,
    ),
]
CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        metavar="DIR",
        help="Where event frames are kept. Default: .saformer/ beside the data",
        rich_help_panel=_DATA,
    ),
]
Input = Annotated[
    Path | None,
    typer.Option(
        "--input",
        metavar="FILE.npz",
        help="Array x, already normalised (B x C x H x W, or B x T x C x H x W events); labels y.",
        rich_help_panel=_DATA,
    ),
]
Rates = Annotated[
    Path | None,
    typer.Option(
        "--rates",
        metavar="FILE.csv",
        help="Instead of data: columns layer (a path or glob) and input_firing_rate.",
        rich_help_panel=_DATA,
    ),
]
UniformRate = Annotated[
    float | None,
    typer.Option(
        "--uniform-rate",
        metavar="R",
        help="Instead of data: this firing rate for all inputs, or all that --rates leaves out.",
        rich_help_panel=_DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        help="Images to draw at random; 0 for all. Default: 512 of a data set, all of --input.",
        rich_help_panel=_DATA,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of everything random.", rich_help_panel=_RUN)]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="B", help="Images per forward pass.", rich_help_panel=_RUN)
]
Precision = Annotated[DType, typer.Option("--dtype", help="Floating type.", rich_help_panel=_RUN)]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps, or auto.", rich_help_panel=_RUN)
]
AccountingName = Annotated[
    str,
    typer.Option("--accounting", metavar="NAME", help="How operations are charged.", rich_help_panel=_ENERGY),
]
AccountingOrAll = Annotated[
    str,
    typer.Option(
        "--accounting",
        metavar="NAME|all",
        help="How operations are charged, or all side by side.",
        rich_help_panel=_ENERGY,
    ),
]
HardwareName = Annotated[
    str,
    typer.Option("--hardware", metavar="NAME|FILE.toml", help="Picojoules per operation.", rich_help_panel=_ENERGY),
]
HardwareOrAll = Annotated[
    str,
    typer.Option(
        "--hardware",
        metavar="NAME|FILE.toml|all",
        help="Picojoules per operation; see `saformer hardware`. all: a row for each.",
        rich_help_panel=_ENERGY,
    ),
]
FirstLayerCharge = Annotated[
    FirstLayer,
    typer.Option(
        "--first-layer", help="Charge the first layer of a static image at each step, or once.", rich_help_panel=_ENERGY
    ),
]
GradedSpikes = Annotated[
    Graded,
    typer.Option("--graded", help="An integer input of k: one MAC, or k ACs.", rich_help_panel=_ENERGY),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="lemaire",
        help="Add what memory costs, after Lemaire et al. 2022, with its assumptions.",
        rich_help_panel=_ENERGY,
    ),
]
PrecisionTarget = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="PERCENT",
        help="Stop when the 95 % interval of the energy is within this, such as 1%.",
        rich_help_panel=_DATA,
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write everything as JSON; - for standard output.", rich_help_panel=_OUTPUT
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write one row per operation as CSV.", rich_help_panel=_OUTPUT),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot", metavar="FILE.{png,pdf,svg}", help="Draw energy and firing rate per layer.", rich_help_panel=_OUTPUT
    ),
]
SaveProfile = Annotated[
    Path | None,
    typer.Option(
        "--save-profile",
        metavar="FILE",
        help="Keep the recorded integers for later questions.",
        rich_help_panel=_OUTPUT,
    ),
]
FromProfile = Annotated[
    Path | None,
    typer.Option(
        "--from-profile", metavar="FILE", help="Answer from a saved profile instead of a run.", rich_help_panel=_DATA
    ),
]
Top = Annotated[int, typer.Option("--top", metavar="N", help="Rows to show; 0 for all.", rich_help_panel=_OUTPUT)]
Layers = Annotated[bool, typer.Option("--layers", help="Open every block to its operations.", rich_help_panel=_OUTPUT)]
Neurons = Annotated[
    bool, typer.Option("--neurons", help="Add a table of spiking layers, step by step.", rich_help_panel=_OUTPUT)
]
