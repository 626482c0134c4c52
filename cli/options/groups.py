"""Options that mean the same in every command, each declared once, and the groups in which commands take them.

A command names a group as a parameter, and `app.py` opens it into the options of its fields:

    def energy(model: opt.ModelOptions, data: opt.DataOptions, run: opt.RunOptions, format: opt.Format = None) -> None:
        profile = profile_for(model, data, run)
        ...
        emit(report, format)
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_origin

import typer

from saformer.errors import InputError
from saformer.reports.document.blocks import Format as TableFormat

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
# Where a model of the user's own has no place.
Untrained = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Untrained: a preset or FAMILY-DEPTH-DIM.", rich_help_panel=_MODEL),
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
Format = Annotated[
    TableFormat | None,
    typer.Option(
        "--format", help="How tables are written.", show_default="rich, for terminals", rich_help_panel=_OUTPUT
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write everything as JSON; - for standard output.", rich_help_panel=_OUTPUT
    ),
]
Csv = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write plain rows as CSV; - for standard output.",
        rich_help_panel=_OUTPUT,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE.{png,pdf,svg}", help="Draw what the table shows.", rich_help_panel=_OUTPUT),
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


def file_of(hardware: str) -> str | None:
    """The file that --hardware names, if it names one: a word such as `all` is no file, whatever lies in the folder."""
    return hardware if hardware.endswith(".toml") else None


# --- groups ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Options:
    """A group of options; fields that are annotated with an option become one on the command line.

    Args:
        flags: the options of the group that stand on the command line, such as `--limit`.
    """

    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Which model, settings that its file does not hold, and how a model of the user's own takes its input."""

    checkpoint: Checkpoint = None
    model: Model = None
    arguments: ModelArguments = None
    input_shape: InputShape = None
    time_first: TimeFirst = None
    weights: Weights = None
    time_steps: TimeSteps = None
    heads: Heads = None
    pooling: Pooling = None
    image_size: ImageSize = None
    aggregated: Aggregated = None

    def __post_init__(self) -> None:
        for option, value in (("--ckpt", self.checkpoint), ("--model", self.model)):
            if value is not None and not value.strip():
                raise InputError(f"{option} is empty: name a checkpoint file or a model, or leave the option out")
        if self.checkpoint is not None and self.model is not None and not self.foreign:
            raise InputError("give either --ckpt or --model, not both: a checkpoint shows its own architecture")
        if self.time_first is not None and self.time_first < 1:
            raise InputError(f"--time-first takes a number of time steps >= 1, got {self.time_first}")

    @property
    def foreign(self) -> bool:
        """The model is the user's own, package.module:factory."""
        return self.model is not None and ":" in self.model

    @property
    def given(self) -> dict[str, Any]:
        """Settings that the user gave, by the names of the configuration."""
        names = ("time_steps", "heads", "pooling", "image_size", "aggregated")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


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
class RunOptions(Options):
    """How to run: where, in which floating type, on how many images; what is no option here is the command's to set."""

    limit: Limit = None
    batch_size: BatchSize = 16
    dtype: Precision = DType.float32
    device: Device = "auto"
    seed: Seed = 0
    precision: str | None = None
    graded: bool = False
    time_first: int | None = None
    accounting: str = "paper"
    hardware: str = "45nm-fp32"

    def __post_init__(self) -> None:
        if self.precision is not None:
            self.target()  # complains of what is no share
            if self.limit is not None:
                raise InputError("--precision decides how many images are enough: leave out --limit")
        if self.batch_size < 1:
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


def opened(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each group among its parameters opened into the options of its fields, as typer wants it."""
    parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    groups: dict[str, tuple[type[Options], list[str]]] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        group = parameter.annotation
        if not (isinstance(group, type) and issubclass(group, Options)):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        options = [f for f in fields(group) if get_origin(f.type) is Annotated]
        groups[name] = (group, [option.name for option in options])
        parameters += [
            inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.type)
            for o in options
        ]

    @functools.wraps(command)
    def run(context: typer.Context, **values: Any) -> None:
        spelled = {p.name: max(p.opts, key=len) for p in context.command.params}
        for name, (group, names) in groups.items():
            flags = tuple(spelled[n] for n in names if _stands_there(context, n))
            values[name] = group(flags=flags, **{n: values.pop(n) for n in names})
        command(**values)

    del run.__wrapped__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _stands_there(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
