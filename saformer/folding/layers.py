"""Linear layers as arrays, and how two that follow each other are one: W2 (W1 x + b1) + b2."""

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: Layers with a weight, and those with running statistics; subclasses count, where the trace sees them compute alike.
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMALISING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def foldable(module: nn.Module) -> bool:
    """Whether it is of a kind that folding merges."""
    return isinstance(module, (*WEIGHTED, *NORMALISING))


@dataclass(frozen=True)
class Layer:
    """y = W * x + b, a convolution of zero-padded x (a linear layer has no axes in space), in float64.

    Args:
        weight: outputs x inputs/groups x kernel.
        bias: of the outputs.
        stride: by axis in space.
        padding: by axis in space, at both ends.
        dilation: by axis in space.
        groups: of channels.
        anywhere: it acts on each place alone, in whatever space: a scale and a shift of each channel.
    """

    weight: Tensor
    bias: Tensor
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    anywhere: bool = False

    @property
    def pointwise(self) -> bool:
        """Whether each place of the padded input gives the same place of the output."""
        return all(size == 1 for size in (*self.weight.shape[2:], *self.stride))

    @property
    def depthwise(self) -> bool:
        """Whether each channel is computed of itself alone."""
        return self.weight.shape[1] == 1 and self.weight.shape[0] == self.groups

    @property
    def inputs(self) -> int:
        """Channels that come in."""
        return self.weight.shape[1] * self.groups


def layer_of(module: nn.Module) -> Layer | None:
    """The layer that a convolution, linear layer or BatchNorm in evaluation mode is; None for any other."""
    if isinstance(module, _BatchNorm):
        mean, variance = module.running_mean, module.running_var
        if module.training or mean is None or variance is None:
            return None
        scale = 1 / torch.sqrt(variance.double() + module.eps)
        shift = -mean.double() * scale
        if module.weight is not None:
            scale, shift = scale * module.weight.double(), shift * module.weight.double()
        if module.bias is not None:  # BatchNorm through time has scales alone
            shift = shift + module.bias.double()
        return scaling(scale, shift)
    if not isinstance(module, WEIGHTED):
        return None
    weight = module.weight.detach().double()
    bias = weight.new_zeros(len(weight)) if module.bias is None else module.bias.detach().double()
    if isinstance(module, nn.Linear):
        return Layer(weight, bias)
    if module.padding_mode != "zeros":
        return None
    reach = [dilation * (size - 1) for size, dilation in zip(module.kernel_size, module.dilation, strict=True)]
    if module.padding == "same" and any(size % 2 for size in reach):
        return None  # it pads one end more than the other
    named = {"same": tuple(size // 2 for size in reach), "valid": (0,) * len(reach)}
    padding = named[module.padding] if isinstance(module.padding, str) else tuple(module.padding)
    return Layer(weight, bias, tuple(module.stride), padding, tuple(module.dilation), module.groups)


def scaling(scale: Tensor, shift: Tensor, padding: tuple[int, ...] = ()) -> Layer:
    """A scale and a shift of each channel, of an input that is padded with zeros before."""
    ones = (1,) * len(padding)
    weight = scale.detach().reshape(-1, 1, *ones)
    return Layer(weight, shift.detach(), ones, padding, ones, len(scale), anywhere=not any(padding))


def composed(first: Layer, second: Layer) -> Layer | None:
    """The layer that computes `second` of `first`; None where no single one does, for what it pads.

    A convolution pads with zeros what comes before it. So a border that the second pads is that of a padded input only
    where the first makes zero of zero: without a bias, BatchNorm's shift included. A `first` that has padded its input
    by itself, and shifts it, is no hindrance: its border holds what it makes of zero.
    """
    first, second = _in_space(first, second), _in_space(second, first)
    if len(first.weight) != second.inputs or first.weight.ndim != second.weight.ndim:
        return None
    if first.pointwise:
        if any(second.padding) and bool(first.bias.any()):
            return None
        padding = tuple(a + b for a, b in zip(first.padding, second.padding, strict=True))
        spatial = replace(second, padding=padding)
    elif all(size == 1 for size in second.weight.shape[2:]) and not any(second.padding):
        stride = tuple(a * b for a, b in zip(first.stride, second.stride, strict=True))
        spatial = replace(first, stride=stride)
    else:
        return None
    summed = _flat(second.weight).sum(2)  # outputs x inputs/groups: what a constant input is multiplied by
    shifted = (summed * first.bias.reshape(second.groups, -1).repeat_interleave(len(summed) // second.groups, 0)).sum(1)
    weight, groups = _product(first, second)
    anywhere = first.anywhere and second.anywhere
    return replace(spatial, weight=weight, bias=second.bias + shifted, groups=groups, anywhere=anywhere)


def _in_space(layer: Layer, other: Layer) -> Layer:
    """A scale and a shift with the axes of the layer it meets."""
    if not layer.anywhere or layer.weight.ndim == other.weight.ndim:
        return layer
    ones = (1,) * (other.weight.ndim - 2)
    weight = layer.weight.reshape(-1, 1, *ones)
    return replace(layer, weight=weight, stride=ones, padding=tuple(0 for _ in ones), dilation=ones)


def _product(first: Layer, second: Layer) -> tuple[Tensor, int]:
    """The weights of both, one of which has a kernel of 1 in space, and their groups."""
    one, two = first.weight, second.weight
    if first.depthwise:  # each channel between has one input
        scale = one.reshape(second.groups, -1, *one.shape[2:]).repeat_interleave(len(two) // second.groups, 0)
        return two * scale, second.groups
    if second.depthwise:
        return two * one, first.groups
    groups = math.gcd(first.groups, second.groups)
    blocks = zip(_block(first, groups), _block(second, groups), strict=True)
    # Of the two kernels one has a single place: sums over places and channels between are one product.
    products = [torch.einsum("miq,omp->oiqp", _flat(a), _flat(b)).flatten(2) for a, b in blocks]
    kernel = one.shape[2:] if one[0, 0].numel() > 1 else two.shape[2:]
    return torch.cat(products).unflatten(2, kernel) if kernel else torch.cat(products).squeeze(2), groups


def _flat(weight: Tensor) -> Tensor:
    """Outputs x inputs x places, one place for a linear layer."""
    return weight.reshape(*weight.shape[:2], -1)


def _block(layer: Layer, groups: int) -> list[Tensor]:
    """The weights of each of so few groups, with zeros where a smaller group has none."""
    inner = layer.groups // groups
    found = []
    for block in layer.weight.chunk(groups):
        rows, columns = len(block) // inner, block.shape[1]
        dense = block.new_zeros(len(block), inner * columns, *block.shape[2:])
        for i in range(inner):
            dense[i * rows : (i + 1) * rows, i * columns : (i + 1) * columns] = block[i * rows : (i + 1) * rows]
        found.append(dense)
    return found


def as_module(layer: Layer, like: nn.Module) -> nn.Module:
    """A module that computes `layer`, of the kind, device and floating type of `like`, the first in its chain."""
    module = copy.deepcopy(like)
    assert isinstance(module, WEIGHTED)
    kept = module.weight
    module.weight = nn.Parameter(layer.weight.to(kept), requires_grad=kept.requires_grad)
    module.bias = nn.Parameter(layer.bias.to(kept), requires_grad=kept.requires_grad)
    inputs, outputs = layer.inputs, len(layer.weight)
    if isinstance(module, nn.Linear):
        sizes: dict[str, Any] = {"in_features": inputs, "out_features": outputs}
    else:
        kernel = tuple(layer.weight.shape[2:])
        sizes = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel, "groups": layer.groups}
        sizes |= {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
    for name, value in sizes.items():
        setattr(module, name, value)
    return module
