"""BatchNorm in training, alone or with the LIF neurons behind it, as one operator with its gradient on a CPU.

Of the size of the currents only what BatchNorm reads is kept for the gradient: currents and membranes are computed
again from it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from saformer.native.passes import MOST_STEPS, Native, Statistics, fits, native
from saformer.neurons.layout import laid_out_as
from saformer.neurons.norm_lif import rounded_once
from saformer.neurons.rule import exact


def _side_by_side(x: Tensor, channel: int) -> int | None:
    """How many elements of a channel lie side by side; 1 where channels do, None where neither does."""
    if x.is_contiguous():
        return x[0, 0, 0].numel() if channel == 2 else 1
    images = channel == 2 and x.ndim == 5 and x.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
    return 1 if images and x.stride(0) == x[0].numel() else None


def works(x: Tensor, channel: int, fires: bool) -> bool:
    """Whether the operator can take what BatchNorm reads, T x B x ..., with channels in that dimension."""
    return (
        fits(x)
        and (len(x) <= MOST_STEPS or not fires)
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


def _statistics(x: Tensor, channel: int, *numbers: Tensor | None) -> tuple[Native, Statistics]:
    library, inner, fused = native(), _side_by_side(x, channel), rounded_once()
    assert library is not None and inner is not None and fused is not None
    weight, bias, mean, inverse = numbers
    assert mean is not None and inverse is not None
    return library, Statistics(weight, bias, mean, inverse, inner, fused)


def _settings(neuron: tuple[float, ...]) -> tuple[float, ...]:
    return (*neuron, exact(neuron[0])) if neuron else ()


def _forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    momentum: float,
    eps: float,
    channel: int,
    *neuron: float,
) -> tuple[Tensor, Tensor, Tensor]:
    mean, inverse = (x.new_empty(x.shape[channel]) for _ in range(2))
    library, norm = _statistics(x, channel, weight, bias, mean, inverse)
    result, running = torch.empty_like(x), (running_mean, running_var)
    library.norm(x, result, norm, running, momentum, eps, _settings(neuron))
    return result, mean, inverse


def _backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    inverse: Tensor,
    channel: int,
    *neuron: float,
) -> tuple[Tensor, Tensor, Tensor]:
    library, norm = _statistics(x, channel, weight, bias, mean, inverse)
    result, gradient = torch.empty_like(x), laid_out_as(x, gradient)
    return result, *library.norm_backward(gradient, x, result, norm, _settings(neuron))


_operators = torch.library.Library("saformer", "FRAGMENT")
_GIVEN = (
    "Tensor x, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? running_var, float momentum, "
    "float eps, int channel"
)
_KEPT = "Tensor gradient, Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor inverse, int channel"
_NEURON = "float tau, float threshold, float reset"
for _schema in (f"batch_norm({_GIVEN})", f"batch_norm_lif({_GIVEN}, {_NEURON})"):
    _operators.define(f"{_schema} -> (Tensor, Tensor, Tensor)")
    _operators.impl(_schema.partition("(")[0], _forward, "CPU")
for _schema in (f"batch_norm_backward({_KEPT})", f"batch_norm_lif_backward({_KEPT}, {_NEURON}, float alpha)"):
    _operators.define(f"{_schema} -> (Tensor, Tensor, Tensor)")
    _operators.impl(_schema.partition("(")[0], _backward, "CPU")


class Normalising(torch.autograd.Function):
    """What BatchNorm makes of T x B x ..., or the spikes of it, with the surrogate gradient of `Firing`."""

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
        *neuron: float,
    ) -> Tensor:
        """The shape of `x`; the running statistics follow.

        Args:
            ctx: what the gradient needs.
            x: what BatchNorm reads; `works` says of which it can be.
            weight: of BatchNorm.
            bias: of BatchNorm.
            running: mean and variance, each where BatchNorm keeps them.
            momentum: how much they take of those of `x`.
            eps: of BatchNorm.
            channel: the dimension of channels: 2, or the last (-1).
            *neuron: its time constant, threshold and reset, and the steepness of its gradient; none without neurons.
        """
        operator = torch.ops.saformer.batch_norm_lif if neuron else torch.ops.saformer.batch_norm
        result, *statistics = operator(x, weight, bias, *running, momentum, eps, channel, *neuron[:3])
        ctx.save_for_backward(x, weight, bias, *statistics)
        ctx.channel, ctx.neuron = channel, neuron
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by what BatchNorm reads, and by its weight and bias."""
        operators = torch.ops.saformer
        operator = operators.batch_norm_lif_backward if ctx.neuron else operators.batch_norm_backward
        found = operator(gradient, *ctx.saved_tensors, ctx.channel, *ctx.neuron)
        wanted = zip(found, ctx.needs_input_grad[:3], strict=True)
        return (*(by if needed else None for by, needed in wanted), *[None] * (len(ctx.needs_input_grad) - 3))
