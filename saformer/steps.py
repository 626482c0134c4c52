"""Time steps as a batch, for modules that keep no state."""

from collections.abc import Callable

from torch import Tensor


def per_step(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a stateless module to every time step: T x B x ... -> T x B x ..., as one batch of T*B."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
