"""`saformer::batch_norm_lif`: BatchNorm in training and the LIF neurons behind it, forwards and backwards on a CPU.

The compiled library does all of a channel while the channel is in the cache. Of the size of the currents only what
BatchNorm reads is kept for the gradient: currents and membranes are computed again from it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saformer.native import MOST_STEPS, Native, Statistics, fits, native
from saformer.neurons.layout import laid_out_as
from saformer.neurons.norm_lif import rounded_once
from saformer.neurons.rule import exact


def _side_by_side(x: Tensor, channel: int) -> int | None:
    """How many elements of a channel lie side by side; 1 where channels do, None where neither does."""
    if x.is_contiguous():
        return x[0, 0, 0].numel() if channel == 2 else 1
    images = channel == 2 and x.ndim == 5 and x.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    return 1 if images and x.stride(0) == x[0].numel() else None


def works(x: Tensor, channel: int) -> bool:
    """Whether the operator can take what BatchNorm reads, T x B x ..., with channels in that dimension."""
    return (
        fits(x)
        and 0 < len(x) <= MOST_STEPS
        and x.numel() > x.shape[channel]  # of a single value there is no variance
        and _side_by_side(x, channel) is not None
        and rounded_once() is not None
        and native() is not None
    )


def following(norm: Any) -> tuple[tuple[Tensor | None, Tensor | None], float]:
    """The running mean and variance that this batch changes, and by how much; a BatchNorm that keeps them counts it."""
    if not (norm.training and norm.track_running_stats):
        return (None, None), 0.0
    momentum = norm.momentum
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if momentum is None:  # the mean of all batches
            momentum = 1.0 / float(norm.num_batches_tracked)
    return (norm.running_mean, norm.running_var), momentum or 0.0


def _library(x: Tensor, channel: int) -> tuple[Native, int, bool]:
    library, inner, fused = native(), _side_by_side(x, channel), rounded_once()
    assert library is not None and inner is not None and fused is not None
    return library, inner, fused


def _forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float,
    eps: float,
    channel: int,
    tau: float,
    threshold: float,
    reset: float,
) -> tuple[Tensor, Tensor, Tensor]:
    library, inner, fused = _library(x, channel)
    mean, inverse = (x.new_empty(x.shape[channel]) for _ in range(2))
    spikes = torch.empty_like(x)
    norm = Statistics(weight, bias, mean, inverse, inner, fused)
    running = running_mean, running_var
    library.norm_lif(x, spikes, norm, running, momentum, eps, tau, threshold, reset, exact(tau))
    return spikes, mean, inverse


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    inverse: Tensor,
    channel: int,
    tau: float,
    threshold: float,
    reset: float,
    alpha: float,
) -> tuple[Tensor, Tensor, Tensor]:
    library, inner, fused = _library(x, channel)
    result = torch.empty_like(x)
    norm = Statistics(weight, bias, mean, inverse, inner, fused)
    settings = tau, threshold, reset, alpha, exact(tau)
    return result, *library.norm_lif_backward(laid_out_as(x, gradient), x, result, norm, *settings)


_operators = torch.library.Library("saformer", "FRAGMENT")
_operators.define(
    "batch_norm_lif(Tensor x, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? running_var, "
    "float momentum, float eps, int channel, float tau, float threshold, float reset) -> (Tensor, Tensor, Tensor)"
)
_operators.define(
    "batch_norm_lif_backward(Tensor gradient, Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor inverse, "
    "int channel, float tau, float threshold, float reset, float alpha) -> (Tensor, Tensor, Tensor)"
)
_operators.impl("batch_norm_lif", _forward, "CPU")
_operators.impl("batch_norm_lif_backward", _backward, "CPU")


class NormalisedFiring(torch.autograd.Function):
    """Spikes of what BatchNorm makes of T x B x ..., with the surrogate gradient of `Firing`."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor | None, Tensor | None],
        momentum: float,
        eps: float,
        channel: int,
        alpha: float,
        *neuron: float,
    ) -> Tensor:
        """Spikes of the shape of `x`; the running statistics follow.

        Args:
            ctx: what the gradient needs.
            x: what BatchNorm reads; `works` says of which it can be.
            weight: of BatchNorm.
            bias: of BatchNorm.
            running: mean and variance, each where BatchNorm keeps them.
            momentum: how much they take of those of `x`.
            eps: of BatchNorm.
            channel: the dimension of channels: 2, or the last (-1).
            alpha: steepness of the surrogate gradient.
            *neuron: its time constant, threshold and reset.
        """
        settings = momentum, eps, channel, *neuron
        spikes, *statistics = torch.ops.saformer.batch_norm_lif(x, weight, bias, *running, *settings)
        ctx.save_for_backward(x, weight, bias, *statistics)
        ctx.settings = channel, *neuron, alpha
        return spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by what BatchNorm reads, and by its weight and bias."""
        found = torch.ops.saformer.batch_norm_lif_backward(gradient, *ctx.saved_tensors, *ctx.settings)
        wanted = zip(found, ctx.needs_input_grad[:3], strict=True)
        return (*(by if needed else None for by, needed in wanted), *[None] * (len(ctx.needs_input_grad) - 3))
