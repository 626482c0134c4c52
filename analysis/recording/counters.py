"""Exact integer counts of nonzeros and events, in passes over pieces of a tensor that fit into the cache."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saformer.analysis.recording.storage_map import StorageMap
from saformer.native import fits, native

# Elements per pass. On a CPU a pass stays in the cache; anywhere it bounds the memory that counting takes.
# Sums of ones in float32 are exact up to 2**24, so no pass may be longer than that.
CPU_PASS = 1 << 18
DEVICE_PASS = 1 << 24


def _pass_size(x: Tensor) -> int:
    return CPU_PASS if x.device.type == "cpu" else DEVICE_PASS


def broadcast(*shapes: torch.Size) -> torch.Size:
    """As `torch.broadcast_shapes`, which imports sympy at its first call."""
    return torch.Size(np.broadcast_shapes(*shapes))


def as_rows(x: Tensor, rows: int) -> Tensor:
    """View `x` as rows x elements, without a copy where its memory allows; the order within a row is lost.

    Args:
        x: a tensor whose first dimensions multiply to a multiple of `rows`.
        rows: leading groups to keep apart (images times steps).
    """
    leading, size = 0, 1
    while size < rows and leading < x.ndim:
        size *= x.shape[leading]
        leading += 1
    rest = sorted(range(leading, x.ndim), key=x.stride, reverse=True)
    return x.permute(*range(leading), *rest).reshape(rows, -1)


def _leading(x: Tensor, rows: int) -> tuple[tuple[int, int], ...]:
    """What tells the rows of two views of one storage apart: their number, sizes and strides of leading dimensions."""
    found, size = [(rows, 0)], 1
    for length, stride in zip(x.shape, x.stride(), strict=True):
        if size >= rows:
            break
        size *= length
        found.append((length, stride))
    # T x B and T*B are the same rows where one is the other flattened.
    merged = [found[0]]
    for length, stride in found[1:]:
        if len(merged) > 1 and merged[-1][1] == length * stride:
            merged[-1] = (merged[-1][0] * length, stride)
        else:
            merged.append((length, stride))
    return tuple(merged)


def _passes(rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Pieces of rows x elements of bounded size, with the rows that each piece covers."""
    count, width = rows.shape
    size = _pass_size(rows)
    if width >= size:
        for row in range(count):
            for start in range(0, width, size):
                yield slice(row, row + 1), rows[row : row + 1, start : start + size]
    else:
        step = max(size // max(width, 1), 1)
        for row in range(0, count, step):
            yield slice(row, row + step), rows[row : row + step]


def _ones_where_nonzero(x: Tensor, binary: bool, scratch: Tensor) -> Tensor:
    """1.0 where `x` is nonzero: `x` itself if it is known to hold only zeros and ones."""
    if binary:
        return x
    if x.is_complex():  # a result in place would lose the imaginary part
        return x.ne(0).to(torch.float32)
    return torch.ne(x, 0, out=scratch.resize_(x.shape))


def _scratch(x: Tensor) -> Tensor:
    return torch.empty(0, dtype=torch.float32, device=x.device)


def _sum(x: Tensor, dim: int) -> Tensor:
    """Integer sum of zeros and ones along one dimension, each sum below 2**24 terms or taken in float64."""
    exact = torch.float32 if x.shape[dim] <= DEVICE_PASS else torch.float64
    return x.sum(dim, dtype=exact).to(torch.int64)


def _fills_storage(x: Tensor) -> bool:
    """Whether `x` shows every element of its storage once: then every such view has the same elements."""
    contiguous = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1 and stride != contiguous:
            return False
        contiguous *= size
    return x.numel() * x.element_size() == x.untyped_storage().nbytes()


@lru_cache(maxsize=1024)  # geometries of convolutions are few; on a GPU each call would wait for the device
def spatial_fan_out(
    size: int,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    out_size: int,
    transposed: bool,
    device: torch.device | None = None,
) -> Tensor:
    """Outputs that each of `size` input positions reaches along one dimension of a convolution: fd of `convolution`.

    Returns:
        `size` numbers, int64. One tensor for all callers: not to be written into.
    """
    fan_out = torch.zeros(size, dtype=torch.int64)
    for tap in range(kernel):
        if transposed:
            reached = torch.arange(size) * stride + tap * dilation - padding
            fan_out += (reached >= 0) & (reached < out_size)
        else:
            source = torch.arange(out_size) * stride + tap * dilation - padding
            fan_out += torch.bincount(source[(source >= 0) & (source < size)], minlength=size)
    return fan_out.to(device)


class Integers:
    """A few integers between one use and the next.

    On a CPU they become Python's own: small tensors that live on among large ones that come and go pin the
    allocator's heap, which raised the resident peak of a run by half. On any other device they stay where they are,
    because reading them would wait for the device.
    """

    __slots__ = ("_value",)

    def __init__(self, x: Tensor) -> None:
        self._value: Any = x.tolist() if x.device.type == "cpu" else x

    def tensor(self) -> Tensor:
        """The integers as a tensor, int64."""
        value = self._value
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.int64)

    def plus(self, x: Tensor) -> "Integers":
        """The sum with a tensor of the same shape."""
        return Integers(self.tensor() + x)

    def __int__(self) -> int:
        return int(self._value)


class Counter:
    """Counts per row (a row is a group of leading dimensions, such as one image at one step).

    A tensor that several operations read is counted once: counts are kept by storage until `forget` or `clear`.
    Tensors that are zeros and ones by construction (`mark_binary`) are summed, which is several times faster than
    comparing; the integers are the same.
    """

    def __init__(self) -> None:
        self._known: StorageMap[dict[tuple[tuple[int, int], ...], tuple[Integers, Integers]]] = StorageMap()
        self._binary: StorageMap[bool] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._binary.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that was written into."""
        self._known.discard(x)
        self._binary.discard(x)

    def mark_binary(self, x: Tensor) -> None:
        """Take it as given that `x` and every view of it hold only zeros and ones."""
        self._binary[x] = True

    def is_binary(self, x: Tensor) -> bool:
        """Whether `x` is a view of a tensor marked as binary."""
        return x in self._binary

    def looks_binary(self, x: Tensor) -> bool:
        """Whether a glance at a few elements of `x` finds only zeros and ones; cheap, and it settles most cases."""
        if self.is_binary(x):
            return True
        glance = x.flatten()[:: max(x.numel() // 1024, 1)]
        return not bool(((glance != 0) & (glance != 1)).any())

    def holds_binary(self, x: Tensor) -> bool:
        """Whether all elements of `x` are zeros and ones."""
        if self.is_binary(x):
            return True
        if not self.looks_binary(x):
            return False
        nonzero, ones = self.count(x, 1)
        return int(nonzero) == int(ones)

    def learn(self, x: Tensor, nonzero: Tensor) -> None:
        """Take it as given that `x`, marked as binary, has so many nonzeros in each of these rows."""
        if _fills_storage(x):
            known = Integers(nonzero), Integers(nonzero.sum())
            self._known[x] = {_leading(x, len(nonzero)): known}

    def count(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """Nonzeros of each row (int64, shape `rows`) and ones in all (int64 scalar)."""
        x = x.dequantize() if x.is_quantized else x
        if not _fills_storage(x):
            return self._count(x, rows)
        known = self._known.get(x)
        if known is None:
            known = {}
            self._known[x] = known
        key = _leading(x, rows)
        if key not in known:
            nonzero, ones = self._count(x, rows)
            known[key] = Integers(nonzero), Integers(ones)
            return nonzero, ones
        return known[key][0].tensor(), known[key][1].tensor()

    def _count(self, x: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        flat = as_rows(x, rows)
        if self.is_binary(x):
            nonzero = _sum(flat, 1)
            return nonzero, nonzero.sum()
        if fits(flat) and flat.is_contiguous() and (library := native()) is not None:
            return library.count(flat)
        nonzero = torch.zeros(rows, dtype=torch.int64, device=x.device)
        ones = torch.zeros((), dtype=torch.int64, device=x.device)
        scratch = _scratch(x)
        for where, piece in _passes(flat):
            mask = _ones_where_nonzero(piece, False, scratch)
            nonzero[where] += mask.sum(1).to(torch.int64)
            ones += (piece.eq(1) if x.is_complex() else torch.eq(piece, 1, out=mask)).sum().to(torch.int64)
        return nonzero, ones

    def weighted(self, x: Tensor, rows: int, fan_out: list[Tensor]) -> Tensor:
        """Per row, the sum over nonzeros of the product of their fan-outs along each spatial dimension.

        Args:
            x: rows*k x C x d1 x ... x dn.
            rows: leading groups to keep apart.
            fan_out: for each spatial dimension an int64 vector: outputs that a position reaches along it.
        """
        weights = fan_out[0]
        for vector in fan_out[1:]:
            weights = (weights[:, None] * vector).flatten()
        binary = self.is_binary(x)
        x = x.contiguous().view(x.shape[0], x.shape[1], -1)
        totals = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        scratch = _scratch(x)
        step = max(_pass_size(x) // max(x[0].numel(), 1), 1)
        for start in range(0, x.shape[0], step):
            per_position = _sum(_ones_where_nonzero(x[start : start + step], binary, scratch), 1)
            totals[start : start + step] = (per_position * weights).sum(1)
        return totals.view(rows, -1).sum(1)

    def pairs(self, x: Tensor, y: Tensor, rows: int) -> Tensor:
        """Pairs of nonzeros that meet in the product X Y: sum over k of nnz(X[:, k]) nnz(Y[k, :]), per row.

        Args:
            x: ... x n x k.
            y: ... x k x m, the same leading dimensions after broadcasting.
            rows: leading groups of the product to keep apart.
        """
        lead = broadcast(x.shape[:-2], y.shape[:-2])
        columns = self._nonzero_along(x, -2).expand(*lead, -1).reshape(rows, -1)
        lines = self._nonzero_along(y, -1).expand(*lead, -1).reshape(rows, -1)
        return (columns * lines).sum(1)

    def _nonzero_along(self, x: Tensor, dim: int) -> Tensor:
        """Nonzeros along one of the last two dimensions, for every matrix of the stack."""
        if self.is_binary(x) or not x.numel():
            return _sum(x, dim)
        stack = x.reshape(-1, *x.shape[-2:])
        scratch, counts = _scratch(x), []
        step = max(_pass_size(x) // max(stack[0].numel(), 1), 1)
        for start in range(0, len(stack), step):
            counts.append(_sum(_ones_where_nonzero(stack[start : start + step], False, scratch), dim))
        return torch.cat(counts).view(*x.shape[:-2], -1)

    def positions(self, x: Tensor, y: Tensor, rows: int) -> Tensor:
        """Positions where both factors of a broadcast elementwise product are nonzero, per row."""
        x, y = torch.broadcast_tensors(x, y)
        leading = 1
        while leading < x.ndim and x.shape[:leading].numel() % rows:
            leading += 1
        x, y = x.flatten(0, leading - 1), y.flatten(0, leading - 1)
        totals = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        step = max(_pass_size(x) // max(x[0].numel(), 1), 1)
        for start in range(0, len(x), step):
            where = slice(start, start + step)
            both = torch.ne(x[where], 0).logical_and_(torch.ne(y[where], 0)).reshape(len(x[where]), -1)
            totals[where] = _sum(both, 1)
        return totals.view(rows, -1).sum(1)
