"""Time steps as a batch, for layers that keep no state."""

from collections.abc import Callable

from torch import Tensor, nn


def per_step(module: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a stateless module to every time step: T x B x ... -> T x B x ..., as one batch of T*B."""
    return module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class StepConv2d(nn.Conv2d):
    """A convolution of every time step, T x B x C x H x W."""

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C' x H' x W'."""
        return per_step(super().forward, x)


class StepBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over batch, space and time, T x B x C x H x W."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`."""
        return per_step(super().forward, x)


class StepNorm(nn.Module):
    """BatchNorm over batch, space and time under the name `bn`, T x B x C x H x W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = StepBatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`."""
        return self.bn(x)


class PerStep(nn.Sequential):
    """Layers without state, applied to every time step, T x B x ...; named as in SpikingJelly's SeqToANNContainer."""

    def forward(self, x: Tensor) -> Tensor:
        """T x B x ... from T x B x ..."""
        return per_step(super().forward, x)
