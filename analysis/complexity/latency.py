"""What one forward pass takes on this machine: time and peak memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from saformer.analysis.complexity.peak_memory import peak_bytes

#: Passes that are timed.
FEWEST, _MOST = 3, 20

#: Seconds of timing for each module, after which the fewest passes suffice.
LONG_ENOUGH = 1.0


@dataclass(frozen=True)
class Resources:
    """Time and memory of one forward pass.

    Args:
        seconds: of the fastest of several passes: whatever else the machine does only ever adds to it.
        peak_bytes: live memory that the pass adds at its peak to the module and its input.
        passes: that were timed.
    """

    seconds: float
    peak_bytes: int
    passes: int


def measure(
    modules: Sequence[Callable[[Any], Any]], inputs: torch.Tensor, progress: Callable[[int], None] | None = None
) -> list[Resources]:
    """Time and peak memory of each module in inference, on the device of the inputs.

    The modules are timed in turns, so that a slow moment of the machine hits them all alike.

    Args:
        modules: each is called with `inputs`.
        inputs: one batch.
        progress: called with 1 after each module's memory and first pass are known.
    """
    device = inputs.device

    def work(module: Callable[[Any], Any]) -> None:
        module(inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    peaks: list[int] = []
    times: list[list[float]] = [[] for _ in modules]
    with torch.inference_mode():
        for module in modules:
            work(module)  # libraries are loaded, and buffers that stay are made, by the first pass
            peaks.append(peak_bytes(partial(work, module), device))
            if progress is not None:
                progress(1)
        rounds = 0
        while rounds < FEWEST or (rounds < _MOST and sum(map(sum, times)) < LONG_ENOUGH * len(times)):
            for module, found in zip(modules, times, strict=True):
                start = time.perf_counter()
                work(module)
                found.append(time.perf_counter() - start)
            rounds += 1
    return [Resources(min(found), peak, rounds) for found, peak in zip(times, peaks, strict=True)]
