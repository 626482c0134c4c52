"""From the options to the data to run on."""

from typing import TYPE_CHECKING, Any

from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.model import load_for
from saformer.cli.resolve.tokens import holds_tokens, open_tokens
from saformer.cli.terminal.console import progress
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.checkpoints import RawCheckpoint
    from saformer.data.dataset import Dataset
    from saformer.models import Model


def open_data(
    data: DataOptions,
    default: str | None = None,
    time_steps: int | None = None,
    image_size: int | None = None,
    foreign: bool = False,
) -> "Dataset":
    """Read the data.

    Args:
        data: what to open.
        default: the data set to take when none was named.
        time_steps: T of event frames, where the data set leaves it open, or of sequences of tokens.
        image_size: of event frames and of the images of a folder.
        foreign: it is for a model of the user's own, which may take anything.
    """
    from saformer.data import open_dataset
    from saformer.data.arrays import open_arrays, open_inputs

    if data.input is not None:
        if data.split_by is not None:
            raise InputError("--split-by makes frames of events: the frames of --input are made already")
        if unused := [flag for flag in data.flags if flag != "--input"]:
            raise InputError(f"--input is all the data there is: leave out {', '.join(unused)}")
        return open_inputs(data.input) if foreign else open_arrays(data.input)
    name = data.dataset or default
    if name == "digits" and (unused := [flag for flag in data.flags if flag in ("--data-dir", "--cache-dir")]):
        raise InputError(f"digits lies in the program: leave out {', '.join(unused)}, or name another --dataset")
    if name is None:
        raise InputError(
            "there is no data to run on: give --dataset NAME (see `saformer datasets`) or --input FILE.npz"
        )
    return open_dataset(
        name,
        data.data_dir,
        data.split,
        time_steps=time_steps,
        split_by=data.split_by,
        image_size=image_size,
        cache_dir=data.cache_dir,
        progress=progress,
    )


def reader_of(options: ModelOptions, raw: "RawCheckpoint | None" = None) -> "Model | None":
    """The model before its data is known: a checkpoint's, or a language model, without weights; None for others."""
    import torch

    from saformer.models import TokenConfig
    from saformer.models.names import parse_name

    if options.checkpoint is not None:
        return load_for(options, None, raw)[0]
    if options.model is None or not issubclass(parse_name(options.model)[0].config, TokenConfig):
        return None
    with torch.device("meta"):
        return load_for(options, None)[0]


def reads_tokens(model: "Model | None") -> bool:
    """Whether it is a language model."""
    return model is not None and model.config.input_kind == "tokens"


def data_for(
    options: ModelOptions,
    data: DataOptions,
    default: str | None = None,
    raw: "RawCheckpoint | None" = None,
    opened: "dict[tuple[Any, ...], Dataset] | None" = None,
    seed: int = 0,
) -> "Dataset":
    """The data as the model takes it: event frames of its T and size, images of a folder of its size, tokens.

    Args:
        options: the model; a checkpoint is loaded first, as one at fault should not wait for data to be read.
        data: what to open.
        default: the data set to take when none was named.
        raw: the checkpoint, if it has been read.
        opened: what has been opened for other models of the same command, and is taken again.
        seed: of random tokens.
    """
    model = reader_of(options, raw)
    settings: dict[str, Any] = {key: options.given.get(key) for key in ("time_steps", "image_size")}
    if model is not None and reads_tokens(model):
        if options.input_shape or data.input is not None or not holds_tokens(data.dataset or default):
            return open_tokens(options, data, model.config, seed)
        settings["time_steps"] = model.config.time_steps
    elif model is not None:
        assert model.origin is not None  # set by load
        open_settings = {a.setting for a in model.origin.assumptions if a.source == "default"}
        for key in settings.keys() - open_settings:
            settings[key] = getattr(model.config, key)
    opened = {} if opened is None else opened
    wanted = tuple(settings.values())
    if wanted not in opened:
        opened[wanted] = open_data(data, default, **settings)
    return opened[wanted]
