"""What one forward pass takes on this machine: time and peak memory."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saformer.analysis.complexity.memory import peak_bytes

_FEWEST, _MOST = 3, 20  # passes that are timed
_LONG_ENOUGH = 1.0  # seconds of timing after which the fewest passes suffice


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


def measure(module: nn.Module, *inputs: Tensor) -> Resources:
    """Time and peak memory of `module(*inputs)` in inference, on the device that the inputs are on."""
    device = inputs[0].device

    def work() -> None:
        module(*inputs)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.inference_mode():
        work()  # libraries are loaded, and buffers that stay are made, by the first pass
        peak = peak_bytes(work, device)
        times: list[float] = []
        while len(times) < _FEWEST or (sum(times) < _LONG_ENOUGH and len(times) < _MOST):
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return Resources(min(times), peak, len(times))
