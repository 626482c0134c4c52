"""Which model, and the settings that its file does not hold."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from saformer.cli.options.layout import LayoutOptions
from saformer.cli.options.panels import Panel
from saformer.errors import InputError

NAMES = (
    "Checkpoint, digits/..., model name, package.module:factory, NIR graph or saved profile; LABEL=... names it in "
    "tables."
)

Network = Annotated[str | None, typer.Argument(metavar="[NETWORK]", help=NAMES)]
Networks = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LABEL=]A B ...", help=f"{NAMES} Settings: A+K=V. A layout of its own: A+--time-first=T."),
]
Checkpoint = Annotated[
    str | None,
    typer.Option("--ckpt", metavar="FILE", help="Checkpoint: ours, or a published one.", rich_help_panel=Panel.model),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option(
        "--ckpt", metavar="FILE", help="A checkpoint, as if it were named; repeat it.", rich_help_panel=Panel.model
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Untrained: a preset or FAMILY-DEPTH-DIM. Your own: package.module:factory.",
        rich_help_panel=Panel.model,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", metavar="NAME", help="A model, as if it were named; repeat it.", rich_help_panel=Panel.model
    ),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--from-profile",
        metavar="FILE",
        help="A saved profile, as if it were named; repeat it.",
        rich_help_panel=Panel.model,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label", metavar="TEXT", help="What the network is called in tables and figures.", rich_help_panel=Panel.model
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
class ModelOptions(LayoutOptions):
    """Which model, settings that its file does not hold, and how a model of the user's own takes its input.

    From the command line `resolve/source.py` makes a `Source` of them, whose options say what the network is, with
    `checkpoint` and `model` free of labels and settings.
    """

    network: Network = None
    checkpoint: Checkpoint = None
    model: Model = None
    label: Label = None
    heads: Heads = None
    pooling: Pooling = None
    image_size: ImageSize = None
    aggregated: Aggregated = None
    settings: Settings = None

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


@dataclass(frozen=True, kw_only=True)
class NetworksOptions(LayoutOptions):
    """Which networks: any number of any kind; settings of one of ours stand behind its name."""

    networks: Networks = None
    checkpoints: Checkpoints = None
    models: Models = None
    profiles: Profiles = None

    @property
    def named(self) -> bool:
        """The user named a network."""
        return bool(self.networks or self.checkpoints or self.models or self.profiles)
