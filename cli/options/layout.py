"""How a model of the user's own takes its input, and what it is run on where there is no data."""

from dataclasses import dataclass
from typing import Annotated

import typer

from saformer.cli.options.groups import Options
from saformer.cli.options.panels import Panel
from saformer.errors import InputError

ModelArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--model-arg",
        metavar="K=V",
        help="Argument of its factory; repeat it. Text of digits in quotes: \"pool='1111'\".",
        rich_help_panel=Panel.own,
    ),
]
TimeFirst = Annotated[
    int | None,
    typer.Option(
        "--time-first",
        metavar="T",
        help="It takes T x B x ...: the same as --time-axis 0 --time-steps T.",
        rich_help_panel=Panel.own,
    ),
]
TimeAxis = Annotated[
    int | None,
    typer.Option(
        "--time-axis",
        metavar="N",
        help="It takes time as dimension N of its input: 0 first, 1 after the batch, -1 last.",
        rich_help_panel=Panel.own,
    ),
]
Loop = Annotated[
    int | None,
    typer.Option(
        "--loop",
        metavar="T",
        help="It is one step: call it T times for each input, keep its state, average its outputs.",
        rich_help_panel=Panel.own,
    ),
]
NeuronModules = Annotated[
    list[str] | None,
    typer.Option(
        "--neurons",
        metavar="PATTERN",
        help="Modules that are neurons, such as '*.lif', whatever they put out; repeat it.",
        rich_help_panel=Panel.own,
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        metavar="[NAME=]C,H,W[:TYPE]",
        help="Random inputs of this shape, batch left out; several by name: repeat it, such as ids=128:int64.",
        rich_help_panel=Panel.own,
    ),
]
InputType = Annotated[
    str | None,
    typer.Option(
        "--input-dtype",
        metavar="TYPE",
        help="Type of random inputs: float32 (default; follows --dtype), int64, int32 or bool.",
        rich_help_panel=Panel.own,
    ),
]
High = Annotated[
    int | None,
    typer.Option(
        "--high",
        metavar="N",
        help="Random whole numbers lie below N, such as a vocabulary's size. Default: 2.",
        rich_help_panel=Panel.own,
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


#: Options of random inputs, which a model of the user's own takes, or one that reads tokens.
RANDOM_INPUTS = ("--input-shape", "--input-dtype", "--high")


@dataclass(frozen=True, kw_only=True)
class LayoutOptions(Options):
    """How models of the user's own take their input: the same for all those that a command names."""

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

    def __post_init__(self) -> None:
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
    def random(self) -> bool:
        """The user asked for random inputs."""
        return bool(self.input_shape or self.input_type) or self.high is not None

    @property
    def steps(self) -> int | None:
        """T, if the user said."""
        return self.time_first or self.time_steps

    def check_steps(self) -> None:
        """Raise InputError where a number of steps for a model of the user's own is none."""
        steps = (("--time-first", self.time_first), ("--time-steps", self.time_steps), ("--loop", self.loop))
        for option, count in steps:
            if count is not None and count < 1:
                raise InputError(f"{option} takes a number of time steps >= 1, got {count}")
