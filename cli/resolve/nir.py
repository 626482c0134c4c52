"""A NIR graph: a network of snnTorch, Norse, sinabs, Rockpool, Lava or Spyx that comes without its code."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.foreign import parse_argument
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def is_graph(what: str) -> bool:
    """The file is HDF5, as NIR graphs are; no more than its head is read."""
    from saformer.nir.reading import is_hdf5

    return is_hdf5(what)


def nir_network(options: ModelOptions, seed: int = 0) -> "tuple[nn.Module, list[str]]":
    """The network of a graph, with remarks on how it is run.

    Args:
        options: the file as `model`, T, and dt among the arguments.
        seed: of nothing: all weights are in the file.

    Raises:
        InputError: the file is no sound graph, or an option does not go with one.
    """
    from saformer.checkpoints.origin import Origin
    from saformer.checkpoints.reading import sha256_of
    from saformer.nir.network import DEFAULT_DT, network_from
    from saformer.nir.reading import read_graph

    path = Path(options.model or "")
    layout = {
        "--time-first": options.time_first,
        "--time-axis": options.time_axis,
        "--loop": options.loop,
        "--ckpt": options.checkpoint,
        "--weights": options.weights,
    }
    if wrong := [flag for flag, value in layout.items() if value is not None]:
        raise InputError(
            f"{path.name} is a NIR graph, which holds its weights and reads samples x T x ...: leave out {wrong[0]}"
        )
    given = dict(parse_argument(text, "--model-arg") for text in options.arguments or [])
    dt = given.pop("dt", DEFAULT_DT)
    if given or isinstance(dt, bool) or not isinstance(dt, int | float):
        raise InputError(f"{path.name} is a NIR graph: its one setting is the seconds of a step, +dt=0.001")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of arrays without elements and numbers beyond float32, which say so later on
        network = network_from(read_graph(path), options.time_steps, float(dt))
    network.origin = Origin(path, sha256_of(path))  # type: ignore[assignment]
    network.network_name = path.stem
    return network, network.remarks
