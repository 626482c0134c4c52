"""From a source to the network itself and the data that it runs on, whatever the source is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.cli.options.data import DataOptions
from saformer.cli.options.layout import RANDOM_INPUTS, LayoutOptions
from saformer.cli.resolve.data import data_for, open_data, reader_of, reads_tokens
from saformer.cli.resolve.foreign import has_weights
from saformer.cli.resolve.model import load_for, read_for, remembered_data
from saformer.cli.resolve.random_inputs import random_data, random_inputs
from saformer.cli.resolve.source import CHECKPOINT, NIR, Source
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from saformer.checkpoints import RawCheckpoint
    from saformer.data.dataset import Dataset

RANDOM = "the inputs are random: give --dataset or --input for rates that mean something"

Opened = dict[tuple[Any, ...], "Dataset"]  # what was read for one network, for the next


@dataclass(frozen=True, eq=False)
class Network:
    """A network, ready to run.

    Args:
        module: ours or somebody's, in evaluation mode.
        remarks: on how it was made.
        trained: its weights come from a file; None of one of ours, which says so itself.
    """

    module: "nn.Module"
    remarks: list[str]
    trained: bool | None = None


def network_of(source: Source, data: "Dataset | None", raw: "RawCheckpoint | None" = None, seed: int = 0) -> Network:
    """The network of a source.

    Args:
        source: no saved profile.
        data: what it is to run on, if that is known.
        raw: its checkpoint, if that has been read.
        seed: of random weights.
    """
    if source.kind.build is not None:
        module, remarks = source.kind.build(source.options, seed)
        trained = source.options.checkpoint is not None or source.kind is NIR or has_weights(module)
        return Network(module, remarks, trained)
    return Network(*load_for(source.options, data, raw, seed))


def data_of(
    source: Source,
    data: DataOptions,
    default: str | None = None,
    raw: "RawCheckpoint | None" = None,
    opened: Opened | None = None,
    seed: int = 0,
) -> "Dataset":
    """The data as the network takes it, or random inputs where the user gave their shape.

    Args:
        source: no saved profile.
        data: what to open.
        default: the data set to take when none was named.
        raw: the checkpoint, if it has been read.
        opened: what has been opened for other networks of the same command, and is taken again.
        seed: of random inputs.
    """
    options, opened = source.options, {} if opened is None else opened
    data = _where_it_lay(source, data, default)
    if options.random:
        if source.kind.build is None and reads_tokens(reader_of(options, raw)):
            return data_for(options, data, default, raw, opened, seed)
        if data.named:
            raise InputError("--input-shape, --input-dtype and --high make random inputs: leave them out where data is")
        random_inputs(options)
        if not options.input_shape:
            raise InputError("--input-dtype and --high say what random inputs are like: add their shape, --input-shape")
        key: tuple[Any, ...] = ("random",)
        if key not in opened:
            opened[key] = random_data(options, seed)
        return opened[key]
    if source.kind.build is None:
        return data_for(options, data, default, raw, opened, seed)
    if not data.named and default is None:
        raise InputError("say what to run your model on: --input-shape C,H,W for random inputs, --dataset or --input")
    key = ("foreign", options.steps or options.loop)
    if key not in opened:
        opened[key] = open_data(data, default, time_steps=options.steps or options.loop, foreign=True)
    found = opened[key]
    if options.steps and found.kind == "events" and found.shape[0] != options.steps:
        option = "--time-steps" if options.time_first is None else "--time-first"
        raise InputError(f"the events have {found.shape[0]} frames, not {options.steps}: {option} {found.shape[0]}")
    return found


def _where_it_lay(source: Source, data: DataOptions, default: str | None) -> DataOptions:
    """With the folder that the data of the training lay in, where it is the same data and nobody says where it lies."""
    from saformer.training.folder import data_folder_of

    name = data.dataset or default
    if name in (None, "digits") or data.input is not None or data.data_dir is not None or source.kind is not CHECKPOINT:
        return data
    found = data_folder_of(source.what) if remembered_data(source.what) == name else None
    return data if found is None else replace(data, data_dir=found)


def default_data(sources: Iterable[Source], data: DataOptions) -> str | None:
    """The data set where none is named: what the checkpoints were trained on, digits for those of the package.

    Raises:
        InputError: they were trained on several, and none is named.
    """
    if data.named:
        return None
    remembered: dict[str, str] = {}
    for source in sources:
        if source.kind is CHECKPOINT and (name := remembered_data(source.what)) is not None:
            remembered.setdefault(name, source.short)
    if len(remembered) > 1:
        said = ", ".join(f"{who} on {name}" for name, who in remembered.items())
        raise InputError(f"the networks were trained on different data ({said}): say which to run them on, --dataset")
    return next(iter(remembered), None)


def check_reach(sources: Sequence[Source], options: LayoutOptions) -> None:
    """Raise InputError for an option that no network of the command takes."""
    given = {
        "--model-arg": options.arguments,
        "--input-shape": options.input_shape,
        "--input-dtype": options.input_type,
        "--high": options.high,
        "--time-first": options.time_first,
        "--time-axis": options.time_axis,
        "--loop": options.loop,
    }
    flags = [flag for flag, value in given.items() if value is not None]
    if not any(source.foreign for source in sources):
        tokens = any(not s.saved and reads_tokens(reader_of(s.options)) for s in sources) if options.random else False
        if wrong := [flag for flag in flags if not (tokens and flag in RANDOM_INPUTS)]:
            goes = "goes" if len(wrong) == 1 else "go"
            raise InputError(
                f"{', '.join(wrong)} {goes} with a model of your own, package.module:factory, and there is none here"
            )
    if options.weights is not None and not any(source.options.checkpoint for source in sources):
        raise InputError("--weights chooses among the weights of a checkpoint, and there is none here: leave it out")


def checkpoint_of(source: Source) -> "RawCheckpoint | None":
    """The checkpoint of one of our networks, read once."""
    return read_for(source.options) if source.kind.build is None and not source.saved else None


def check_runs(sources: Iterable[Source], what: str) -> None:
    """Raise InputError for a saved profile, where a network must be there to run; `what` needs it."""
    for source in sources:
        if source.saved:
            raise InputError(
                f"{Path(source.what).name} is a saved profile, which holds no network to run: {what} takes a "
                "checkpoint, a model name or package.module:factory"
            )
