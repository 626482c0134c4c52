"""Families of models by name: `@register_model` in a model's own file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig
from saformer.registry import Registry

M = TypeVar("M", bound=type[Model])


@dataclass(frozen=True)
class Family:
    """A family of models, each of which is named NAME-DEPTH-DIM.

    Args:
        name: of the family.
        title: what tables call it.
        config: class of its settings.
        model: class of its networks.
        presets: settings of published networks that differ from the defaults, by NAME-DEPTH-DIM.
    """

    name: str
    title: str
    config: type[ModelConfig]
    model: type[Model]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


MODELS: Registry[Family] = Registry(
    "model family",
    builtin=(
        "saformer.models.saformer",
        "saformer.models.spikformer",
        "saformer.models.spikingformer",
        "saformer.models.sdt",
        "saformer.models.vit",
    ),
)


def register_model(
    name: str,
    *,
    title: str,
    config: type[ModelConfig] | None = None,
    presets: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[M], M]:
    """Register a family of models; decorates the class of its networks, which is called with its settings.

    Args:
        name: of the family; it becomes the `family` of the settings.
        title: what tables call it.
        config: class of the settings; None for those that all families have.
        presets: settings of published networks that differ from the defaults, by NAME-DEPTH-DIM.

    Raises:
        InputError: the name is not a word of small letters and digits, is that of another family, or `config` belongs
            to one.
    """
    if not (name.isascii() and name.isalnum() and name.islower() and name[0].isalpha()):
        raise InputError(f"a model family is named by small letters and digits, such as tiny; got {name!r}")
    if config is not None and vars(config).get("family", name) != name:
        raise InputError(f"{config.__name__} holds the settings of {config.family}: give {name!r} a class of its own")

    def register(model: M) -> M:
        settings: type[ModelConfig] = config or type(f"{model.__name__}Config", (ModelConfig,), {})
        MODELS.register(name, Family(name, title, settings, model, presets or {}), model)
        settings.family = name
        return model

    return register
