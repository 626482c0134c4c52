"""Families of models by name: `@register_model` in a model's own file."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from saformer.errors import InputError
from saformer.models.config import BaseConfig, Model
from saformer.models.transformer_config import TransformerConfig
from saformer.registry import Registry

M = TypeVar("M", bound=type[Model])


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        name: of the family.
        title: what tables call it.
        config: class of its settings.
        model: class of its networks.
        presets: settings of published networks that differ from the defaults, by the network's name.
    """

    name: str
    title: str
    config: type[BaseConfig]
    model: type[Model]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def sized(self) -> bool:
        """Whether a name FAMILY-DEPTH-DIM says a network of it."""
        return {"depth", "dim"} <= {entry.name for entry in fields(self.config)}


MODELS: Registry[Family] = Registry(
    "model family",
    builtin=(
        "saformer.models.transformers.saformer",
        "saformer.models.transformers.spikformer",
        "saformer.models.transformers.spikingformer",
        "saformer.models.transformers.sdt",
        "saformer.models.transformers.metaspikeformer",
        "saformer.models.transformers.espikeformer",
        "saformer.models.transformers.espikeformer_large",
        "saformer.models.transformers.spikingresformer",
        "saformer.models.transformers.affspikformer",
        "saformer.models.transformers.dista",
        "saformer.models.transformers.qkformer",
        "saformer.models.transformers.maxformer",
        "saformer.models.transformers.spikegpt",
        "saformer.models.transformers.stsa",
        "saformer.models.transformers.spikeformer",
        "saformer.models.transformers.mst",
        "saformer.models.transformers.vit",
        "saformer.models.convolutional.vgg",
        "saformer.models.convolutional.tcja",
        "saformer.models.convolutional.ta_snn",
        "saformer.models.convolutional.decolle",
        "saformer.models.convolutional.conv_snn",
        "saformer.models.convolutional.resnet",
        "saformer.models.convolutional.ms_resnet",
        "saformer.models.convolutional.sew_resnet",
        "saformer.models.convolutional.sew_7b",
        "saformer.models.convolutional.preact_resnet",
        "saformer.models.convolutional.diet_resnet",
    ),
)


def register_model(
    name: str,
    *,
    title: str,
    config: type[BaseConfig] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[M], M]:
    """Register a family of models; decorates the class of its networks, which is called with its settings.

    Args:
        name: of the family; it becomes the `family` of the settings.
        title: what tables call it.
        config: class of the settings; None for those of a transformer (`TransformerConfig`).
        presets: settings of published networks that differ from the defaults, by the network's name: small letters,
            digits, "-" and ".". Where the settings have `depth` and `dim`, a name FAMILY-DEPTH-DIM says both.

    Raises:
        InputError: the name is not a word of small letters and digits, is that of another family, `config` belongs
            to one, or a preset has a bad name or that of another family's.
    """
    if not (name.isascii() and name.isalnum() and name.islower() and name[0].isalpha()):
        raise InputError(f"a model family is named by small letters and digits, such as tiny; got {name!r}")
    if config is not None and vars(config).get("family", name) != name:
        raise InputError(f"{config.__name__} holds the settings of {config.family}: give {name!r} a class of its own")

    for preset in presets or {}:
        if re.fullmatch(r"[a-z0-9]+([-.][a-z0-9]+)*", preset) is None:
            raise InputError(f"a network is named by small letters, digits, '-' and '.', not {preset!r}")
        if others := [f.name for f in MODELS.entered().values() if f.name != name and preset in f.presets]:
            raise InputError(f"the network {preset!r} is of the family {others[0]} already: give it another name")

    def register(model: M) -> M:
        settings: type[BaseConfig] = config or type(f"{model.__name__}Config", (TransformerConfig,), {})
        MODELS.register(name, Family(name, title, settings, model, presets or {}), model)
        settings.family, settings.presets = name, presets or {}
        return model

    return register
