"""From the options to the sequences that a language model reads: a text, token ids of a file, or random ones."""

from dataclasses import replace
from typing import TYPE_CHECKING

from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.random_inputs import random_data, random_inputs
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import BaseConfig


def holds_tokens(name: str | None) -> bool:
    """Whether the data set of that name holds sequences of tokens.

    Raises:
        InputError: there is no such data set.
    """
    from saformer.data import DATASETS

    return name is not None and DATASETS.find(name).kind == "tokens"


def open_tokens(options: ModelOptions, data: DataOptions, config: "BaseConfig", seed: int) -> "Dataset":
    """The array of --input, or what --input-shape asks for: whole numbers below the vocabulary's size unless told.

    Args:
        options: with the shape of random inputs, if they are wanted.
        data: with the file, if there is one.
        config: of the model.
        seed: of random tokens.

    Raises:
        InputError: there is neither, there are both, or a data set of images was named, or what there is does not
            fit the model.
    """
    from saformer.data.arrays import open_inputs

    ways = (
        "--dataset text, --input FILE.npz with an array x of token ids, samples x tokens, or --input-shape 128:int64 "
        "for random ones"
    )
    if options.input_shape and data.named:
        raise InputError("--input-shape makes random inputs: leave it out where --input or --dataset has data")
    if data.dataset is not None:
        raise InputError(f"--dataset {data.dataset} holds no tokens, which a language model reads: give {ways}")
    if options.input_shape:
        asked = replace(options, input_type=options.input_type or "int64")
        if random_inputs(asked)[0].type.startswith("int"):
            asked = replace(asked, high=options.high or config.num_classes)
        found = random_data(asked, seed)
    elif data.input is not None:
        found = open_inputs(data.input)
    else:
        raise InputError(f"a language model reads tokens: give {ways}")
    _check(config, found)
    return found


def _check(config: "BaseConfig", data: "Dataset") -> None:
    """Raise InputError where the data is no sequences of tokens, or has some that the vocabulary has not."""
    ids = data.images[:]
    if ids.ndim != 2 or ids.is_floating_point():
        shape, kind = " x ".join(map(str, data.shape)), str(ids.dtype).removeprefix("torch.")
        raise InputError(f"{config.name} reads samples x tokens of whole numbers; {data.name} has {shape} of {kind}")
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= config.num_classes:
        wrong, last = low if low < 0 else high, config.num_classes - 1
        raise InputError(f"{config.name} has tokens from 0 to {last:,}; {data.name} holds {wrong:,}")
