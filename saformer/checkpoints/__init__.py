"""Checkpoints: `load` reads our own and published ones, `save` writes our own."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saformer.checkpoints.building import build_for
from saformer.checkpoints.origin import Assumption, Origin
from saformer.checkpoints.published import recognise
from saformer.checkpoints.reading import RawCheckpoint, read_checkpoint
from saformer.checkpoints.shipped import resolve_checkpoint
from saformer.checkpoints.writing import RUN_PREFIX, save_safetensors
from saformer.errors import InputError
from saformer.files import check_file
from saformer.models import config_from_dict
from saformer.models.config import BaseConfig, Model

_METADATA_KEY = "saformer"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def fill_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy the weights into the model, every one of them, or raise InputError naming the first that does not fit."""
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in weights:
            if name.endswith("num_batches_tracked"):  # counts training batches; evaluation does not read it
                continue
            raise InputError(f"parameter {name} is missing from the checkpoint")
        if weights[name].dtype.is_floating_point != tensor.dtype.is_floating_point and tensor.is_floating_point():
            raise InputError(
                f"parameter {name} holds {str(weights[name].dtype).removeprefix('torch.')}, not real numbers"
            )
        if name.endswith("running_var") and bool((weights[name] < 0).any()):
            raise InputError(f"parameter {name} holds a negative variance: the file is damaged")
        if weights[name].shape != tensor.shape:
            found, needed = weights[name].shape, tensor.shape
            reason = f"parameter {name} has shape {_shape(weights[name])}, the model needs {_shape(tensor)}"
            if name.split(".")[-2:-1] in (["head"], ["fc"], ["classifier"]) and found[1:] == needed[1:]:
                reason += f": the checkpoint is for {found[0]} classes, the model for {needed[0]}"
            raise InputError(reason)
    extra = [name for name in weights if name not in wanted]
    if extra:
        raise InputError(f"parameter {extra[0]} ({len(extra)} in all) has no place in the model")
    model.load_state_dict(weights, strict=False)


def _native(raw: RawCheckpoint, given: dict[str, Any]) -> tuple[BaseConfig, dict[str, Any], dict[str, Any]] | None:
    """Configuration, details and stored settings of one of our own checkpoints; None for anybody else's."""
    if _METADATA_KEY not in raw.metadata:
        return None
    try:
        details = json.loads(raw.metadata[_METADATA_KEY])
        settings = dict(details.pop("config"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError("the configuration inside the checkpoint is damaged") from None
    needed = settings.get("attention")
    if isinstance(needed, str) and ":" in needed and "attention" not in given:
        # Importing what a file names would run code that the file chose.
        raise InputError(
            f"its attention is a class of your own: say --set attention={needed}, or FILE+attention={needed}, where "
            "you have it"
        )
    config_from_dict(settings)  # which says what is wrong with the file before anything is said of what was given
    return config_from_dict({**settings, **given}), details, settings


def training_of(path: str | Path) -> dict[str, Any]:
    """What one of our own checkpoints says about its training; its header alone is read.

    Nothing where it is not ours, cannot be read, or says nothing: whoever reads the weights says what is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        check_file(path)
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}")).get("training")
    except (OSError, SafetensorError, ValueError, AttributeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def load(path: str | Path, *, weights: str | None = None, **settings: Any) -> Model:
    """A model in evaluation mode from any supported checkpoint.

    Reads our own safetensors files, and published checkpoints of the families whose `recognise` claims them
    (docs/checkpoints.md); nothing in the file is executed. The model carries an `origin` (`Origin`) that says what was
    assumed.

    Args:
        path: the file, or the name of a shipped checkpoint, such as "digits/saformer".
        weights: which of several sets of weights in the file to use, such as "model_ema".
        **settings: what the file does not say, or what shall differ from it: time_steps, heads, pooling,
            image_size, ...

    Raises:
        InputError: the file cannot be read, or holds no architecture known here, or does not fit.
    """
    return model_from(read_checkpoint(resolve_checkpoint(path), weights), **settings)


def model_from(raw: RawCheckpoint, **settings: Any) -> Model:
    """`load` for a file that has been read: a model may be made from it with several settings.

    Raises:
        InputError: the weights are of no architecture known here, or the settings do not fit them.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    tensors = dict(raw.weights)
    assumptions: tuple[Assumption, ...] = ()
    unused: tuple[str, ...] = ()
    details = None
    try:
        native = _native(raw, given)
        if native:
            config, details, stored = native
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(RUN_PREFIX)}
            assumptions = tuple(Assumption(key, getattr(config, key), "given", stored.get(key)) for key in given)
        else:
            found = recognise(tensors, {**raw.other, **raw.settings}, given)
            config, assumptions, unused = found.config, found.assumptions, found.unused
            for name in found.repeated:
                del tensors[name]
            tensors = {found.renamed.get(name, name): tensor for name, tensor in tensors.items()}
            tensors |= {name: tensors[name].squeeze(-1) for name in found.timed}
        unused_parameters = sum(tensors.pop(name).numel() for name in unused)
        model = build_for(config, tensors)
        fill_weights(model, tensors)
    except InputError as error:
        raise InputError(f"checkpoint {raw.path}: {error}") from None
    model.origin = Origin(raw.path, raw.sha256, assumptions, unused_parameters, unused, details)
    return model.eval()


def save(
    model: Model,
    path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    beside: Mapping[str, Tensor] | None = None,
    **details: Any,
) -> None:
    """Write the model with its configuration inside, as safetensors, whole or not at all.

    Args:
        model: a model built by `saformer.build` or `saformer.load`.
        path: the file to write.
        dtype: storage type of floating weights; default as they are.
        beside: further tensors, such as the state of an optimiser; `load` passes over them, `load_run` reads them.
        **details: anything JSON can hold about how the weights came to be.

    Raises:
        InputError: the file cannot be written, or the model is folded: its settings would not build it again.
    """
    if model.folded:
        raise InputError("a folded model has other layers than its settings say: save the model that it was made from")
    weights = {
        name: tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    weights.update({RUN_PREFIX + name: tensor for name, tensor in (beside or {}).items()})
    metadata = {"config": model.config.to_dict(), "version": version("saformer"), **details}
    save_safetensors(path, weights, {_METADATA_KEY: json.dumps(metadata, sort_keys=True)})


def load_run(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """Weights, further tensors and details of a file that `save` wrote with tensors `beside` the weights.

    Raises:
        InputError: the file cannot be read, or is none of ours.
    """
    raw = read_checkpoint(path)
    native = _native(raw, {})
    if native is None:
        raise InputError(f"checkpoint {path}: it was not written by `saformer train`")
    weights, beside = dict[str, Tensor](), dict[str, Tensor]()
    for name, tensor in raw.weights.items():
        into = beside if name.startswith(RUN_PREFIX) else weights
        into[name.removeprefix(RUN_PREFIX)] = tensor
    return weights, beside, native[1]


__all__ = [
    "Assumption",
    "Origin",
    "RawCheckpoint",
    "fill_weights",
    "load",
    "load_run",
    "model_from",
    "read_checkpoint",
    "save",
]
