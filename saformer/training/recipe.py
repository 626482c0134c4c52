"""Recipes: how a network is trained on a data set, read from the TOML files beside this module."""

import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from typing import Any

import torch

from saformer.data import DATASETS
from saformer.errors import InputError
from saformer.models import configure
from saformer.models.config import ModelConfig


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained; the same recipe gives the same weights on the same machine.

    Args:
        model: a preset or FAMILY-DEPTH-DIM, such as "saformer-2-64".
        dataset: name of a data set in `saformer.data.DATASETS`; classes, channels and image size follow from it.
        epochs: passes over the training set.
        batch_size: images per step.
        learning_rate: of AdamW, at its peak.
        weight_decay: of AdamW; biases and BatchNorm are left out, as in the published code.
        warmup_epochs: the learning rate rises linearly for so long, then falls along a cosine to zero.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        time_steps: T.
        shift: images are moved by up to so many pixels each way, black coming in at the edges; 4 is the random
            crop with a padding of 4 that is usual for CIFAR.
        flip: half of the images, by chance, are mirrored left to right.
        autocast: "off", or the type that matrix products and convolutions are computed in while training, "bf16" or
            "fp16" (on a CPU with AVX-512 BF16, bf16 halves the time). The weights stay float32, and tests run in it.
        seed: of the first weights, the order of the images and their augmentation.
        settings: further settings of the model, such as heads or aggregated.

    Raises:
        InputError: a value that cannot be used.
    """

    model: str
    dataset: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_epochs: int
    label_smoothing: float
    time_steps: int
    shift: int
    flip: bool
    autocast: str = "off"
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, (kind, accepts, wanted) in _RULES.items():
            value = getattr(self, key)
            # True is a whole number to Python, and no number of epochs to anybody else.
            if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind) or not accepts(value):
                raise InputError(f"{key} must be {wanted}, got {value!r}")

    def model_config(self) -> ModelConfig:
        """Settings of the model, with the classes, channels and image size of the data set.

        Raises:
            InputError: unknown model or setting, or a value that does not fit.
        """
        info = DATASETS[self.dataset]
        derived: dict[str, Any] = {
            "num_classes": info.classes,
            "in_channels": info.shape[0],
            "image_size": info.shape[1],
            "time_steps": self.time_steps,
        }
        if fixed := sorted(derived.keys() & self.settings.keys()):
            raise InputError(f"{fixed[0]} follows from the recipe and the data set: leave it out of the settings")
        return configure(self.model, **derived, **self.settings)

    def to_dict(self) -> dict[str, Any]:
        """Every field, as stored in a checkpoint."""
        return asdict(self)


def _at_least(least: int) -> tuple[Any, Callable[[Any], bool], str]:
    return int, lambda value: value >= least, f"a whole number >= {least}"


#: `Recipe.autocast` -> the type to compute in.
AUTOCAST: dict[str, torch.dtype | None] = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}

# field -> (type, test, what it must be)
_RULES: dict[str, tuple[Any, Callable[[Any], bool], str]] = {
    "model": (str, lambda _: True, "the name of a model"),
    "dataset": (str, lambda value: value in DATASETS, f"one of {', '.join(DATASETS)}"),
    "epochs": _at_least(1),
    "batch_size": _at_least(1),
    # Far beyond use; beyond 1e6 the optimiser's own arithmetic may leave the range of floats.
    "learning_rate": (int | float, lambda value: 0 < value <= 1e6, "a number > 0 and at most 1e6"),
    "weight_decay": (int | float, lambda value: 0 <= value <= 1e6, "a number from 0 to 1e6"),
    "warmup_epochs": _at_least(0),
    "label_smoothing": (int | float, lambda value: 0 <= value < 1, "a number from 0 to below 1"),
    "time_steps": _at_least(1),
    "shift": _at_least(0),
    "flip": (bool, lambda _: True, "true or false"),
    "autocast": (str, lambda value: value in AUTOCAST, f"one of {', '.join(AUTOCAST)}"),
    "seed": (int, lambda value: 0 <= value < 2**63, "a whole number from 0 to below 2^63"),
    "settings": (dict, lambda _: True, "a table of settings of the model"),
}


def load_recipe(dataset: str, **overrides: Any) -> Recipe:
    """The shipped recipe of a data set, with some of its values replaced.

    Args:
        dataset: name of a data set in `saformer.data.DATASETS`.
        **overrides: fields of `Recipe`; None leaves the recipe's own value.

    Raises:
        InputError: there is no recipe for the data set, no such field, or a value cannot be used.
    """
    file = resources.files("saformer.training").joinpath("recipes", f"{dataset}.toml")
    if dataset not in DATASETS or not file.is_file():
        raise InputError(f"there is no recipe for data set {dataset!r}: choose one of {', '.join(DATASETS)}")
    values = tomllib.loads(file.read_text(encoding="utf-8"))
    values.update({key: value for key, value in overrides.items() if value is not None})
    known = [entry.name for entry in fields(Recipe) if entry.name != "dataset"]
    if unknown := sorted(values.keys() - set(known)):
        raise InputError(f"a recipe has no key {unknown[0]!r}; it has {', '.join(known)}")
    return Recipe(dataset=dataset, **values)
