"""Max pooling without the places of the maxima, which PyTorch's writes beside them and evaluation does not need."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saformer.native import WIDEST, fits, native


def _max_pool2d(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    *outer, height, width = x.shape
    wide = width + 2 * padding > WIDEST or min(height, width) + 2 * padding < kernel or 2 * padding > kernel
    if not (fits(x) and x.numel() and x.is_contiguous()) or wide or (library := native()) is None:
        return F.max_pool2d(x, kernel, stride, padding)
    sizes = [(size + 2 * padding - kernel) // stride + 1 for size in (height, width)]
    result = x.new_empty(*outer, *sizes)
    library.max_pool(x, result, kernel, stride, padding)
    return result


_library = torch.library.Library("saformer", "FRAGMENT")
_library.define("max_pool2d(Tensor x, int kernel, int stride, int padding) -> Tensor")
_library.impl("max_pool2d", _max_pool2d, "CompositeExplicitAutograd")
max_pool2d = torch.ops.saformer.max_pool2d.default


class MaxPool2d(nn.MaxPool2d):
    """`torch.nn.MaxPool2d`, by an operator of our own where no gradient is wanted on a CPU."""

    def forward(self, x: Tensor) -> Any:
        """... x H' x W' from ... x H x W."""
        sizes = (self.kernel_size, self.stride, self.padding)
        if (
            all(isinstance(size, int) for size in sizes)
            and (self.dilation, self.ceil_mode, self.return_indices) == (1, False, False)
            and fits(x)
            and not (torch.is_grad_enabled() and x.requires_grad)
            and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
        ):
            return max_pool2d(x, *sizes)
        return super().forward(x)
