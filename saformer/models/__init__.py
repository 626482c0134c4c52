"""Models by name: `build("saformer-4-384")`."""

from collections.abc import Mapping
from typing import Any

from saformer.errors import InputError
from saformer.models.config import BaseConfig, Model, ModelConfig, TokenConfig, in_time
from saformer.models.names import FAMILIES, PRESETS, parse_name
from saformer.models.registry import MODELS, register_model
from saformer.models.settings import typed
from saformer.models.transformer_config import AttentiveConfig, TransformerConfig
from saformer.steps import per_step


def configure(name: str, **settings: Any) -> BaseConfig:
    """Settings of the model `name`: that of a network of the papers or FAMILY-DEPTH-DIM, and "+KEY=VALUE" for others.

    What is given wins over what the name says, and that over the family's defaults.

    Raises:
        InputError: unknown name or setting, or a value that does not fit.
    """
    family, said = parse_name(name)
    hints = family.config.types()
    size = {"depth", "dim"} if family.sized else set()  # which the name says
    free = {key: hint for key, hint in hints.items() if key not in size}
    given = typed(free, settings, family.name, family.config.without)
    said = typed(hints, said, family.name, family.config.without)
    return family.config(**family.config.completed({**said, **given}))


def configure_for(name: str, data: Mapping[str, Any], **settings: Any) -> BaseConfig:
    """`configure` with the classes, channels, pixels and T of the data.

    A network that was published for inputs of a size keeps it: other data is refused, unless the size is given.

    Args:
        name: of the model.
        data: num_classes, in_channels, image_size, time_steps, as far as the data shows them.
        **settings: given by the user.

    Raises:
        InputError: as `configure`, or the data has another size than the network was published for.
    """
    family, said = parse_name(name)
    if issubclass(family.config, TokenConfig) and "in_channels" in data:
        raise InputError(
            f"{name} reads tokens, and the data has images: choose a network for images, or --dataset text"
        )
    said = typed(family.config.types(), said, family.name, family.config.without)
    size = ("in_channels", "image_size")
    if wrong := [key for key in size if key in data and said.get(key, data[key]) != data[key] and key not in settings]:
        own = configure(name)
        theirs, ours = (" x ".join(str(x.get(key, getattr(own, key))) for key in (*size, size[1])) for x in ({}, data))
        changed = "+".join([name, *(f"{key}={data[key]}" for key in wrong)])
        raise InputError(
            f"{name} is a network for inputs of {theirs}, and the data has {ours}: choose other data, "
            f"or change the network ({changed})"
        )
    return configure(name, **{**data, **settings})


def from_config(config: BaseConfig) -> Model:
    """An untrained model with these settings."""
    return MODELS[config.family].model(config)


def config_from_dict(settings: dict[str, Any]) -> BaseConfig:
    """Inverse of `BaseConfig.to_dict`.

    Raises:
        InputError: the family is unknown or the settings do not fit it.
    """
    settings = dict(settings)
    family = settings.pop("family", None)
    if not isinstance(family, str) or family not in MODELS:
        raise InputError(f"unknown model family {family!r}: known are {', '.join(MODELS)}")
    hints = MODELS[family].config.types()
    # JSON has no tuples.
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    try:
        return MODELS[family].config(**typed(hints, plain, family, MODELS[family].config.without))
    except TypeError as error:
        raise InputError(f"settings of {family} do not fit: {error}") from None


def build(name: str, **settings: Any) -> Model:
    """An untrained model in evaluation mode, for instance `build("saformer-4-384", num_classes=10)`.

    Args:
        name: a network of the papers (`saformer-4-384`, `sdt-2-512`, ...) or FAMILY-DEPTH-DIM; "+KEY=VALUE" behind it
            gives a setting, too.
        **settings: num_classes, in_channels, image_size, time_steps and the family's own settings.

    Raises:
        InputError: unknown name or setting, or a value that does not fit.
    """
    return from_config(configure(name, **settings)).eval()


__all__ = [
    "FAMILIES",
    "PRESETS",
    "AttentiveConfig",
    "BaseConfig",
    "Model",
    "ModelConfig",
    "TokenConfig",
    "TransformerConfig",
    "build",
    "config_from_dict",
    "configure",
    "configure_for",
    "from_config",
    "in_time",
    "per_step",
    "register_model",
]
