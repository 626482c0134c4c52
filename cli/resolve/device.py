"""Where a model runs, and what is said when its memory is not enough."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from saformer.errors import InputError, out_of_memory

if TYPE_CHECKING:
    import torch

_MANY_STEPS = 64  # more than any published network takes


def choose_device(name: str) -> "torch.device":
    """The device of that name, "auto" for a GPU where there is one.

    Raises:
        InputError: there is no such device here.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError):
        available = ["auto", "cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            available.append("mps")
        raise InputError(
            f"--device {name}: there is no such device here, choose one of {', '.join(available)}"
        ) from None
    if device.type == "meta":
        raise InputError("--device meta computes nothing: choose cpu or cuda")
    return device


@contextmanager
def enough_memory(images: int, time_steps: int | None) -> Iterator[None]:
    """Turn running out of memory into advice: fewer images at a time, or fewer steps where their number is unusual."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        if time_steps is not None and time_steps > _MANY_STEPS:
            what, advice = f"T = {time_steps:,} time steps", "try fewer (--time-steps; published networks have 4 to 16)"
        elif images > 1:
            what, advice = f"{images:,} images at a time", f"try --batch-size {images // 2}"
        else:
            what, advice = "one image at a time", "the model does not fit even one image"
        raise InputError(f"out of memory with {what}: {advice}") from None
