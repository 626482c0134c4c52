"""Recipes: how a network is trained on a data set, read from the TOML files beside this module. Needs no torch."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.data.registry import DATASETS
from saformer.errors import InputError
from saformer.files import BY_HAND, read_text
from saformer.text import nearest
from saformer.toml import parse_toml

if TYPE_CHECKING:
    from saformer.models.config import BaseConfig

#: Types to compute in: none, or bfloat16 or float16 where PyTorch's autocast holds them to be safe.
AUTOCAST = ("off", "bf16", "fp16")


def _field(
    kind: Any, accepts: Callable[[Any], bool], wanted: str, group: str, metavar: str, text: str, default: Any
) -> Any:
    """A field that knows what it accepts and how to explain itself; the options of `saformer train` are made of it."""
    known = {"kind": kind, "accepts": accepts, "wanted": wanted, "group": group, "metavar": metavar, "help": text}
    if callable(default):
        return field(default_factory=default, metadata=known)
    return field(default=default, metadata=known)


def whole(least: int, group: str, metavar: str, text: str, default: Any = MISSING) -> Any:
    """A field that holds a whole number from `least`, and none that no computer can count to."""
    wanted = f"a whole number from {least} to 1e9"
    return _field(int, lambda value: least <= value <= 1e9, wanted, group, metavar, text, default)


def real(
    accepts: Callable[[Any], bool], wanted: str, group: str, metavar: str, text: str, default: Any = MISSING
) -> Any:
    """A field that holds a number; `accepts` must refuse NaN and infinity."""
    return _field(int | float, accepts, wanted, group, metavar, text, default)


def switch(group: str, text: str, default: Any = MISSING) -> Any:
    """A field that is true or false."""
    return _field(bool, lambda _: True, "true or false", group, "", text, default)


def choice(values: tuple[str, ...], group: str, metavar: str, text: str, default: Any = MISSING) -> Any:
    """A field that holds one of a few words."""
    wanted = f"one of {', '.join(values)}"
    return _field(str, lambda value: value in values, wanted, group, metavar, f"{text} ({', '.join(values)})", default)


_MODEL, _SCHEDULE, _AUGMENTATION, _COMPUTATION = "Model", "Schedule", "Augmentation", "Computation"


def _up_to(most: float, metavar: str, text: str) -> Any:
    """An augmentation that is off at 0."""
    return real(lambda value: 0 <= value <= most, f"a number from 0 to {most:g}", _AUGMENTATION, metavar, text, 0.0)


# Far beyond use; beyond 1e6 the optimiser's own arithmetic may leave the range of floats.
_LARGEST = 1e6


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained; the same recipe gives the same weights on the same machine.

    Each field says what it means in its metadata (`saformer train --help` shows it). A field without a default must
    stand in every recipe; a new field needs a default under which recipes that were stored before it mean the same.

    Raises:
        InputError: a value that cannot be used.
    """

    model: str = _field(
        str, lambda _: True, "the name of a model", _MODEL, "NAME", "Preset or FAMILY-DEPTH-DIM.", MISSING
    )
    dataset: str = _field(
        str, lambda _: True, "the name of a data set", "Data", "NAME", "Data set; see `saformer datasets`.", MISSING
    )
    epochs: int = whole(1, _SCHEDULE, "N", "Passes over the training set.")
    batch_size: int = whole(1, _SCHEDULE, "B", "Images per step, over all processes.")
    learning_rate: float = real(
        lambda value: 0 < value <= _LARGEST, "a number > 0 and at most 1e6", _SCHEDULE, "LR", "AdamW's, at its peak."
    )
    weight_decay: float = real(
        lambda value: 0 <= value <= _LARGEST,
        "a number from 0 to 1e6",
        _SCHEDULE,
        "DECAY",
        "AdamW's; biases and BatchNorm are left out.",
    )
    warmup_epochs: int = whole(
        0, _SCHEDULE, "N", "The learning rate rises linearly for so long, then falls along a cosine."
    )
    label_smoothing: float = real(
        lambda value: 0 <= value < 1,
        "a number from 0 to below 1",
        _SCHEDULE,
        "SHARE",
        "Share of the target spread over all classes.",
    )
    time_steps: int = whole(
        1, _MODEL, "T", "Time steps; of event data also the frames, of text the length of a sequence."
    )
    split_by: str = choice(
        ("number", "time"), "Data", "WAY", "Event frames hold equally many events, or span equal times.", "number"
    )
    shift: int = whole(
        0, _AUGMENTATION, "PIXELS", "Move each image by up to so many pixels; 4 is the usual crop of CIFAR.", 0
    )
    flip: bool = switch(_AUGMENTATION, "Mirror half of the images, by chance.", False)
    randaugment: int = whole(
        0, _AUGMENTATION, "0..10", "Magnitude of RandAugment, one operation on half of the images; 0: off.", 0
    )
    erasing: float = _up_to(1, "SHARE", "Share of images in which a random rectangle is erased.")
    mixup: float = _up_to(1000, "ALPHA", "Blend images with others, by a weight from Beta(ALPHA, ALPHA); 0: off.")
    mixup_off_epoch: int = whole(
        0, _AUGMENTATION, "N", "Blend images in the first N epochs only; 0: in all of them.", 0
    )
    event_flip: bool = switch(_AUGMENTATION, "Mirror half of the event samples.", False)
    event_roll: int = whole(0, _AUGMENTATION, "PIXELS", "Roll event frames by up to so many pixels.", 0)
    event_rotation: float = _up_to(180, "DEGREES", "Turn event frames by up to so many degrees.")
    event_shear: float = _up_to(80, "DEGREES", "Shear event frames by up to so many degrees.")
    event_cutout: int = whole(0, _AUGMENTATION, "PIXELS", "Empty a square of up to so many pixels in event frames.", 0)
    min_learning_rate: float = real(
        lambda value: 0 <= value <= _LARGEST, "a number from 0 to 1e6", _SCHEDULE, "LR", "Where the cosine ends.", 0.0
    )
    accumulate: int = whole(
        1, _SCHEDULE, "PARTS", "Cut each batch into so many parts, for memory; BatchNorm sees a part.", 1
    )
    clip_gradient: float = real(
        lambda value: 0 <= value <= _LARGEST,
        "a number from 0 to 1e6",
        _SCHEDULE,
        "NORM",
        "Scale longer gradients down to this norm; 0: never.",
        0.0,
    )
    ema: float = real(
        lambda value: 0 <= value < 1,
        "a number from 0 to below 1",
        _SCHEDULE,
        "DECAY",
        "Test and keep a running mean of the weights, such as 0.9998; 0: the weights themselves.",
        0.0,
    )
    autocast: str = choice(
        AUTOCAST, _COMPUTATION, "TYPE", "Compute products and convolutions in this type; weights stay float32.", "off"
    )
    compile: bool = switch(_COMPUTATION, "Compile the network with torch.compile.", False)
    channels_last: bool = switch(_COMPUTATION, "Lay images out with channels last.", False)
    seed: int = _field(
        int,
        lambda value: 0 <= value < 2**63,
        "a whole number from 0 to below 2^63",
        _COMPUTATION,
        "N",
        "Of the first weights, the order of the images and their augmentation.",
        0,
    )
    settings: dict[str, Any] = _field(  # noqa: RUF009
        dict,
        lambda value: all(isinstance(part, str | int | float) for entry in value.values() for part in _parts(entry)),
        "a table of settings of the model: texts, numbers, true or false, or lists of them",
        _MODEL,
        "K=V",
        "Setting of the model; repeat it.",
        dict,
    )

    def __post_init__(self) -> None:
        for entry in fields(self):
            kind, accepts = entry.metadata["kind"], entry.metadata["accepts"]
            value = getattr(self, entry.name)
            # True is a whole number to Python, and no number of epochs to anybody else.
            if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind) or not accepts(value):
                raise InputError(f"{entry.name} must be {entry.metadata['wanted']}, got {value!r}")
        DATASETS.find(self.dataset)
        if self.min_learning_rate > self.learning_rate:
            raise InputError(
                f"min_learning_rate {self.min_learning_rate:g} is above the peak, learning_rate {self.learning_rate:g}"
            )
        if self.accumulate > self.batch_size:
            raise InputError(f"accumulate {self.accumulate} is more parts than a batch of {self.batch_size} has images")

    def model_config(self) -> "BaseConfig":
        """Settings of the model, with the classes, channels and image size of the data set.

        Raises:
            InputError: unknown model or setting, or a value that does not fit.
        """
        from saformer.models import TokenConfig, configure_for
        from saformer.models.names import parse_name

        info = DATASETS[self.dataset]
        derived: dict[str, Any] = {"num_classes": info.classes, "time_steps": self.time_steps}
        if info.kind != "tokens":
            derived |= {"in_channels": info.shape[0], "image_size": info.shape[1]}
        elif not issubclass(parse_name(self.model)[0].config, TokenConfig):
            raise InputError(
                f"{self.model} reads images, and {self.dataset} holds tokens: choose a language model, such as "
                "spikegpt-12-512"
            )
        # A size that is given as the data has it changes a network that was published for another.
        if fixed := sorted(key for key in derived.keys() & self.settings.keys() if self.settings[key] != derived[key]):
            raise InputError(
                f"{fixed[0]} follows from the recipe and the data set, where it is {derived[fixed[0]]}: "
                "leave it out of the settings"
            )
        return configure_for(self.model, derived, **self.settings)

    def to_dict(self) -> dict[str, Any]:
        """Every field, as stored in a checkpoint."""
        return asdict(self)

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Recipe":
        """The recipe among what a checkpoint stores about its training; a field it does not know has its default.

        Raises:
            InputError: a field that has no default is missing, or a value cannot be used.
        """
        return _make({entry.name: stored[entry.name] for entry in fields(cls) if entry.name in stored})

    def to_toml(self) -> str:
        """As a TOML file that `load_recipe` reads back, each value with its meaning."""
        lines = ["# The resolved recipe of a run: `saformer train --recipe FILE` follows it again.", ""]
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not isinstance(value, dict):
                lines.append(f"{entry.name} = {_toml(value)}  # {entry.metadata['help']}")
        if self.settings:
            lines += ["", "[settings]", *(f"{key} = {_toml(value)}" for key, value in self.settings.items())]
        return "\n".join(lines) + "\n"

    def differences(self, other: "Recipe") -> list[tuple[str, Any, Any]]:
        """Fields that differ, each with its value here and in `other`."""
        mine, others = self.to_dict(), other.to_dict()
        return [(key, value, others[key]) for key, value in mine.items() if value != others[key]]


def _parts(setting: Any) -> tuple[Any, ...]:
    return setting if isinstance(setting, tuple) else (setting,)


def _toml(value: Any) -> str:
    # What JSON writes for these types is TOML as well, but for numbers that are not finite.
    return json.dumps(value, ensure_ascii=False)


def _make(values: dict[str, Any]) -> Recipe:
    known = [entry.name for entry in fields(Recipe)]
    if unknown := sorted(values.keys() - set(known)):
        raise InputError(f"a recipe has no key {unknown[0]!r}; it has {', '.join(known)}")
    for entry in fields(Recipe):
        if entry.name not in values and entry.default is MISSING and entry.default_factory is MISSING:
            raise InputError(f"the recipe does not say {entry.name}: {entry.metadata['help']}")
    if isinstance(settings := values.get("settings"), dict):  # TOML has no tuples
        made = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        values = {**values, "settings": made}
    return Recipe(**values)


def recipe_names() -> list[str]:
    """Data sets that have a shipped recipe, in the order of `DATASETS`."""
    folder = resources.files("saformer.training").joinpath("recipes")
    return [name for name in DATASETS if folder.joinpath(f"{name}.toml").is_file()]


def load_recipe(dataset: str | None = None, file: str | Path | None = None, **overrides: Any) -> Recipe:
    """A recipe from a file or, without one, the shipped recipe of a data set, with some of its values replaced.

    Args:
        dataset: name of a data set in `saformer.data.DATASETS`; may be left out where the file says it.
        file: a TOML file with fields of `Recipe`, such as the `recipe.toml` of a run.
        **overrides: fields of `Recipe`; None leaves the recipe's own value.

    Raises:
        InputError: there is no recipe for the data set, the file cannot be read, there is no such field, or a value
            cannot be used.
    """
    given = {key: value for key, value in {"dataset": dataset, **overrides}.items() if value is not None}
    if file is not None:
        return _read(Path(file), given)
    shipped = recipe_names()
    if dataset not in shipped:
        close = nearest(str(dataset), shipped)
        raise InputError(f"there is no recipe for data set {dataset!r}{close}: choose one of {', '.join(shipped)}")
    text = resources.files("saformer.training").joinpath("recipes", f"{dataset}.toml").read_text(encoding="utf-8")
    return _make({**parse_toml(text), **given})


def _read(path: Path, given: dict[str, Any]) -> Recipe:
    try:
        stored = parse_toml(read_text(path, "the recipe", BY_HAND))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:  # TOML's own error; a number of 5000 digits; 5000 brackets
        raise InputError(f"the recipe {path} is not a TOML file: {' '.join(str(error).split())}") from None
    try:
        return _make({**stored, **given})
    except InputError as error:
        raise InputError(f"recipe {path}: {error}") from None
