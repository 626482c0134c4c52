"""Products with spikes in training on a CPU, in C: as float32 as PyTorch's, in other orders.

With a matrix unit (AMX) a spike is one bfloat16, and a float32 is three: see `split.h`. Without one a row of weights,
or of gradients, is added for each element that is not zero: see `events.c`.
"""

import ctypes
import functools
from collections.abc import Callable

import torch
from torch import Tensor

from saformer.native.passes import compiled


class Products:
    """The functions of the library on contiguous float32 tensors of the CPU, with a matrix unit.

    Each returns None where it has no result: a number is infinite or NaN, or one of the spikes is no bfloat16.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        whole, pointer, flag = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int
        sizes = {"product": 3, "by_weight": 3, "convolution": 6, "by_window": 6}
        for name, count in sizes.items():
            scratch = getattr(library, f"{name}_scratch")
            scratch.argtypes = [*[whole] * count, *[flag] * (2 if name in ("product", "convolution") else 1)]
            scratch.restype = whole
        library.product_of.argtypes = [*[pointer] * 4, *[whole] * 3, *[flag] * 2, pointer, flag]
        library.product_by_weight.argtypes = [*[pointer] * 3, *[whole] * 3, pointer, flag]
        library.convolution_of.argtypes = [*[pointer] * 4, *[whole] * 6, *[flag] * 2, pointer, flag]
        library.convolution_by_weight.argtypes = [*[pointer] * 3, *[whole] * 6, pointer, flag]

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """`F.linear` of ... x inputs, or a convolution that keeps the size of B x channels x H x W, of spikes.

        Args:
            x: spikes, or other numbers with 8 binary digits.
            weight: outputs x inputs, or outputs x inputs x k x k, k odd.
            bias: one number for each output, or None.
        """
        return self._product(x, weight, bias, back=False)

    def by_input(self, gradient: Tensor, weight: Tensor) -> Tensor | None:
        """The gradient by what was read of that by the result."""
        return self._product(gradient, weight, None, back=True)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None, back: bool) -> Tensor | None:
        outputs, pieces, threads = weight.shape[1 if back else 0], 3 if back else 1, torch.get_num_threads()
        places = x.data_ptr(), weight.data_ptr(), None if bias is None else bias.data_ptr()
        if weight.ndim == 2:
            result = x.new_empty(*x.shape[:-1], outputs)
            sizes = x.numel() // x.shape[-1], x.shape[-1], outputs
            scratch = _scratch(self._library.product_scratch, *sizes, pieces, threads)
            settings = not back, pieces
            bad = self._library.product_of(*places, result.data_ptr(), *sizes, *settings, scratch.data_ptr(), threads)
        else:
            result = x.new_empty(len(x), outputs, *x.shape[2:])
            sizes = len(x), x.shape[1], outputs, *x.shape[2:], weight.shape[-1]
            scratch = _scratch(self._library.convolution_scratch, *sizes, pieces, threads)
            settings = back, pieces
            bad = self._library.convolution_of(
                *places, result.data_ptr(), *sizes, *settings, scratch.data_ptr(), threads
            )
        return None if bad else result

    def by_weight(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
        """The gradient by the weight of that by the result."""
        result, threads = torch.empty_like(weight), torch.get_num_threads()
        places = gradient.data_ptr(), x.data_ptr(), result.data_ptr()
        if weight.ndim == 2:
            sizes = _of_rows(x, weight)
            scratch = _scratch(self._library.by_weight_scratch, *sizes, threads)
            bad = self._library.product_by_weight(*places, *sizes, scratch.data_ptr(), threads)
        else:
            sizes = _of_images(x, weight)
            scratch = _scratch(self._library.by_window_scratch, *sizes, threads)
            bad = self._library.convolution_by_weight(*places, *sizes, scratch.data_ptr(), threads)
        return None if bad else result


def _scratch(size: Callable[..., int], *sizes: int) -> Tensor:
    return torch.empty(size(*sizes), dtype=torch.uint8)


class Additions:
    """The same without a matrix unit.

    Each returns None where too few elements are zero, or a weight or a gradient is infinite or NaN.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        whole, pointer, flag = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int
        for kind, count in (("linear", 3), ("windows", 6)):
            for name, places in ((f"{kind}_of", 4), (f"{kind}_by_weight", 3)):
                getattr(library, name).argtypes = [*[pointer] * places, *[whole] * count, pointer, flag]
            for name in (f"{kind}_scratch", f"{kind}_by_weight_scratch"):
                getattr(library, name).argtypes = [*[whole] * count, flag]
                getattr(library, name).restype = whole

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """`F.linear` of ... x inputs, or a convolution that keeps the size of B x channels x H x W, of spikes.

        Args:
            x: spikes, or other numbers of which most are zero.
            weight: outputs x inputs, or outputs x inputs x k x k, k odd.
            bias: one number for each output, or None.
        """
        outputs, library = len(weight), self._library
        shape = (*x.shape[:-1], outputs) if weight.ndim == 2 else (len(x), outputs, *x.shape[2:])
        result = x.new_empty(shape)
        places = x.data_ptr(), weight.data_ptr(), None if bias is None else bias.data_ptr(), result.data_ptr()
        if weight.ndim == 2:
            return self._done(library.linear_of, library.linear_scratch, places, _of_rows(x, weight), result)
        return self._done(library.windows_of, library.windows_scratch, places, _of_images(x, weight), result)

    def by_input(self, gradient: Tensor, weight: Tensor) -> None:
        """The gradient by what was read has few zeros: PyTorch's products are as fast as any."""

    def by_weight(self, gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
        """The gradient by the weight of that by the result."""
        result, library = torch.empty_like(weight), self._library
        places = gradient.data_ptr(), x.data_ptr(), result.data_ptr()
        if weight.ndim == 2:
            sizes, scratch = _of_rows(x, weight), library.linear_by_weight_scratch
            return self._done(library.linear_by_weight, scratch, places, sizes, result)
        sizes, scratch = _of_images(x, weight), library.windows_by_weight_scratch
        return self._done(library.windows_by_weight, scratch, places, sizes, result)

    @staticmethod
    def _done(
        work: Callable[..., int],
        scratch: Callable[..., int],
        places: tuple[int | None, ...],
        sizes: tuple[int, ...],
        result: Tensor,
    ) -> Tensor | None:
        threads = torch.get_num_threads()
        own = _scratch(scratch, *sizes, threads)
        return None if work(*places, *sizes, own.data_ptr(), threads) else result


def _of_rows(x: Tensor, weight: Tensor) -> tuple[int, ...]:
    return x.numel() // x.shape[-1], x.shape[-1], len(weight)


def _of_images(x: Tensor, weight: Tensor) -> tuple[int, ...]:
    return len(x), x.shape[1], len(weight), *x.shape[2:], weight.shape[-1]


@functools.cache
def products() -> Products | Additions | None:
    """The library; None where it cannot be made, or the processor has neither a matrix unit nor AVX2 or AVX-512."""
    library = compiled()
    if library is None:
        return None
    if library.matrix_unit():
        return Products(library)
    return Additions(library) if library.vector_unit() else None
