"""Exact moments of counters over images, and the interval of a mean that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saformer.analysis.profiles.student import quantile

_BITS = 24
_CHUNK = 4096  # rows whose products of 24-bit parts sum to less than 2**63


def _product(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[Any]:
    total = np.zeros((a.shape[1], b.shape[1]), dtype=object)
    for start in range(0, len(a), _CHUNK):
        total = total + (a[start : start + _CHUNK].T @ b[start : start + _CHUNK]).astype(object)
    return total


def exact_gram(z: NDArray[np.int64]) -> NDArray[Any]:
    """Z^T Z without rounding or overflow, as Python integers.

    Args:
        z: rows x counters, each below 2**48.
    """
    high, low = z >> _BITS, z & ((1 << _BITS) - 1)
    cross = _product(high, low)
    return (_product(high, high) << (2 * _BITS)) + ((cross + cross.T) << _BITS) + _product(low, low)


@dataclass(frozen=True)
class Moments:
    """Sums over units (images, or batches) of counters and of products of counters, exact and additive.

    Counter 0 is the number of images in the unit, 1 for an image.

    Args:
        units: how many there were.
        sums: of each counter.
        gram: of each product of two counters.
    """

    units: int
    sums: tuple[int, ...]
    gram: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(z: NDArray[np.int64]) -> "Moments":
        """Moments of a matrix units x counters."""
        gram = exact_gram(z)
        sums = [int(v) for v in z.astype(object).sum(0)] if len(z) else [0] * z.shape[1]
        return Moments(len(z), tuple(sums), tuple(tuple(int(v) for v in row) for row in gram))

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of both sets of units together."""
        return Moments(
            self.units + other.units,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in zip(self.gram, other.gram, strict=True)),
        )

    def of_counters(self, kept: Sequence[int]) -> "Moments":
        """Moments of these counters alone."""
        return Moments(
            self.units, tuple(self.sums[i] for i in kept), tuple(tuple(self.gram[i][j] for j in kept) for i in kept)
        )

    def half_width(self, coefficients: list[float], confidence: float = 0.95) -> float | None:
        """Half-width of the confidence interval of the mean per image of a linear function of the counters.

        The estimator is the ratio of sums (total over images), so batches of unequal size are handled; its residual
        variance comes from exact integers, so nearly equal images do not drown in rounding. Student's t.

        Args:
            coefficients: weight of each counter after the first.
            confidence: coverage.

        Returns:
            None with fewer than two units.
        """
        if self.units < 2:
            return None
        gram, sums = np.array(self.gram, dtype=object), np.array(self.sums, dtype=object)
        residual = self._residual(
            gram, gram[0], np.outer(gram[0], sums) + np.outer(sums, gram[0]), np.outer(sums, sums)
        )
        weights = np.array([0.0, *coefficients])
        # Common scales keep the integers, and squares of large weights, within what a double holds.
        largest = float(np.abs(weights).max()) or 1.0
        weights /= largest
        scale = max(int(np.abs(residual).max()), 1)
        scaled = np.array([[value / scale for value in row] for row in residual], dtype=float)
        return self._width(max(float(weights @ scaled @ weights), 0.0) * scale, confidence) * largest

    def counter_half_width(self, counter: int, confidence: float = 0.95) -> float | None:
        """The same for the mean per image of one counter (the first after the images is counter 1)."""
        if self.units < 2:
            return None
        cross, total = self.gram[counter][0], self.sums[counter]
        return self._width(
            self._residual(self.gram[counter][counter], self.gram[0], 2 * cross * total, total**2), confidence
        )

    def _residual(self, gram: Any, first: Any, cross: Any, squares: Any) -> Any:
        """Products of residuals r = images * z - sums * m, for a unit of m images with counters z; exact integers."""
        images = self.sums[0]
        return images**2 * gram - images * cross + self.gram[0][0] * squares

    def _width(self, squares: float, confidence: float) -> float:
        """Half-width from the sum of squared residuals, which carry a factor of the number of images."""
        images = self.sums[0]
        variance = squares / images**2 / (self.units - 1)
        return quantile(self.units - 1, confidence) * sqrt(variance / self.units) / (images / self.units)
