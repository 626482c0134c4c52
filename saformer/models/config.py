"""What every model here shares: its settings and how its input is laid out in time."""

import functools
import math
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.recognition import Published
from saformer.models.settings import setting_text

if TYPE_CHECKING:
    from saformer.checkpoints.origin import Origin


# Far beyond use, and beyond any memory; near 2^63 PyTorch fails with many lines.
MOST = 10**12
# What no weights speak against, since none depend on it: time steps, and values of one input.
_MOST_STEPS, _MOST_VALUES = 2**16, 2**26

#: Settings of networks that read images which say what goes in and comes out, and how often.
INPUT_SETTINGS = ("num_classes", "in_channels", "image_size", "time_steps")


@dataclass(frozen=True, kw_only=True)
class BaseConfig(ABC):
    """Settings common to all families; `family` and `presets` are set by `register_model`.

    Args:
        num_classes: outputs of the head.
        time_steps: T.
    """

    family: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    #: Settings that say what goes in and comes out, and how often: a network keeps its name at any of them.
    input_settings: ClassVar[tuple[str, ...]] = ("num_classes", "time_steps")

    #: Why it has not a setting that other families have, by its name, for messages.
    without: ClassVar[Mapping[str, str]] = {"attention": "it has no attention that another could replace"}

    num_classes: int = 10
    time_steps: int = 4

    def __post_init__(self) -> None:
        for key, hint in self.types().items():
            value = getattr(self, key)
            if hint in (bool, bool | None) and not isinstance(value, bool) and (value is not None or hint is bool):
                raise InputError(f"{self.family}: {key} must be true or false, got {value!r}")
        self.check_whole("time_steps", most=_MOST_STEPS)
        self.check_whole(*self.input_settings)
        if math.prod(self.sample_shape) > _MOST_VALUES:
            raise InputError(f"{self.family}: an input of {self.input_size} has more than {_MOST_VALUES:,} values")
        if not self.spiking and self.input_kind == "static":
            object.__setattr__(self, "time_steps", 1)  # repeating an image would multiply its operations for nothing

    def check_whole(self, *names: str, most: int = MOST) -> None:
        """Raise InputError unless the settings of these names are whole numbers from 1 to `most`."""
        for key in names:
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InputError(f"{self.family}: {key} must be a whole number from 1 to {most:,}, got {value!r}")

    def check_whole_each(self, name: str, count: int | None = None) -> None:
        """Raise InputError unless the setting of this name has whole numbers from 1: so many, or at least one."""
        values = getattr(self, name)
        whole = isinstance(values, tuple) and all(type(v) is int and 1 <= v <= MOST for v in values)
        if not whole or not values or count not in (None, len(values)):
            wanted = "whole numbers" if count is None else f"{count} whole numbers"
            raise InputError(f"{self.family}: {name} takes {wanted} from 1 with commas between, got {values!r}")

    def check_one_of(self, name: str, known: typing.Iterable[str]) -> None:
        """Raise InputError unless the setting of this name is one of some words."""
        if getattr(self, name) not in (words := tuple(known)):
            raise InputError(f"{self.family}: {name} must be one of {', '.join(words)}, got {getattr(self, name)!r}")

    def check_number(self, name: str, above: float) -> None:
        """Raise InputError unless the setting of this name is a finite number above another."""
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not above < value < float("inf"):
            raise InputError(f"{self.family}: {name} must be a number > {above:g}, got {value!r}")

    def check_share(self, *names: str) -> None:
        """Raise InputError unless the settings of these names are numbers from 0 to less than 1."""
        for key in names:
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise InputError(f"{self.family}: {key} must be a number from 0 to less than 1, got {value!r}")

    @classmethod
    @functools.cache
    def types(cls) -> dict[str, Any]:
        """Type of each setting, by name."""
        hints = typing.get_type_hints(cls)
        return {field.name: hints[field.name] for field in fields(cls)}

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with those that follow from others; a family adds its own."""
        return dict(settings)

    @property
    def name(self) -> str:
        """The nearest preset or FAMILY-DEPTH-DIM, with the settings that differ: NAME+KEY=VALUE.

        The input settings do not count, but between presets that differ in them alone.
        """
        mine, plain = asdict(self), self.input_settings
        size: dict[str, Any] = {key: mine[key] for key in ("depth", "dim") if key in mine}
        sized = "-".join(map(str, (self.family, *size.values())))
        candidates: dict[str, Mapping[str, Any]] = {**({sized: size} if len(size) == 2 else {}), **self.presets}

        def differing(settings: Mapping[str, Any]) -> dict[str, Any]:
            theirs = asdict(type(self)(**self.completed(settings)))
            return {key: value for key, value in mine.items() if theirs[key] != value}

        apart = {name: differing(settings) for name, settings in candidates.items()}
        if not apart:
            return self.family
        best = min(
            apart, key=lambda name: (len(apart[name].keys() - {*plain}), name not in self.presets, len(apart[name]))
        )
        return "+".join([best, *(f"{k}={setting_text(v)}" for k, v in apart[best].items() if k not in plain)])

    def preset_apart_from(self, *names: str) -> str | None:
        """The preset that differs from these settings at most in some, of those whose name does not say all sizes.

        Args:
            names: settings that do not count.
        """
        mine = asdict(self)
        for preset, settings in self.presets.items():
            if settings.keys() >= {"depth", "dim"}:
                theirs = asdict(type(self)(**self.completed(settings)))
                if all(theirs[key] == value for key, value in mine.items() if key not in names):
                    return preset
        return None

    @property
    def spiking(self) -> bool:
        """Whether the network has neurons in time; one without runs once per image, and its T is 1."""
        return True

    @property
    def tokens(self) -> int | None:
        """N, the number of tokens; None for networks that have none, or several numbers of them."""
        return None

    @property
    @abstractmethod
    def input_kind(self) -> str:
        """What the network takes: "static" images, "events" (frames of them), or "tokens"."""

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of an image, of one frame of events, or of a sequence of tokens."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: that of `sample_shape`, or T frames of it."""
        return (self.time_steps, *self.sample_shape) if self.input_kind == "events" else self.sample_shape

    @property
    def input_size(self) -> str:
        """`sample_shape` as tables write it, such as 3 x 32 x 32."""
        return " x ".join(map(str, self.sample_shape)) + (" tokens" if self.input_kind == "tokens" else "")

    def to_dict(self) -> dict[str, Any]:
        """All settings with the family, as stored in a checkpoint."""
        return {"family": self.family, **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class ModelConfig(BaseConfig):
    """Settings common to the families that read images or event frames.

    Args:
        in_channels: 1 or 3 for images, 2 for event frames.
        image_size: height and width of the input in pixels.
    """

    input_settings: ClassVar[tuple[str, ...]] = INPUT_SETTINGS

    in_channels: int = 3
    image_size: int = 32

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with those that follow from others; a family adds its own."""
        return {"image_size": 128 if settings.get("in_channels") == 2 else 32, **settings}

    @property
    def input_kind(self) -> str:
        """ "events" for two-channel input (polarities), else "static"."""
        return "events" if self.in_channels == 2 else "static"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """C x H x W."""
        return (self.in_channels, self.image_size, self.image_size)


@dataclass(frozen=True, kw_only=True)
class TokenConfig(BaseConfig):
    """Settings common to language models, whose time is the sequence: a step reads a token.

    Args:
        num_classes: size of the vocabulary.
        time_steps: T, tokens in a sequence.
    """

    @property
    def input_kind(self) -> str:
        """ "tokens"."""
        return "tokens"

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Tokens of a sequence."""
        return (self.time_steps,)


class Model(nn.Module):
    """A network built or loaded here: it knows its settings and, if it was loaded, where it came from.

    `folded`: layers were merged (`saformer.fold`), so that it has others than its settings say.
    """

    config: BaseConfig
    origin: "Origin | None" = None
    folded: bool = False

    def __init__(self, config: BaseConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """The settings of a published checkpoint of this family, None for a checkpoint that is not of it.

        Exactly one family may claim a checkpoint, so what is looked at must tell it from all others.

        Args:
            weights: parameter name -> tensor, prefixes stripped.
            stored: settings that the file holds beside the weights (`args` of the training script).

        Raises:
            InputError: it is of this family, and something is missing.
        """
        return None


def in_time(x: Tensor, config: BaseConfig) -> Tensor:
    """Lay the input out by time: images are repeated T times, event frames are transposed.

    Args:
        x: B x C x H x W images, or B x T x C x H x W event frames.
        config: the model's settings.

    Returns:
        T x B x C x H x W.

    Raises:
        InputError: rank, channels, size or number of frames differ from the settings.
    """
    expected = config.sample_shape
    if x.ndim not in (4, 5) or tuple(x.shape[-3:]) != expected:
        image = " x ".join(map(str, expected))
        raise InputError(
            f"{config.name} takes B x {image} images or B x T x {image} frames, got {' x '.join(map(str, x.shape))}"
        )
    if x.ndim == 4:
        return x.expand(config.time_steps, *x.shape)
    frames = x.shape[1]
    if frames != config.time_steps:
        raise InputError(
            f"{config.name} is set to {config.time_steps} time steps, the events have {frames} frames: "
            f"set time steps to {frames}"
        )
    return x.transpose(0, 1)


def example_input(model: Model, random: bool = False) -> Tensor:
    """An image, its event frames or a sequence as one of our own models takes it: of zeros, or random (seed 0)."""
    shape, generator = (1, *model.config.input_shape), torch.Generator().manual_seed(0)
    if model.config.input_kind == "tokens":
        return torch.randint(0, model.config.num_classes if random else 1, shape, generator=generator)
    return torch.randn(shape, generator=generator) if random else torch.zeros(shape)


def initialise(model: nn.Module) -> None:
    """Weights of linear layers from a truncated normal of width 0.02 as in the published code, zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
