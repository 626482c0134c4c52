"""Passes over memory that PyTorch's operators make several of, in C. Where there is no compiler, PyTorch's operators
give the same numbers: bit for bit, but for BatchNorm in training and gradients, which they round otherwise.
"""

import ctypes
import functools
import math
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from saformer.native.compiling import library

_SOURCES = [
    *(
        Path(__file__).with_name(f"{name}.c")
        for name in ("lif", "norm", "pool", "counts", "linear", "convolution", "events")
    ),
    *(Path(__file__).with_name(f"{name}.h") for name in ("threads", "lif", "split", "words", "seen")),
]
#: The widest plane that is pooled, with its padding.
WIDEST = 1024
#: Steps whose membranes the backward pass keeps beside each other.
MOST_STEPS = 64
# Parts of rows whose sums are made one by one, so that they are the same with any number of threads.
_PIECES = 32
#: Leading dimensions of a stack of matrices.
MOST_LEADING = 4
# Bits of elements are read 64 at a time, from any bit on.
_WORDS_BEHIND = 5
# Where arithmetic may trap, a loop that chooses between two results is vectorised with AVX-512 alone.
_FLAGS = (
    *("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-pthread", "-lm"),
    *(("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()),
    *(f"-DWIDEST={WIDEST}", f"-DMOST_STEPS={MOST_STEPS}", f"-DPIECES={_PIECES}", f"-DMOST_LEADING={MOST_LEADING}"),
    f"-DWORDS_BEHIND={_WORDS_BEHIND}",
)
# Elements from which on a second thread is worth its start.
_SHARED = 1 << 18


@dataclass(frozen=True)
class Affine:
    """Currents are `slope x + shift` of what is given, channel by channel.

    Args:
        slope: one number for each channel.
        shift: one number for each channel.
        inner: elements of a channel that lie side by side; with 1 channels themselves do.
        fused: product and sum are rounded once, not each.
    """

    slope: Tensor
    shift: Tensor
    inner: int
    fused: bool


@dataclass(frozen=True)
class Statistics:
    """BatchNorm by the statistics of what it reads, T x rows x channels x inner.

    Args:
        weight: one number for each channel, or None.
        bias: one number for each channel, or None.
        mean: of each channel.
        inverse: 1 / sqrt(variance + eps) of each channel.
        inner: elements of a channel that lie side by side.
        fused: product and sum are rounded once, not each.
    """

    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor
    inverse: Tensor
    inner: int
    fused: bool


#: Nonzeros of each chunk, ones, the largest magnitude, and, of whole numbers, the smallest, the largest and their sum.
Seen = tuple[Tensor, int, float, tuple[int, int, int] | None]


@dataclass(frozen=True)
class Factor:
    """A stack of matrices in a product, counted along their lines for each of the k that are summed over.

    Args:
        x: its elements, from the first on.
        words: a bit for each element of the memory of `x`, from the first on: whether it is not zero; or None.
        leading: from one matrix to the next along each leading dimension.
        lines: n or m.
        line: from one line to the next.
        summed: from one of the k to the next; this or `line` is 1.
        look: its values are looked at, too: each matrix lies in one piece.
    """

    x: Tensor
    words: Tensor | None
    leading: tuple[int, ...]
    lines: int
    line: int
    summed: int
    look: bool = False


class Native:
    """The functions of the library on contiguous float32 tensors of the CPU."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        whole, number, pointer, flag = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p, ctypes.c_int
        library.lif_forward.argtypes = [
            *[pointer] * 3,
            *[whole] * 3,
            *[pointer] * 2,
            *[whole] * 2,
            flag,
            *[number] * 3,
            flag,
            pointer,
            flag,
        ]
        library.lif_backward.argtypes = [pointer] * 3 + [whole] * 2 + [number] * 4 + [flag] * 2
        library.lif_backward.restype = None
        statistics = [pointer] * 3 + [whole] * 4 + [pointer] * 4 + [flag] + [pointer] * 3
        library.norm_forward.argtypes = [*statistics[1:], *[ctypes.c_double] * 2, flag, *[number] * 3, flag, flag]
        library.norm_forward.restype = None
        library.norm_backward.argtypes = [*statistics, flag, *[number] * 4, flag, flag]
        library.norm_backward.restype = None
        library.max_pool.argtypes = [pointer] * 3 + [whole] * 9 + [pointer] * 2 + [flag]
        library.max_pool.restype = number
        library.max_pool_backward.argtypes = [pointer] * 3 + [whole] * 8 + [flag]
        library.max_pool_backward.restype = None
        library.look.argtypes = [pointer, whole, whole, whole, number, pointer, pointer, flag]
        library.look.restype = number
        library.write_bits.argtypes, library.write_bits.restype = [pointer, whole, pointer, flag], None
        library.add.argtypes = [*[pointer] * 3, whole, whole, pointer, pointer, flag]
        library.add.restype = number
        library.pairs.argtypes = [*[pointer] * 9, *[whole] * 3, *[pointer] * 3, flag]
        library.pairs.restype = None
        library.weighted.argtypes = [pointer, pointer, whole, whole, whole, *[pointer] * 4, flag]
        library.weighted.restype = number

    def lif(
        self,
        x: Tensor,
        spikes: Tensor,
        segments: int,
        tau: float,
        threshold: float,
        reset: float,
        exact: bool,
        norm: Affine | None = None,
        words: Tensor | None = None,
    ) -> tuple[Tensor, bool]:
        """Write the spikes of currents, T x neurons, in one pass.

        Args:
            x: currents.
            spikes: where spikes are written.
            segments: parts of a step, one after the other in memory, whose spikes are counted apart.
            tau: membrane time constant.
            threshold: V_th.
            reset: V_reset, and rest.
            exact: products with 1/tau are not rounded.
            norm: what makes currents of `x`; a part holds whole channels then.
            words: where a bit for each spike is written, as `words_for` makes it: the channels or neurons that one loop
                goes over are a multiple of 16.

        Returns:
            Spikes of each segment, T x segments, int64; and whether all currents are finite.
        """
        steps, neurons = x.shape
        counts = torch.zeros(steps, segments, dtype=torch.int64)
        bad = self._library.lif_forward(
            x.data_ptr(),
            spikes.data_ptr(),
            _pointer(words),
            steps,
            segments,
            neurons // segments,
            *((None, None, 0, 0, 0) if norm is None else _arguments(norm)),
            tau,
            threshold,
            reset,
            exact,
            counts.data_ptr(),
            _threads(x),
        )
        return counts, not bad

    def lif_backward(
        self,
        gradient: Tensor,
        x: Tensor,
        result: Tensor,
        tau: float,
        threshold: float,
        reset: float,
        alpha: float,
        exact: bool,
    ) -> None:
        """Write the gradient by the currents, T x neurons with T up to `MOST_STEPS`, of that by the spikes."""
        self._library.lif_backward(
            gradient.data_ptr(),
            x.data_ptr(),
            result.data_ptr(),
            *x.shape,
            tau,
            threshold,
            reset,
            alpha,
            exact,
            _threads(x),
        )

    def norm(
        self,
        x: Tensor,
        result: Tensor,
        norm: Statistics,
        running: tuple[Tensor | None, Tensor | None],
        momentum: float,
        eps: float,
        neuron: tuple[float, ...],
    ) -> None:
        """Write T x ..., normalised by its own statistics, or the spikes of it; and the statistics.

        Args:
            x: what BatchNorm reads.
            result: what comes out.
            norm: statistics, which are written, too.
            running: those that follow the statistics, mean and variance.
            momentum: how much of the statistics they take.
            eps: of BatchNorm.
            neuron: tau, V_th, V_reset and whether products with 1/tau are exact, T up to `MOST_STEPS`; or nothing.
        """
        sizes, given, scratch = _statistics(norm, x, bool(neuron))
        places = (x.data_ptr(), result.data_ptr(), *sizes, *given, scratch.data_ptr(), *map(_pointer, running))
        self._library.norm_forward(*places, momentum, eps, *_fires(neuron, 4), _threads(x))

    def norm_backward(
        self,
        gradient: Tensor,
        x: Tensor,
        result: Tensor,
        norm: Statistics,
        neuron: tuple[float, ...],
    ) -> tuple[Tensor, Tensor]:
        """Write the gradient by `x` of that by the result of `norm`; returns those by weight and bias.

        Args:
            gradient: by what came out.
            x: what BatchNorm reads.
            result: the gradient by it.
            norm: statistics.
            neuron: as in `norm`, with the steepness of the surrogate gradient behind V_reset.
        """
        by_weight, by_bias = (torch.empty_like(norm.mean) for _ in range(2))
        sizes, given, scratch = _statistics(norm, x, bool(neuron))
        places = (gradient.data_ptr(), x.data_ptr(), result.data_ptr(), *sizes, *given)
        parameters = scratch.data_ptr(), by_weight.data_ptr(), by_bias.data_ptr()
        self._library.norm_backward(*places, *parameters, *_fires(neuron, 5), _threads(x))
        return by_weight, by_bias

    def max_pool(
        self,
        x: Tensor,
        result: Tensor,
        kernel: int,
        stride: int,
        padding: int,
        *,
        places: Tensor | None = None,
        chunks: int = 0,
    ) -> Seen | None:
        """Write the maxima over square windows of ... x H x W, 2 padding <= kernel.

        Args:
            x: what is pooled.
            result: the maxima.
            kernel: height and width of a window.
            stride: from one window to the next.
            padding: on each side.
            places: if given, which element of its window each is (uint8), kernel <= 15.
            chunks: if given, `x` is looked at, too, in so many equal parts of whole planes.

        Returns:
            What was seen.
        """
        planes, *sizes = _windows(x, result, kernel, stride, padding)
        nonzero, found = torch.zeros(chunks, dtype=torch.int64) if chunks else None, (ctypes.c_int64 * 5)()
        given = x.data_ptr(), result.data_ptr(), _pointer(places), planes, *sizes
        largest = self._library.max_pool(*given, planes // max(chunks, 1), _pointer(nonzero), found, _threads(x))
        return None if nonzero is None else _seen(nonzero, found, largest)

    def max_pool_backward(
        self, gradient: Tensor, places: Tensor, result: Tensor, kernel: int, stride: int, padding: int
    ) -> None:
        """Write the gradient by what was pooled of that by the maxima."""
        sizes = _windows(result, gradient, kernel, stride, padding)
        pointers = gradient.data_ptr(), result.data_ptr(), places.data_ptr()
        self._library.max_pool_backward(*pointers, *sizes, _threads(result))

    def words(self, x: Tensor) -> Tensor:
        """A bit for each element of a dense tensor, whether it is not zero, in the order of its memory (int16)."""
        words = words_for(x)
        self._library.write_bits(x.data_ptr(), x.numel(), words.data_ptr(), _threads(x))
        return words

    def look(self, chunks: Tensor, scale: float = 1.0) -> Seen:
        """One pass over chunks x elements, each chunk in one piece.

        Returns:
            Nonzeros of each chunk (int64); ones in all; the largest magnitude, infinite or NaN if one is; and where all
            times `scale`, a power of two, are whole numbers within 2**18, the smallest and the largest of zero and
            these, and the sum of magnitudes.
        """
        nonzero = torch.zeros(len(chunks), dtype=torch.int64)
        found = (ctypes.c_int64 * 5)()
        largest = self._library.look(
            chunks.data_ptr(), *chunks.shape, chunks.stride(0), scale, nonzero.data_ptr(), found, _threads(chunks)
        )
        return _seen(nonzero, found, largest)

    def add(self, x: Tensor, y: Tensor, out: Tensor, width: int) -> Seen:
        """Write x + y, all laid out alike and dense, and look at it, each chunk of so many elements in one piece."""
        nonzero = torch.zeros(x.numel() // width, dtype=torch.int64)
        found = (ctypes.c_int64 * 5)()
        places = x.data_ptr(), y.data_ptr(), out.data_ptr()
        largest = self._library.add(*places, len(nonzero), width, nonzero.data_ptr(), found, _threads(x))
        return _seen(nonzero, found, largest)

    def pairs(
        self, x: Factor, y: Factor, sizes: Sequence[int], k: int, rows: int
    ) -> tuple[Tensor, tuple[Seen | None, Seen | None]]:
        """Pairs of nonzeros that meet in products of stacks of matrices n x k and k x m.

        Args:
            x: the first stack.
            y: the second.
            sizes: of the leading dimensions, up to `MOST_LEADING`.
            k: what is summed over.
            rows: so many groups of matrices are counted apart.

        Returns:
            Pairs of each row (int64), and what was seen of the factors that were to be looked at.
        """
        matrices = math.prod(sizes)
        lengths = [1] * (MOST_LEADING - len(sizes)) + list(sizes)
        events = torch.empty(rows, dtype=torch.int64)
        nonzero = [torch.empty(matrices, dtype=torch.int64) if factor.look else None for factor in (x, y)]
        given = []
        for factor, counts in zip((x, y), nonzero, strict=True):
            steps = [0] * (MOST_LEADING - len(sizes)) + [*factor.leading, factor.lines, factor.line, factor.summed]
            numbers = (ctypes.c_int64 * len(steps))(*steps)
            given += [factor.x.data_ptr(), _pointer(factor.words), numbers, _pointer(counts)]
        found, largest = (ctypes.c_int64 * 10)(), (ctypes.c_float * 2)()
        self._library.pairs(
            *given,
            (ctypes.c_int64 * MOST_LEADING)(*lengths),
            k,
            rows,
            matrices // rows,
            events.data_ptr(),
            found,
            largest,
            min(torch.get_num_threads(), max(matrices * k * (x.lines + y.lines) // _SHARED, 1)),
        )
        seen = [
            None if counts is None else _seen(counts, found[5 * i : 5 * i + 5], largest[i])
            for i, counts in enumerate(nonzero)
        ]
        return events, (seen[0], seen[1])

    def weighted(
        self, x: Tensor, weight: Tensor, words: Tensor | None = None, look: bool = False
    ) -> tuple[Tensor, Seen | None]:
        """For each row of rows x lines x width the sum of the weights where it is nonzero, int64.

        Args:
            x: contiguous.
            weight: `width` numbers, int64.
            words: a bit for each element, whether it is not zero.
            look: its values are looked at, too, row by row.

        Returns:
            The sums, and what was seen.
        """
        sums, found = torch.empty(len(x), dtype=torch.int64), (ctypes.c_int64 * 5)()
        nonzero = torch.empty_like(sums) if look else None
        largest = self._library.weighted(
            x.data_ptr(),
            _pointer(words),
            *x.shape,
            weight.data_ptr(),
            sums.data_ptr(),
            _pointer(nonzero),
            found,
            _threads(x),
        )
        return sums, None if nonzero is None else _seen(nonzero, found, largest)


def _seen(nonzero: Tensor, found: Iterable[int], largest: float) -> Seen:
    ones, whole, low, high, total = found
    return nonzero, ones, largest, (low, high, total) if whole else None


def _arguments(norm: Affine) -> tuple[int, ...]:
    return norm.slope.data_ptr(), norm.shift.data_ptr(), norm.slope.numel(), norm.inner, norm.fused


def _statistics(norm: Statistics, x: Tensor, in_steps: bool) -> tuple[tuple[int, ...], tuple[int | None, ...], Tensor]:
    """Steps, rows of a step, channels, elements of one side by side; where the numbers of each channel are; scratch."""
    channels = norm.mean.numel()
    steps = len(x) if in_steps else 1
    rows = x.numel() // (steps * channels * norm.inner)
    given = map(_pointer, (norm.weight, norm.bias, norm.mean, norm.inverse))
    scratch = torch.empty(2 * (_PIECES + 1) * channels, dtype=torch.float64)
    return (steps, rows, channels, norm.inner), (*given, norm.fused), scratch


def _fires(neuron: tuple[float, ...], numbers: int) -> tuple[float, ...]:
    """Whether there are neurons, and so many numbers of theirs."""
    return (True, *neuron) if neuron else (False, *[0] * numbers)


def _windows(x: Tensor, maxima: Tensor, kernel: int, stride: int, padding: int) -> tuple[int, ...]:
    *_, height, width = x.shape
    return (x.numel() // (height * width), height, width, *maxima.shape[-2:], kernel, stride, padding)


def _pointer(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _threads(x: Tensor) -> int:
    return min(torch.get_num_threads(), max(x.numel() // _SHARED, 1))


def words_for(x: Tensor) -> Tensor:
    """Memory for a bit for each element, sixteen to a word (int16), and as much behind them as passes read at once."""
    return torch.empty(-(-x.numel() // 16) + _WORDS_BEHIND, dtype=torch.int16)


def fits(x: Tensor) -> bool:
    """Whether a tensor is of the type and in the place for which the library is made."""
    return x.dtype is torch.float32 and x.device.type == "cpu" and type(x) is Tensor


@functools.cache
def compiled() -> ctypes.CDLL | None:
    """The library as it is, on PyTorch's threads; None where it cannot be made."""
    found = library("native", "CC", "cc", _SOURCES, _FLAGS)
    if found is not None:
        found.use_threads_of.argtypes, found.use_threads_of.restype = [ctypes.c_void_p], None
        found.use_threads_of(_parallel_region())
    return found


@functools.cache
def native() -> Native | None:
    """The library; None where it cannot be made, and PyTorch's operators give the same numbers."""
    found = compiled()
    return None if found is None else Native(found)


def _parallel_region() -> int | None:
    """The address of `GOMP_parallel` in the OpenMP that PyTorch works with; None where it has none of this kind."""
    try:
        whole = ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so"))
        return ctypes.cast(whole.GOMP_parallel, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None
