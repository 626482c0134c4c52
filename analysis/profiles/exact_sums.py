"""Sums of products of whole numbers without rounding or overflow, as Python integers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BITS = 24
_CHUNK = 4096  # rows whose products of 24-bit parts sum to less than 2**63


def _parts(z: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return z >> _BITS, z & ((1 << _BITS) - 1)


def _product(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[Any]:
    total = np.zeros((a.shape[1], b.shape[1]), dtype=object)
    for start in range(0, len(a), _CHUNK):
        total = total + (a[start : start + _CHUNK].T @ b[start : start + _CHUNK]).astype(object)
    return total


def exact_gram(z: NDArray[np.int64]) -> NDArray[Any]:
    """Z^T Z.

    Args:
        z: rows x counters, each below 2**48.
    """
    high, low = _parts(z)
    cross = _product(high, low)
    return (_product(high, high) << (2 * _BITS)) + ((cross + cross.T) << _BITS) + _product(low, low)


def exact_sums(z: NDArray[np.int64]) -> tuple[int, ...]:
    """The sum of each column."""
    high, low = (part.sum(0).tolist() for part in _parts(z))
    return tuple((a << _BITS) + b for a, b in zip(high, low, strict=True))


def exact_dots(a: NDArray[np.int64], b: NDArray[np.int64]) -> tuple[int, ...]:
    """The sum of a * b of each column; numbers as of `exact_gram`."""
    parts = [(x, y, 2 - i - j) for i, x in enumerate(_parts(a)) for j, y in enumerate(_parts(b))]
    sums = [[value << (_BITS * shift) for value in exact_sums(x * y)] for x, y, shift in parts]
    return tuple(map(sum, zip(*sums, strict=True)))
