"""Layers that read spikes, in training on a CPU: linear ones and convolutions, by products that spikes make cheap."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input, conv2d_weight

from saformer.native.passes import fits
from saformer.native.products import products

# Multiplications from which on they are worth their preparation.
_WORTH = 1 << 24


def works(layer: nn.Module, x: Tensor) -> bool:
    """Whether the operator can take the place of a layer that reads T x B x ..., and is worth it.

    Whether `x` holds spikes is seen on the way: where it does not, PyTorch's operators do the work.
    """
    if not (torch.is_grad_enabled() and fits(x) and x.is_contiguous() and x.numel()):
        return False
    if torch.is_autocast_enabled("cpu") or not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
        return False
    if type(layer) is nn.Linear:
        inputs = x.shape[-1]
    elif type(layer) in (nn.Conv1d, nn.Conv2d) and _keeps_size(layer) and x.ndim == layer.weight.ndim + 1:
        inputs = x.shape[2]
    else:
        return False
    plain = all(type(p) is nn.Parameter and p.dtype is torch.float32 for p in layer.parameters())
    if not plain or not layer.weight.is_contiguous() or layer.weight.shape[1] != inputs:
        return False
    learns = x.requires_grad or any(p.requires_grad for p in layer.parameters())
    return learns and x.numel() // inputs * layer.weight.numel() >= _WORTH and products() is not None


def _keeps_size(layer: Any) -> bool:
    """Whether windows are square and odd, go step by step, and reach half beyond the border, which is zeros."""
    kernel = layer.kernel_size[0]
    square = layer.kernel_size == (kernel, kernel) or layer.kernel_size == (1,)
    steps = {*layer.stride, *layer.dilation, layer.groups} == {1}
    padded = not isinstance(layer.padding, str) and {*layer.padding} == {kernel // 2}
    return square and steps and kernel % 2 == 1 and padded and layer.padding_mode == "zeros"


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x, weight, bias) if weight.ndim == 2 else F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    library = products()
    assert library is not None
    result = library.forward(x, weight, bias)
    return _plain(x, weight, bias) if result is None else result


def _by_input(gradient: Tensor, weight: Tensor) -> Tensor:
    library = products()
    assert library is not None
    result = library.by_input(gradient, weight)
    if result is not None:
        return result
    if weight.ndim == 2:
        return gradient @ weight
    shape = (len(gradient), weight.shape[1], *gradient.shape[2:])
    return conv2d_input(shape, weight, gradient, padding=weight.shape[-1] // 2)


def _by_weight(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    library = products()
    assert library is not None
    result = library.by_weight(gradient, x, weight)
    if result is not None:
        return result
    if weight.ndim == 2:
        return gradient.flatten(0, -2).T @ x.flatten(0, -2)
    return conv2d_weight(x, weight.shape, gradient, padding=weight.shape[-1] // 2)


_operators = torch.library.Library("saformer", "FRAGMENT")
_operators.define("weighed(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
_operators.impl("weighed", _forward, "CPU")
_operators.define("weighed_by_input(Tensor gradient, Tensor weight) -> Tensor")
_operators.impl("weighed_by_input", _by_input, "CPU")
_operators.define("weighed_by_weight(Tensor gradient, Tensor x, Tensor weight) -> Tensor")
_operators.impl("weighed_by_weight", _by_weight, "CPU")


class Weighing(torch.autograd.Function):
    """A linear layer on ... x inputs, or a convolution on B x channels x H x W, and its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What the layer puts out."""
        ctx.save_for_backward(x, weight)
        return torch.ops.saformer.weighed(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by input, weight and bias."""
        x, weight = ctx.saved_tensors
        operators, gradient, wanted = torch.ops.saformer, gradient.contiguous(), ctx.needs_input_grad
        return (
            operators.weighed_by_input(gradient, weight) if wanted[0] else None,
            operators.weighed_by_weight(gradient, x, weight) if wanted[1] else None,
            _by_bias(gradient, weight) if wanted[2] else None,
        )


def _by_bias(gradient: Tensor, weight: Tensor) -> Tensor:
    return gradient.flatten(0, -2).sum(0) if weight.ndim == 2 else gradient.sum((0, 2, 3))


def weighed(layer: Any, x: Tensor) -> Tensor:
    """`layer` at every time step, T x B x ... -> T x B x ..., where `works` says that it can be."""
    if type(layer) is nn.Linear:
        return Weighing.apply(x, layer.weight, layer.bias)
    images, weight = x.flatten(0, 1), layer.weight
    if images.ndim == 3:
        images, weight = images.unsqueeze(2), weight.unsqueeze(2)
    result = Weighing.apply(images, weight, layer.bias)
    return result.view(*x.shape[:2], -1, *x.shape[3:])
