"""Exact integer counts of nonzeros and events, in passes small enough to stay in the cache and out of the way."""

from collections.abc import Iterator

import torch
from torch import Tensor

# Elements per pass. On a CPU a pass stays in the cache; anywhere it bounds the memory that counting takes.
# Sums of ones in float32 are exact up to 2**24, so no pass may be longer than that.
_CPU_PASS = 1 << 18
_DEVICE_PASS = 1 << 24


def _pass_size(x: Tensor) -> int:
    return _CPU_PASS if x.device.type == "cpu" else _DEVICE_PASS


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
    rest = sorted(range(leading, x.ndim), key=lambda d: -x.stride(d))
    return x.permute(*range(leading), *rest).reshape(rows, -1)


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


def count_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Nonzeros of each row, and ones of the whole.

    Args:
        rows: R x M, any dtype.

    Returns:
        int64 tensors of shapes R and ().
    """
    nonzero = torch.zeros(rows.shape[0], dtype=torch.int64, device=rows.device)
    ones = torch.zeros((), dtype=torch.int64, device=rows.device)
    scratch = torch.empty(0, dtype=torch.float32, device=rows.device)
    for where, piece in _passes(rows):
        mask = torch.ne(piece, 0, out=scratch.resize_(piece.shape))
        nonzero[where] += mask.sum(1).to(torch.int64)
        ones += torch.eq(piece, 1, out=mask).sum().to(torch.int64)
    return nonzero, ones


def weighted_rows(x: Tensor, rows: int, fan_out: list[Tensor]) -> Tensor:
    """Per row, the sum over nonzero elements of the product of their fan-outs along each spatial dimension.

    Args:
        x: rows*k x C x d1 x ... x dn.
        rows: leading groups to keep apart.
        fan_out: for each spatial dimension an int64 vector: outputs that a position reaches along it.

    Returns:
        int64 of shape `rows`.
    """
    weights = fan_out[0]
    for vector in fan_out[1:]:
        weights = (weights[:, None] * vector).flatten()
    x = x.contiguous().view(x.shape[0], x.shape[1], -1)
    totals = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
    scratch = torch.empty(0, dtype=torch.float32, device=x.device)
    step = max(_pass_size(x) // max(x[0].numel(), 1), 1)
    for start in range(0, x.shape[0], step):
        piece = x[start : start + step]
        per_position = torch.ne(piece, 0, out=scratch.resize_(piece.shape)).sum(1).to(torch.int64)
        totals[start : start + step] = (per_position * weights).sum(1)
    return totals.view(rows, -1).sum(1)


def spatial_fan_out(
    size: int, kernel: int, stride: int, padding: int, dilation: int, out_size: int, transposed: bool
) -> Tensor:
    """Outputs that each of `size` input positions reaches along one dimension of a convolution (int64)."""
    fan_out = torch.zeros(size, dtype=torch.int64)
    for tap in range(kernel):
        if transposed:
            reached = torch.arange(size) * stride + tap * dilation - padding
            fan_out += (reached >= 0) & (reached < out_size)
        else:
            source = torch.arange(out_size) * stride + tap * dilation - padding
            fan_out += torch.bincount(source[(source >= 0) & (source < size)], minlength=size)
    return fan_out


def _mask(x: Tensor) -> Tensor:
    return torch.ne(x, 0).to(torch.float32)


def meeting_pairs(x: Tensor, y: Tensor, rows: int) -> Tensor:
    """Pairs of nonzeros that meet in the product X Y: sum over k of nnz(X[:, k]) nnz(Y[k, :]), per row.

    Args:
        x: ... x n x k.
        y: ... x k x m, the same leading dimensions after broadcasting.
        rows: leading groups of the product to keep apart.
    """
    lead = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = x.expand(*lead, *x.shape[-2:]).reshape(-1, *x.shape[-2:])
    y = y.expand(*lead, *y.shape[-2:]).reshape(-1, *y.shape[-2:])
    totals = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    step = max(_pass_size(x) // max(x[0].numel(), y[0].numel(), 1), 1)
    for start in range(0, len(x), step):
        where = slice(start, start + step)
        columns, lines = _mask(x[where]).sum(-2), _mask(y[where]).sum(-1)
        totals[where] = (columns.to(torch.int64) * lines.to(torch.int64)).sum(-1)
    return totals.view(rows, -1).sum(1)


def meeting_elements(x: Tensor, y: Tensor, rows: int) -> Tensor:
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
        both = torch.ne(x[where], 0).logical_and_(torch.ne(y[where], 0)).flatten(1)
        # Beyond 2**24 ones a float32 sum would no longer be exact; the integer sum is, and slower.
        exact = torch.int64 if both.shape[1] > _DEVICE_PASS else torch.float32
        totals[where] = both.sum(1, dtype=exact).to(torch.int64)
    return totals.view(rows, -1).sum(1)
