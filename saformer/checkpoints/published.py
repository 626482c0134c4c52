"""Recognises published checkpoints from their parameter names and shapes, and restores the settings they imply."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from saformer.checkpoints.origin import Assumption
from saformer.errors import InputError
from saformer.models.config import ModelConfig, pooling_for
from saformer.models.presets import default_heads
from saformer.models.saformer import SAFormerConfig
from saformer.models.sdt import SDTConfig
from saformer.models.spikformer import SpikformerConfig
from saformer.models.spikingformer import SpikingformerConfig
from saformer.models.vit import ViTConfig

# Names under which published training scripts store a setting.
_STORED_NAMES = {
    "heads": ("num_heads",),
    "time_steps": ("time_steps", "time_step", "T"),
    "pooling": ("pooling_stat",),
    "image_size": ("img_size", "image_size"),
    "event_pooling": ("dvs_mode",),
}

# Carried by published checkpoints, used by no forward pass of theirs.
_UNUSED = re.compile(
    r"(block\.\d+\.norm[12]\.(weight|bias)|norm\.(weight|bias)|pos_embed|block\.\d+\.attn\.talking_heads\.weight)"
)


@dataclass(frozen=True)
class Recognised:
    """Architecture of a checkpoint, with what had to be assumed and which tensors no forward pass uses."""

    config: ModelConfig
    assumptions: tuple[Assumption, ...]
    unused: tuple[str, ...]


def _variant(weights: Mapping[str, Tensor]) -> tuple[type[ModelConfig], dict[str, Any], dict[str, Any]]:
    """Family, settings that the keys and shapes show, and defaults of the published variant for the rest."""

    def rank(key: str) -> int:
        return weights[key].ndim if key in weights else 0

    shown: dict[str, Any]
    if rank("block.0.attn.q_linear.weight") == 2:
        if not any(key.startswith("block.0.attn.v_linear.") for key in weights):
            shown = {"depthwise": "block.0.attn.dwc_conv.weight" in weights}
            return SAFormerConfig, shown, {"time_steps": 4, "aggregated": 16, "aggregate": "membrane"}
        if not any(key.startswith("block.0.attn.q_bn.") for key in weights):
            return ViTConfig, {}, {"time_steps": 1, "heads": 12}
        shown = {"projection": "linear", "mlp_projection": "linear"}
        return SpikformerConfig, shown, {"time_steps": 4, "heads": 12, "scale": 0.125}
    if "block.0.mlp.mlp1_conv.weight" in weights:
        if "patch_embed.block0_conv.weight" in weights:
            return SpikingformerConfig, {"embedding": "block"}, {"time_steps": 4, "heads": 12, "tau": 2.0}
        stem = weights.get("patch_embed.proj_conv.weight")
        events = stem is not None and stem.ndim == 4 and stem.shape[1] == 2
        shown = {"embedding": "proj", "keys_first": not events}
        published = {"heads": 16, "tau": 1.5} if events else {"heads": 8, "tau": 2.0, "image_size": 224}
        return SpikingformerConfig, shown, {**published, "pooling": "1111"}
    if rank("block.0.attn.q_conv.weight") == 3 and rank("block.0.mlp.fc1_conv.weight") == 3:
        shown = {"projection": "conv1d", "mlp_projection": "conv1d"}
        return (
            SpikformerConfig,
            shown,
            {"time_steps": 16, "heads": 16, "scale": 0.25, "image_size": 128, "pooling": "1111"},
        )
    if rank("block.0.attn.q_conv.weight") == 3 and rank("block.0.mlp.fc1_conv.weight") == 4:
        shown = {"projection": "conv1d", "mlp_projection": "conv2d", "keys_first": True}
        return (
            SpikformerConfig,
            shown,
            {"time_steps": 4, "heads": 8, "scale": 0.125, "image_size": 224, "pooling": "1111"},
        )
    if rank("block.0.attn.q_conv.weight") == 4 and "block.0.mlp.fc1_conv.weight" in weights:
        return SDTConfig, {}, {"heads": 8}
    keys = list(weights)
    raise InputError(
        "the architecture is not one of SAFormer, Spikformer, Spikingformer, Spike-driven Transformer or the softmax "
        f"reference: its parameters begin with {', '.join(keys[:4])}"
    )


def _stored(settings: Mapping[str, Any], setting: str) -> Any:
    for name in _STORED_NAMES.get(setting, ()):
        value = settings.get(name)
        if setting == "image_size" and isinstance(value, list | tuple) and value:
            value = value[-1]
        if value is not None:
            return value
    return None


def recognise(weights: Mapping[str, Tensor], stored: Mapping[str, Any], given: Mapping[str, Any]) -> Recognised:
    """The configuration that fits these weights.

    Args:
        weights: parameter name -> tensor, prefixes stripped.
        stored: settings found in the checkpoint (`args` of the training script).
        given: settings set by the user; they win over stored ones.

    Raises:
        InputError: the architecture is unknown, or stored or given settings do not fit the weights.
    """
    config_class, shown, defaults = _variant(weights)
    try:
        first = "block0" if shown.get("embedding") == "block" else "proj"
        stem, head = weights[f"patch_embed.{first}_conv.weight"], weights["head.weight"]
        fc1 = next(
            weights[f"block.0.mlp.{layer}.weight"]
            for layer in ("fc1_linear", "fc1_conv", "mlp1_conv")
            if f"block.0.mlp.{layer}.weight" in weights
        )
    except (KeyError, StopIteration) as error:
        raise InputError(
            f"parameter {error.args[0] if error.args else 'block.0.mlp.fc1'} is missing from the checkpoint"
        ) from None
    if stem.ndim != 4 or head.ndim != 2 or fc1.ndim < 2:
        raise InputError(
            f"patch_embed.{first}_conv.weight, head.weight or the first layer of the MLP has a wrong shape"
        )
    if stored.get("spike_mode", "lif") != "lif":
        raise InputError(f"neurons of spike_mode {stored['spike_mode']!r} are not supported, only 'lif'")
    dim, depth = head.shape[1], 0
    while any(key.startswith(f"block.{depth}.") for key in weights):
        depth += 1
    in_channels = stem.shape[1]
    shown = {
        **shown,
        "dim": dim,
        "depth": depth,
        "num_classes": head.shape[0],
        "in_channels": in_channels,
        "mlp_ratio": fc1.shape[0] / dim,
    }
    events = in_channels == 2
    defaults.setdefault("time_steps", 16 if events else 4)
    large = events or head.shape[0] >= 1000
    defaults.setdefault("image_size", (128 if events else 224) if large else 32)
    known = {field.name for field in fields(config_class)}
    if "heads" in known and dim % defaults["heads"]:
        defaults["heads"] = default_heads(dim)

    assumptions: list[Assumption] = []
    settings = dict(shown)
    for setting in [*defaults, "pooling", "event_pooling"]:
        if setting not in known or setting in settings:
            continue
        value = in_file = _stored(stored, setting)
        if setting in given:
            value, source = given[setting], "given"
        elif value is not None:
            source = "stored"
        elif setting == "pooling" and "pooling" not in defaults:
            size = settings["image_size"]
            if not isinstance(size, int):
                raise InputError(f"image_size must be a whole number, got {size!r}")
            value, source = pooling_for(size), "default"
        elif setting == "event_pooling":
            value, source = events, "default"
        else:
            value, source = defaults[setting], "default"
        settings[setting] = value
        assumptions.append(Assumption(setting, value, source, in_file if source == "given" else None))
    for setting, value in given.items():
        if setting not in known:
            raise InputError(f"{config_class.family} has no setting {setting!r}")
        if setting in shown and shown[setting] != value:
            raise InputError(f"{setting} is {shown[setting]!r} by the weights' shapes; it cannot be set to {value!r}")
        settings[setting] = value
    unused = tuple(key for key in weights if _UNUSED.fullmatch(key)) if config_class is not ViTConfig else ()
    return Recognised(config_class(**settings), tuple(assumptions), unused)
