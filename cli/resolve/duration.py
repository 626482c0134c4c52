"""About how long a run will take, from one batch of it."""

import time
from typing import TYPE_CHECKING

from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.run import DEFAULT_LIMIT

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model

_PROBE = 8  # images


def images_of(run: RunOptions, data: "Dataset") -> int:
    """How many images a run takes of the data at most."""
    limit = DEFAULT_LIMIT if run.limit is None and data.split is not None else run.limit
    return min(limit or len(data), len(data))


def seconds_per_image(model: "Model", data: "Dataset", run: RunOptions) -> float:
    """What one image takes in a small batch, nothing recorded, in the second of two passes: the first may compile."""
    import torch

    device = choose_device(run.device)
    model = model.to(device)
    parameter = next(model.parameters())
    batch, _ = next(data.batches(min(_PROBE, run.batch_size or _PROBE), None, run.seed, parameter.dtype, device))
    with torch.no_grad():
        for _ in range(2):
            start = time.perf_counter()
            logits = model(batch)
            float(logits.sum())  # waits for an accelerator
    return (time.perf_counter() - start) / len(batch)


def duration(seconds: float) -> str:
    """A time in words, in steps that an estimate deserves: 40 s, 3 min, 2 h."""
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"
