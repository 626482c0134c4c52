"""Settings of published checkpoints: what their family reads off the weights, what is stored, given, or a default."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from saformer.checkpoints.origin import Assumption
from saformer.errors import InputError
from saformer.models.config import BaseConfig
from saformer.models.recognition import Published
from saformer.models.registry import MODELS, Family
from saformer.models.settings import typed
from saformer.models.transformer_config import default_heads, pooling_for

# Names under which published training scripts store a setting.
_STORED_NAMES = {
    "heads": ("num_heads",),
    "time_steps": ("time_steps", "time_step", "timesteps", "T"),
    "pooling": ("pooling_stat", "patch_size"),
    "image_size": ("img_size", "image_size", "input_size"),
    "event_pooling": ("dvs_mode",),
    "connect": ("connect_f", "cnf"),
    "thresholds": ("thresholds",),
}


# Pools by side of a patch in pixels: the published code pools alike whatever that says, and says 4 or 16.
_POOLING = {4: "0011", 16: "1111"}

# Networks of other packages, by the names of some parameters.
_ELSEWHERE = {
    "a ResNet of torchvision, timm or SpikingJelly": ("conv1.weight", "layer1.0.conv1.weight", "fc.weight"),
    "a SEW or spiking ResNet of SpikingJelly": ("conv1.weight", "layer1.0.conv1.0.weight", "fc.weight"),
    "a VGG of torchvision": ("features.0.weight", "classifier.0.weight"),
    "a vision transformer of timm": ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight"),
    "a vision transformer of torchvision": ("conv_proj.weight", "encoder.layers.encoder_layer_0.ln_1.weight"),
    "a Swin transformer of timm": ("patch_embed.proj.weight", "layers.0.blocks.0.attn.qkv.weight"),
    "a BERT of transformers": ("embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"),
}


@dataclass(frozen=True)
class Recognised:
    """Architecture of a checkpoint, with what had to be assumed, which tensors no forward pass uses, which repeat
    others, which have another name here, and which of them (by our names) a last dimension of 1 too many."""

    config: BaseConfig
    assumptions: tuple[Assumption, ...]
    unused: tuple[str, ...]
    repeated: tuple[str, ...]
    renamed: Mapping[str, str]
    timed: tuple[str, ...]


def _family_of(weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> tuple[Family, Published]:
    """The family that claims the weights, and what it reads off them."""
    found = ((family, family.model.recognise(weights, stored)) for family in MODELS.values())
    claims = [(family, published) for family, published in found if published is not None]
    if len(claims) == 1:
        return claims[0]
    if claims:
        names = " and ".join(family.name for family, _ in claims)
        raise InputError(f"the weights could be of {names}: their classes' recognise must tell them apart")
    kinds = [kind for kind, names in _ELSEWHERE.items() if all(name in weights for name in names)]
    shown = f"keys are those of {kinds[0]}" if kinds else f"parameters begin with {', '.join(list(weights)[:4])}"
    raise InputError(
        f"the architecture is none that is known here (its {shown}): "
        "run its own code with these weights, --model package.module:factory --ckpt FILE"
    )


def _stored(settings: Mapping[str, Any], setting: str) -> Any:
    for name in _STORED_NAMES.get(setting, ()):
        value = settings.get(name)
        if setting == "image_size" and isinstance(value, list | tuple) and value:
            value = value[-1]
        if name == "patch_size":
            value = _POOLING.get(value) if isinstance(value, int) else None
        if value is not None:
            return tuple(value) if isinstance(value, list) else value
    return None


def recognise(weights: Mapping[str, Tensor], stored: Mapping[str, Any], given: Mapping[str, Any]) -> Recognised:
    """The configuration that fits these weights.

    Args:
        weights: parameter name -> tensor, prefixes stripped.
        stored: settings found in the checkpoint (`args` of the training script, and what lies beside the weights).
        given: settings set by the user; they win over stored ones.

    Raises:
        InputError: the architecture is unknown, or stored or given settings do not fit the weights.
    """
    family, published = _family_of(weights, stored)
    config_class = family.config
    known = config_class.types()
    given = typed(known, given, config_class.family, config_class.without)
    # What is given may say which published variant it is, and with it other defaults.
    published = family.model.recognise(weights, {**stored, **given}) or published
    shown, defaults = published.shown, dict(published.defaults)
    if stored.get("spike_mode", "lif") != "lif":
        raise InputError(f"neurons of spike_mode {stored['spike_mode']!r} are not supported, only 'lif'")
    events = shown.get("in_channels") == 2
    defaults.setdefault("time_steps", 16 if events else 4)
    large = events or shown.get("num_classes", 0) >= 1000
    defaults.setdefault("image_size", (128 if events else 224) if large else 32)
    if "heads" in known and "dim" in shown and ("heads" not in defaults or shown["dim"] % defaults["heads"]):
        defaults["heads"] = default_heads(shown["dim"])

    assumptions: list[Assumption] = []
    settings = dict(shown)
    for setting in [*defaults, "pooling", "event_pooling"]:
        if setting not in known or setting in settings:
            continue
        value = in_file = None if setting in published.ignored else _stored(stored, setting)
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
        note = published.notes.get(setting, "") if source == "default" else ""
        assumptions.append(Assumption(setting, value, source, in_file if source == "given" else None, note))
    for setting, value in given.items():
        if setting in shown and shown[setting] != value:
            raise InputError(f"{setting} is {shown[setting]!r} by the weights' shapes; it cannot be set to {value!r}")
        settings[setting] = value
    unused = tuple(key for key in weights if published.is_unused(key))
    repeated = tuple(key for key in weights if published.is_repeated(key))
    timed = tuple(name for key in weights if published.is_timed(name := published.renamed.get(key, key)))
    return Recognised(config_class(**settings), tuple(assumptions), unused, repeated, published.renamed, timed)
