"""Models by name: `build("saformer-4-384")`."""

from dataclasses import fields
from typing import Any

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time, pooling_for
from saformer.models.patch_embedding import per_step
from saformer.models.presets import FAMILIES, PRESETS, default_heads, parse_name
from saformer.models.registry import MODELS, register_model


def configure(name: str, **settings: Any) -> ModelConfig:
    """Settings of the model `name`, FAMILY-DEPTH-DIM.

    What is given wins over the preset of that name, and the preset over the family's defaults; the pooling
    follows the image size unless it is given.

    Raises:
        InputError: unknown name or setting, or a value that does not fit.
    """
    family, depth, dim = parse_name(name)
    merged = {**MODELS[family].presets.get(name, {}), **settings}
    config_class = MODELS[family].config
    known = {field.name for field in fields(config_class)} - {"depth", "dim"}  # which the name says
    unknown = sorted(set(merged) - known)
    if unknown:
        raise InputError(f"{family} has no setting {unknown[0]!r}; it has {', '.join(sorted(known))}")
    merged.setdefault("image_size", 128 if merged.get("in_channels") == 2 else 32)
    if isinstance(merged["image_size"], int) and merged["image_size"] > 0:
        merged.setdefault("pooling", pooling_for(merged["image_size"]))
    if "heads" in known:
        merged.setdefault("heads", default_heads(max(dim, 1)))
    return config_class(**{**merged, "depth": depth, "dim": dim})


def from_config(config: ModelConfig) -> Model:
    """An untrained model with these settings."""
    return MODELS[config.family].model(config)


def config_from_dict(settings: dict[str, Any]) -> ModelConfig:
    """Inverse of `ModelConfig.to_dict`.

    Raises:
        InputError: the family is unknown or the settings do not fit it.
    """
    settings = dict(settings)
    family = settings.pop("family", None)
    if not isinstance(family, str) or family not in MODELS:
        raise InputError(f"unknown model family {family!r}: known are {', '.join(MODELS)}")
    try:
        return MODELS[family].config(**settings)
    except TypeError as error:
        raise InputError(f"settings of {family} do not fit: {error}") from None


def build(name: str, **settings: Any) -> Model:
    """An untrained model in evaluation mode, for instance `build("saformer-4-384", num_classes=10)`.

    Args:
        name: a preset (`saformer-4-384`, `sdt-2-512`, ...) or FAMILY-DEPTH-DIM.
        **settings: num_classes, in_channels, image_size, time_steps, pooling and the family's own settings.

    Raises:
        InputError: unknown name or setting, or a value that does not fit.
    """
    return from_config(configure(name, **settings)).eval()


__all__ = [
    "FAMILIES",
    "PRESETS",
    "Model",
    "ModelConfig",
    "build",
    "config_from_dict",
    "configure",
    "from_config",
    "in_time",
    "per_step",
    "register_model",
]
