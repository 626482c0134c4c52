"""Exact integer counts of nonzeros and events, in passes over pieces of a tensor that fit into the cache."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.counting.looks import (
    Counted,
    Look,
    Looks,
    count,
    dense,
    leading_width,
    ones_where_nonzero,
    pass_size,
    sum_of_ones,
)
from saformer.analysis.recording.origins.storage_map import StorageMap
from saformer.native.passes import MOST_LEADING, Factor, Seen, fits, native
from saformer.pooling import maxima

# Matrices of which each is counted by itself.
_MANY = 1 << 14


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


@lru_cache(maxsize=1024)  # geometries of convolutions are few
def spatial_fan_out(
    size: int, kernel: int, stride: int, padding: int, dilation: int, out_size: int, transposed: bool
) -> tuple[int, ...]:
    """Outputs that each of `size` input positions reaches along one dimension of a convolution: fd of `convolution`."""
    fan_out = torch.zeros(size, dtype=torch.int64)
    for tap in range(kernel):
        if transposed:
            reached = torch.arange(size) * stride + tap * dilation - padding
            fan_out += (reached >= 0) & (reached < out_size)
        else:
            source = torch.arange(out_size) * stride + tap * dilation - padding
            fan_out += torch.bincount(source[(source >= 0) & (source < size)], minlength=size)
    return tuple(fan_out.tolist())


@lru_cache(maxsize=1024)
def _fan_out_at(fan_out: tuple[tuple[int, ...], ...]) -> Tensor:
    """The product of fan-outs of each position, flat, int64."""
    weights = torch.ones(1, dtype=torch.int64)
    for along in fan_out:
        weights = (weights[:, None] * torch.tensor(along, dtype=torch.int64)).flatten()
    return weights


@lru_cache(maxsize=1024)  # on a GPU each call would wait for the device
def _missing(fan_out: tuple[tuple[int, ...], ...], device: torch.device) -> tuple[int, Tensor, Tensor]:
    """The fan-out that most positions have; the others, flat, and what theirs is less.

    Inside, a convolution reaches as many outputs from everywhere: only its border need be looked at position by
    position.
    """
    weights = _fan_out_at(fan_out)
    most = int(weights.mode().values) if len(weights) else 0
    positions = (weights != most).nonzero().flatten()
    return most, positions.to(device), (most - weights[positions]).to(device)


def _of_a_square(size: int | Sequence[int]) -> int | None:
    """The one number that both sides have; None if they differ."""
    sides = {size} if isinstance(size, int) else set(size)
    return sides.pop() if len(sides) == 1 else None


def _strides(x: Tensor, lead: torch.Size) -> tuple[tuple[int, ...], int, int] | None:
    """Strides of a stack of matrices along its leading dimensions, which may be broadcast, and of its matrices; None
    where none of these lies side by side.
    """
    wide = x.expand(*lead, *x.shape[-2:])
    *leading, outer, inner = wide.stride()
    return (tuple(leading), outer, inner) if outer == 1 or inner == 1 else None


class Counter:
    """Counts per row (a row is a group of leading dimensions, such as one image at one step).

    A tensor that several operations read is counted once: `looks` are kept until `forget` or `clear`. Tensors that are
    zeros and ones by construction (`mark_binary`) are summed where that is faster than comparing; the integers are the
    same.
    """

    def __init__(self) -> None:
        self.looks = Looks()
        self._binary: StorageMap[bool] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self.looks.clear()
        self._binary.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that was written into."""
        self.looks.forget(x)
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

    def count(self, x: Tensor, rows: int) -> tuple[Tensor, Integers]:
        """Nonzeros of each row (int64, shape `rows`) and ones in all."""
        return self.counted(x, rows)()

    def counted(self, x: Tensor, rows: int) -> Counted:
        """The same: the tensor is looked at now, and what was seen is put in order when it is asked for."""
        x = x.dequantize() if x.is_quantized else x
        found = self.looks.rows(x, rows, self.is_binary(x))
        if found is None:
            nonzero, ones = count(as_rows(x, rows), self.is_binary(x))
            kept = Integers(nonzero)
            return lambda: (kept.tensor(), ones)
        return found

    def add(self, x: Any, y: Any) -> Tensor | None:
        """The sum of two tensors, looked at as it is made; None where the library does not fit."""
        if not (isinstance(x, Tensor) and isinstance(y, Tensor) and fits(x) and fits(y) and x.numel()):
            return None
        library = native()
        if library is None or x.shape != y.shape or x.stride() != y.stride() or not dense(x):
            return None
        out = torch.empty_like(x)
        self._keep(out, library.add(x, y, out, leading_width(x)))
        return out

    def max_pool(
        self, x: Any, kernel: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
    ) -> Tensor | None:
        """The maxima over windows of ... x H x W, which is looked at as it is pooled; None where the library does not
        fit. The arguments are those of `torch.nn.functional.max_pool2d`.
        """
        if not isinstance(x, Tensor) or x.ndim < 3 or ceil_mode or _of_a_square(dilation) != 1:
            return None
        sizes = [side for size in (kernel, stride or kernel, padding) if (side := _of_a_square(size)) is not None]
        if len(sizes) < 3:
            return None
        known = self.is_binary(x) or self.looks.seen(x) is not None
        found = maxima(x, *sizes, chunks=0 if known else x.shape[: max(x.ndim - 3, 1)].numel())
        if found is None:
            return None
        self._keep(x, found[1])
        return found[0]

    def weighted(self, x: Tensor, rows: int, fan_out: tuple[tuple[int, ...], ...]) -> Tensor:
        """Per row, the sum over nonzeros of the product of their fan-outs along each spatial dimension.

        Args:
            x: rows*k x C x d1 x ... x dn.
            rows: leading groups to keep apart.
            fan_out: for each spatial dimension the outputs that each position reaches along it.
        """
        most, positions, missing = _missing(fan_out, x.device)
        if not len(positions) or not x.numel():
            return self.count(x, rows)[0] * most
        if fits(x) and x.is_contiguous() and (library := native()) is not None:
            lines, unseen = x.view(rows, -1, x.shape[2:].numel()), self.looks.seen(x) is None
            sums, shown = library.weighted(lines, _fan_out_at(fan_out), self.looks.words(x), unseen)
            self._keep(x, shown)
            return sums
        total = self.count(x, rows)[0] * most
        x, binary = x.flatten(2), self.is_binary(x)
        less = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        scratch = torch.empty(0, dtype=torch.float32, device=x.device)
        step = max(pass_size(x) // (x.shape[1] * len(positions)), 1)
        for start in range(0, x.shape[0], step):
            border = x[start : start + step].index_select(2, positions)
            per_position = sum_of_ones(ones_where_nonzero(border, binary, scratch), 1)
            less[start : start + step] = (per_position * missing).sum(1)
        return total - less.view(rows, -1).sum(1)

    def pairs(self, x: Tensor, y: Tensor, rows: int) -> Tensor:
        """Pairs of nonzeros that meet in the product X Y: sum over k of nnz(X[:, k]) nnz(Y[k, :]), per row.

        Args:
            x: ... x n x k.
            y: ... x k x m, the same leading dimensions after broadcasting.
            rows: leading groups of the product to keep apart.
        """
        lead = broadcast(x.shape[:-2], y.shape[:-2])
        found = self._pairs_in_one(x, y, lead, rows)
        if found is not None:
            return found
        columns = self._nonzero_along(x, -2).expand(*lead, -1).reshape(rows, -1)
        lines = self._nonzero_along(y, -1).expand(*lead, -1).reshape(rows, -1)
        return (columns * lines).sum(1)

    def _pairs_in_one(self, x: Tensor, y: Tensor, lead: torch.Size, rows: int) -> Tensor | None:
        """The same in one pass, which looks at the values of what nobody has looked at, too."""
        if not (fits(x) and fits(y) and x.numel() and y.numel()) or len(lead) > MOST_LEADING or lead.numel() % rows:
            return None
        mine, its, library = _strides(x, lead), _strides(y, lead), native()
        if mine is None or its is None or library is None:
            return None
        words, unseen = self.looks.words, self._unseen
        factors = (
            Factor(x, words(x, True), mine[0], x.shape[-2], mine[1], mine[2], unseen(x, lead)),
            Factor(y, words(y, True), its[0], y.shape[-1], its[2], its[1], unseen(y, lead)),
        )
        events, shown = library.pairs(*factors, lead, x.shape[-1], rows)
        for factor, found in zip(factors, shown, strict=True):
            self._keep(factor.x, found)
        return events

    def _keep(self, x: Tensor, shown: Seen | None) -> None:
        """Keep what a pass over `x` showed beside what it was asked for."""
        if shown is not None:
            nonzero, ones, largest, whole = shown
            width = x.numel() // len(nonzero)
            self.looks.keep(x, Look(width, Integers(nonzero), Integers(ones), largest, whole))

    def _unseen(self, x: Tensor, lead: torch.Size) -> bool:
        """Whether a stack of matrices is to be looked at: nobody did, each lies in one piece, and they are not many."""
        whole = x.is_contiguous() and x.shape[:-2] == lead and lead.numel() <= _MANY
        return whole and self.looks.seen(x) is None

    def _nonzero_along(self, x: Tensor, dim: int) -> Tensor:
        """Nonzeros along one of the last two dimensions, for every matrix of the stack."""
        if not x.numel() or self.is_binary(x):
            return sum_of_ones(x, dim)
        stack = x.reshape(-1, *x.shape[-2:])
        scratch, counts = torch.empty(0, dtype=torch.float32, device=x.device), []
        step = max(pass_size(x) // max(stack[0].numel(), 1), 1)
        for start in range(0, len(stack), step):
            counts.append(sum_of_ones(ones_where_nonzero(stack[start : start + step], False, scratch), dim))
        return torch.cat(counts).view(*x.shape[:-2], -1)

    def positions(self, x: Tensor, y: Tensor, rows: int) -> Tensor:
        """Positions where both factors of a broadcast elementwise product are nonzero, per row."""
        x, y = torch.broadcast_tensors(x, y)
        leading = 1
        while leading < x.ndim and x.shape[:leading].numel() % rows:
            leading += 1
        x, y = x.flatten(0, leading - 1), y.flatten(0, leading - 1)
        totals = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        step = max(pass_size(x) // max(x[0].numel(), 1), 1)
        for start in range(0, len(x), step):
            where = slice(start, start + step)
            both = torch.ne(x[where], 0).logical_and_(torch.ne(y[where], 0)).reshape(len(x[where]), -1)
            totals[where] = sum_of_ones(both, 1)
        return totals.view(rows, -1).sum(1)
