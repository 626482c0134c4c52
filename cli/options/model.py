"""Which model, and the settings that its file does not hold."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.models import OptionInfo

from saformer.cli.options.groups import Options, Panel
from saformer.errors import InputError

Checkpoint = Annotated[
    str | None,
    typer.Option("--ckpt", metavar="FILE", help="Checkpoint: ours, or a published one.", rich_help_panel=Panel.model),
]


def checkpoints(help: str) -> OptionInfo:
    """--ckpt where it may be repeated; `help` says what several of them are to the command."""
    return typer.Option("--ckpt", metavar="FILE", help=help, rich_help_panel=Panel.model)


Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Untrained: a preset or FAMILY-DEPTH-DIM. Your own: package.module:factory.",
        rich_help_panel=Panel.model,
    ),
]
# Where a model of the user's own has no place.
Untrained = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="Untrained: a preset or FAMILY-DEPTH-DIM.", rich_help_panel=Panel.model
    ),
]
ModelArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--model-arg",
        metavar="K=V",
        help="Argument of your own factory; repeat it. Text of digits in quotes: \"pool='1111'\".",
        rich_help_panel=Panel.model,
    ),
]
TimeFirst = Annotated[
    int | None,
    typer.Option(
        "--time-first",
        metavar="T",
        help="Your own model takes T x B x ...: the same as --time-axis 0 --time-steps T.",
        rich_help_panel=Panel.model,
    ),
]
TimeAxis = Annotated[
    int | None,
    typer.Option(
        "--time-axis",
        metavar="N",
        help="Your own model takes time as dimension N of its input: 0 first, 1 after the batch, -1 last.",
        rich_help_panel=Panel.model,
    ),
]
Loop = Annotated[
    int | None,
    typer.Option(
        "--loop",
        metavar="T",
        help="Your own model is one step: call it T times for each input, keep its state, average its outputs.",
        rich_help_panel=Panel.model,
    ),
]
NeuronModules = Annotated[
    list[str] | None,
    typer.Option(
        "--neurons",
        metavar="PATTERN",
        help="Modules that are neurons, such as '*.lif', whatever they put out; repeat it.",
        rich_help_panel=Panel.model,
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="[NAME=]C,H,W[:TYPE]",
        help="Random inputs of any shape for your own model; several by name: repeat it, such as ids=128:int64.",
        rich_help_panel=Panel.data,
    ),
]
InputType = Annotated[
    str | None,
    typer.Option(
        "--input-dtype",
        metavar="TYPE",
        help="Type of random inputs: float32 (default; follows --dtype), int64, int32 or bool.",
        rich_help_panel=Panel.data,
    ),
]
High = Annotated[
    int | None,
    typer.Option(
        "--high",
        metavar="N",
        help="Random whole numbers lie below N, such as a vocabulary's size. Default: 2.",
        rich_help_panel=Panel.data,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="K=V",
        help="A setting of one of our models, such as heads=8; repeat it. An unknown one lists all.",
        rich_help_panel=Panel.model,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="KEY",
        help="Which weights of the file, such as model_ema, if there are several.",
        rich_help_panel=Panel.model,
    ),
]
TimeSteps = Annotated[
    int | None,
    typer.Option(
        "--time-steps",
        "-T",
        metavar="T",
        help="Time steps, where neither the file nor the run shows them; of event data, frames.",
        rich_help_panel=Panel.model,
    ),
]
Heads = Annotated[
    int | None,
    typer.Option("--heads", metavar="H", help="Attention heads, if not stored.", rich_help_panel=Panel.model),
]
Pooling = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="DIGITS",
        help="Stages that pool, such as 0011, if not stored.",
        rich_help_panel=Panel.model,
    ),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        metavar="PIXELS",
        help="Image size, if not stored; of event frames.",
        rich_help_panel=Panel.model,
    ),
]
Aggregated = Annotated[
    int | None,
    typer.Option("--aggregated", "-n", metavar="n", help="SASA's aggregated tokens.", rich_help_panel=Panel.model),
]


# Settings that have an option of their own.
_NAMED = ("time_steps", "heads", "pooling", "image_size", "aggregated")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Which model, settings that its file does not hold, and how a model of the user's own takes its input."""

    checkpoint: Checkpoint = None
    model: Model = None
    arguments: ModelArguments = None
    input_shape: InputShape = None
    input_type: InputType = None
    high: High = None
    time_first: TimeFirst = None
    time_axis: TimeAxis = None
    loop: Loop = None
    neurons: NeuronModules = None
    weights: Weights = None
    time_steps: TimeSteps = None
    heads: Heads = None
    pooling: Pooling = None
    image_size: ImageSize = None
    aggregated: Aggregated = None
    settings: Settings = None

    def __post_init__(self) -> None:
        for option, value in (("--ckpt", self.checkpoint), ("--model", self.model)):
            if value is not None and not value.strip():
                raise InputError(f"{option} is empty: name a checkpoint file or a model, or leave the option out")
        if self.checkpoint is not None and not Path(self.checkpoint).exists():
            file, *pairs = re.split(r"\+(?=[A-Za-z_]\w*=)", self.checkpoint)  # FILE+KEY=VALUE, as names of models
            object.__setattr__(self, "checkpoint", file)
            object.__setattr__(self, "settings", [*pairs, *(self.settings or [])] or None)
        if self.checkpoint is not None and self.model is not None and not self.foreign:
            raise InputError("give either --ckpt or --model, not both: a checkpoint shows its own architecture")
        steps = (("--time-first", self.time_first), ("--time-steps", self.time_steps), ("--loop", self.loop))
        for option, count in steps if self.foreign else ():
            if count is not None and count < 1:
                raise InputError(f"{option} takes a number of time steps >= 1, got {count}")
        if self.time_first is not None and (
            self.time_axis is not None or self.time_steps not in (None, self.time_first)
        ):
            raise InputError("--time-first T is --time-axis 0 with --time-steps T: leave out the one or the other")
        if self.loop is not None and (self.steps or self.time_axis is not None):
            raise InputError("--loop T calls a model of one step T times: leave out what else says where time is")
        for pattern in self.neurons or []:
            if not pattern.strip() or pattern.startswith("-"):
                raise InputError(
                    f"--neurons takes a pattern of modules, such as '*.lif', got {pattern!r}; the table of spiking "
                    "layers is --spikes"
                )

    @property
    def foreign(self) -> bool:
        """The model is the user's own, package.module:factory."""
        return self.model is not None and ":" in self.model.partition("+")[0]  # a setting may have one, too

    @property
    def random(self) -> bool:
        """The user asked for random inputs."""
        return bool(self.input_shape or self.input_type) or self.high is not None

    @property
    def steps(self) -> int | None:
        """T, if the user said."""
        return self.time_first or self.time_steps

    @property
    def given(self) -> dict[str, Any]:
        """Settings that the user gave, by the names of the configuration.

        Raises:
            InputError: --set has another form, or repeats an option of its own.
        """
        from saformer.models.settings import parse_settings

        found = {name: getattr(self, name) for name in _NAMED if getattr(self, name) is not None}
        said = parse_settings(self.settings or [], "--set")
        if twice := sorted(found.keys() & said.keys()):
            raise InputError(f"--set {twice[0]} and --{twice[0].replace('_', '-')} say the same: leave out the one")
        return {**found, **said}

    def flag(self, setting: str) -> str:
        """How the user gave a setting, such as `--heads 8` or `--set heads=8`."""
        if setting in _NAMED and getattr(self, setting) is not None:
            return f"--{setting.replace('_', '-')} {getattr(self, setting)}"
        return f"--set {setting}={self.given[setting]}"
