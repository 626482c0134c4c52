"""About how long a run will take, from one batch of it."""

import time
from typing import TYPE_CHECKING

from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.network import network_of
from saformer.cli.resolve.run import DEFAULT_LIMIT
from saformer.cli.resolve.source import Source

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset

_PROBE = 8  # images


def images_of(run: RunOptions, data: "Dataset") -> int:
    """How many images a run takes of the data at most."""
    limit = DEFAULT_LIMIT if run.limit is None and data.split is not None else run.limit
    return min(limit or len(data), len(data))


def seconds_per_image(source: Source, data: "Dataset", run: RunOptions) -> float:
    """What one image takes in a small batch, nothing recorded, in the second of two passes: the first may compile.

    Args:
        source: no saved profile.
        data: what the network will run on.
        run: how.
    """
    import torch

    from saformer.analysis.recording.calling import NetworkCall

    device, options = choose_device(run.device), source.options
    model = network_of(source, data, seed=run.seed).module.to(device)
    foreign = source.foreign
    call = NetworkCall(model, model_input(options) if foreign else None, options.loop if foreign else None)
    images = min(_PROBE, run.batch_size or _PROBE, len(data))
    batch, _ = next(data.batches(images, None, run.seed, torch.float32, device))
    with torch.inference_mode(), own_errors(model):
        for _ in range(2):
            start = time.perf_counter()
            call(batch)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / images


def duration(seconds: float) -> str:
    """A time in words, in steps that an estimate deserves: 40 s, 3 min, 2 h."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"
