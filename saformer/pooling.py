"""Max pooling that keeps no places of the maxima where no gradient is wanted, and else a byte for each."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from saformer.native.passes import WIDEST, Native, Seen, fits, native

_LARGEST = 15  # places in a window are a byte


def _library(x: Tensor, kernel: int, stride: int, padding: int) -> Native | None:
    """The compiled library, if it can pool ... x H x W."""
    *_, height, width = x.shape
    if kernel < 1 or stride < 1 or padding < 0:  # PyTorch says what is wrong
        return None
    wide = width + 2 * padding > WIDEST or min(height, width) + 2 * padding < kernel or 2 * padding > kernel
    return native() if fits(x) and x.numel() and x.is_contiguous() and not wide else None


def _empty_maxima(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    *outer, height, width = x.shape
    return x.new_empty(*outer, *((size + 2 * padding - kernel) // stride + 1 for size in (height, width)))


def maxima(x: Tensor, kernel: int, stride: int, padding: int, *, chunks: int = 0) -> tuple[Tensor, Seen | None] | None:
    """The maxima of ... x H x W over square windows, and what a look at `x` shows; None where the library does not fit.

    Args:
        x: what is pooled.
        kernel: height and width of a window.
        stride: from one window to the next.
        padding: on each side.
        chunks: if given, `x` is looked at, too, in so many equal parts of whole planes.
    """
    library = _library(x, kernel, stride, padding)
    if library is None:
        return None
    result = _empty_maxima(x, kernel, stride, padding)
    return result, library.max_pool(x, result, kernel, stride, padding, chunks=chunks)


def _max_pool2d(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    found = maxima(x, kernel, stride, padding)
    return F.max_pool2d(x, kernel, stride, padding) if found is None else found[0]


def _with_places(x: Tensor, kernel: int, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    library = _library(x, kernel, stride, padding)
    assert library is not None
    result = _empty_maxima(x, kernel, stride, padding)
    places = torch.empty_like(result, dtype=torch.uint8)
    library.max_pool(x, result, kernel, stride, padding, places=places)
    return result, places


def _backward(gradient: Tensor, places: Tensor, height: int, width: int, *sizes: int) -> Tensor:
    library = native()
    assert library is not None
    result = gradient.new_empty(*gradient.shape[:-2], height, width)
    library.max_pool_backward(gradient.contiguous(), places, result, *sizes)
    return result


_operators = torch.library.Library("saformer", "FRAGMENT")
_operators.define("max_pool2d(Tensor x, int kernel, int stride, int padding) -> Tensor")
_operators.impl("max_pool2d", _max_pool2d, "CompositeExplicitAutograd")
_operators.define("max_pool2d_with_places(Tensor x, int kernel, int stride, int padding) -> (Tensor, Tensor)")
_operators.impl("max_pool2d_with_places", _with_places, "CPU")
_operators.define(
    "max_pool2d_backward(Tensor gradient, Tensor places, int height, int width, int kernel, int stride, int padding) "
    "-> Tensor"
)
_operators.impl("max_pool2d_backward", _backward, "CPU")
max_pool2d = torch.ops.saformer.max_pool2d.default


class _Pooling(torch.autograd.Function):
    """Max pooling with its gradient; of equal elements the first gets it, as PyTorch has it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *sizes: int) -> Tensor:
        """Maxima of ... x H x W."""
        result, places = torch.ops.saformer.max_pool2d_with_places(x, *sizes)
        ctx.save_for_backward(places)
        ctx.sizes = *x.shape[-2:], *sizes
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient by `x`."""
        return torch.ops.saformer.max_pool2d_backward(gradient, *ctx.saved_tensors, *ctx.sizes), None, None, None


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d`, by operators of our own on a CPU."""

    def forward(self, x: Tensor) -> Any:
        """... x H' x W' from ... x H x W."""
        kernel, stride, padding = self.kernel_size, self.stride, self.padding
        if (
            not (torch.compiler.is_compiling() or torch.jit.is_tracing())
            and isinstance(kernel, int)
            and isinstance(stride, int)
            and isinstance(padding, int)
            and (self.dilation, self.ceil_mode, self.return_indices) == (1, False, False)
            and fits(x)
        ):
            if not (torch.is_grad_enabled() and x.requires_grad):
                return max_pool2d(x, kernel, stride, padding)
            if kernel <= _LARGEST and _library(x, kernel, stride, padding) is not None:
                return _Pooling.apply(x, kernel, stride, padding)
        return super().forward(x)
