"""From the options to one of our own models: read, fitted to the data, with remarks on what was assumed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.cli.options.model import ModelOptions
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.checkpoints import RawCheckpoint
    from saformer.data.dataset import Dataset
    from saformer.models import Model


def read_for(options: ModelOptions) -> "RawCheckpoint | None":
    """The checkpoint file of the options, read once; None where they name a model."""
    from saformer.checkpoints import read_checkpoint
    from saformer.checkpoints.shipped import resolve_checkpoint

    return (
        None if options.checkpoint is None else read_checkpoint(resolve_checkpoint(options.checkpoint), options.weights)
    )


@contextmanager
def _flags_named(options: ModelOptions, path: Path | None = None) -> Iterator[None]:
    """What is wrong with a setting that the user gave is said of the flag, not of the checkpoint."""
    given = options.given
    try:
        yield
    except InputError as error:
        reason = str(error).removeprefix(f"checkpoint {path}: ")
        words = re.findall(r"\w+", reason)
        about = {key: value for key, value in given.items() if key in words} or given
        flags = " ".join(map(options.flag, about))
        raise InputError(f"{flags}: {reason}" + ("" if path is None else f" (checkpoint {path.name})")) from None


def _fitted(raw: "RawCheckpoint", options: ModelOptions, fitting: dict[str, Any] | None = None) -> "Model":
    """The model of a checkpoint with the settings of the user, and with those that the data show."""
    from saformer.checkpoints import model_from

    try:
        return model_from(raw, **{**options.given, **(fitting or {})})
    except InputError as error:
        if not options.given:
            raise
        try:
            model_from(raw)
        except InputError:
            raise error from None  # the checkpoint is at fault without the flags, too
        with _flags_named(options, raw.path):
            raise


def load_for(
    options: ModelOptions, data: "Dataset | None", raw: "RawCheckpoint | None" = None, seed: int = 0
) -> "tuple[Model, list[str]]":
    """The model of the options, fitted to the data where its file leaves a setting open, with remarks on it.

    Args:
        options: a checkpoint or the name of a model.
        data: what it is to run on, if that is known.
        raw: the checkpoint, if it has been read.
        seed: of random weights.
    """
    import torch

    from saformer.data import DATASETS
    from saformer.models import configure_for, from_config

    shape: dict[str, Any] = {}
    if data is not None:
        if data.kind in ("static", "events"):
            shape = {"in_channels": data.shape[-3], "image_size": data.shape[-1]}
        if data.kind != "static":
            shape["time_steps"] = data.shape[0]
    if options.checkpoint is None:
        if options.model is None:
            raise InputError("give a checkpoint (--ckpt FILE) or a model (--model NAME)")
        if data is not None and data.classes is not None:
            shape["num_classes"] = data.classes
        torch.manual_seed(seed)
        if not options.given:
            return from_config(configure_for(options.model, shape)).eval(), _steps_remark(options.model, shape)
        with _flags_named(options):
            model = from_config(configure_for(options.model, shape, **options.given)).eval()
        given_steps = options.given.get("time_steps")
        if given_steps is None:
            return model, _steps_remark(options.model, shape)
        if int(given_steps) == model.config.time_steps:
            return model, []
        said = f"{options.flag('time_steps')} was given: {model.config.name} does not spike, and runs once per image"
        return model, [said]

    raw = raw or read_for(options)
    assert raw is not None
    model = _fitted(raw, options)
    assert model.origin is not None  # set by load
    open_settings = {a.setting for a in model.origin.assumptions if a.source == "default"}
    fitting = {
        key: value
        for key, value in shape.items()
        if key in open_settings and value != getattr(model.config, key) and key not in options.given
    }
    if fitting:
        model = _fitted(raw, options, fitting)
    remarks = []
    if Path(options.checkpoint).is_dir():
        remarks.append(f"{options.checkpoint} is the network in the package, not the folder of that name here")
    assert model.origin is not None
    assumed = [a for a in model.origin.assumptions if a.source == "default" and a.setting not in fitting]
    if assumed:
        values = ", ".join(f"{a.setting} = {a.value}" + (f" ({a.note})" if a.note else "") for a in assumed)
        remarks.append(f"not stored in the checkpoint, taken by default: {values}")
    for a in model.origin.assumptions:
        if a.source == "given" and a.stored is not None and a.stored != a.value and a.setting in options.given:
            flag = options.flag(a.setting)
            remarks.append(f"{flag} was given; the checkpoint stores {a.setting} = {a.stored}")
    if fitting:
        values = ", ".join(f"{key} = {value}" for key, value in fitting.items())
        remarks.append(f"not stored in the checkpoint, taken from the data: {values}")
    if model.origin.unused_parameters:
        remarks.append(
            f"the checkpoint holds {model.origin.unused_parameters:,} parameters that no forward pass uses "
            f"({_kinds(model.origin.unused)})"
        )
    before = trained_on(model)
    if data is not None and before is not None and data.name in DATASETS and before != data.name:
        remarks.append(f"the model was trained on {before}, not on {data.name}")
    return model, remarks


def _steps_remark(name: str, shape: dict[str, Any]) -> list[str]:
    """That a network was published for another T than the data has frames."""
    from saformer.models import PRESETS

    published, frames = PRESETS.get(name.split("+")[0], {}).get("time_steps"), shape.get("time_steps")
    if frames is None or published in (None, frames):
        return []
    return [f"{name} was published with T = {published}; the data has {frames} frames, which is T here"]


def trained_on(model: "Model") -> str | None:
    """The data set that the checkpoint of the model was trained on, where it says one that can be opened."""
    from saformer.data import DATASETS

    name = model.origin.training.get("dataset") if model.origin else None
    return name if isinstance(name, str) and name in DATASETS else None


def remembered_data(checkpoint: str) -> str | None:
    """The data set that a checkpoint file, or one of the package, says it was trained on; its header alone is read."""
    from saformer.checkpoints import training_of
    from saformer.checkpoints.shipped import resolve_checkpoint
    from saformer.data import DATASETS

    name = training_of(resolve_checkpoint(checkpoint)).get("dataset")
    return name if isinstance(name, str) and name in DATASETS else None


def _kinds(names: tuple[str, ...]) -> str:
    kinds = {name.removesuffix(".weight").removesuffix(".bias").rpartition(".")[2] for name in names}
    return ", ".join(sorted(kinds))


def check_fit(model: "Model", data: "Dataset") -> None:
    """Raise InputError where the data has other images or classes than the model takes."""
    config = model.config
    if config.input_kind != "tokens" and data.kind == "tokens":
        raise InputError(
            f"{config.name} takes images, and {data.name} holds tokens: choose a language model, such as "
            "spikegpt-12-512, or other data"
        )
    if config.input_kind == "tokens":  # which were looked at when they were opened
        _check_classes(model, data)
        return
    wanted, found = config.sample_shape, tuple(data.shape[-3:])
    if len(found) < 3:
        raise InputError(
            f"{config.name} takes images of {_by(wanted)}, {data.name} has {_by(found)}: choose other data, or a model "
            "for these"
        )
    if found[-1] != found[-2]:
        raise InputError(
            f"{data.name} has images of {_by(found)}, and the models here take square ones only: crop or pad them to "
            f"{_by(wanted)}, or bring a model of your own (--model package.module:factory)"
        )
    if wanted != found:
        raise InputError(
            f"{config.name} takes images of {_by(wanted)}, {data.name} has {_by(found)}: "
            "choose other data, or a model for these"
        )
    _check_classes(model, data)


def _check_classes(model: "Model", data: "Dataset") -> None:
    """Raise InputError where the data has other classes, or another vocabulary, than the model."""
    config = model.config
    if data.classes is not None and data.classes != config.num_classes:
        raise InputError(
            f"{config.name} has {config.num_classes} classes, {data.name} has {data.classes}: "
            "choose the data set it was trained on"
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
