"""Exact moments of counters over images, and the interval of a mean that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from saformer.analysis.profiles.exact_sums import exact_gram, exact_sums
from saformer.analysis.profiles.groups import GROUPS, Groups, plus
from saformer.analysis.profiles.student import quantile

#: Counters of which every pair has its product. Of more, there are groups: this many pairs are as many integers.
PAIRED = 2 * GROUPS


@dataclass(frozen=True)
class Moments:
    """Sums over units (images, or batches) of counters and of products of counters, exact and additive.

    Counter 0 is the number of images in the unit, 1 for an image. Products of all pairs grow with the square of the
    network: of more than `PAIRED` counters there are `groups` instead.

    Args:
        units: how many there were.
        sums: of each counter.
        gram: of each product of two counters; empty where there are groups.
        groups: of the units; None where there are products.
    """

    units: int
    sums: tuple[int, ...]
    gram: tuple[tuple[int, ...], ...]
    groups: Groups | None = None

    @staticmethod
    def of(z: NDArray[np.int64]) -> "Moments":
        """Moments of a matrix units x counters."""
        sums = exact_sums(z)
        if len(sums) > PAIRED:
            return Moments(len(z), sums, (), Groups.of(z))
        return Moments(len(z), sums, tuple(tuple(int(v) for v in row) for row in exact_gram(z)))

    @staticmethod
    def of_unit(sums: Sequence[int]) -> "Moments":
        """Moments of one unit, of counters however large."""
        row = tuple(sums)
        if len(row) > PAIRED:
            return Moments(1, row, (), Groups.of_unit(row))
        return Moments(1, row, tuple(tuple(a * b for b in row) for a in row))

    def __add__(self, other: "Moments") -> "Moments":
        """Moments of both sets of units together.

        Raises:
            ValueError: they are of other counters, or one has products and the other groups.
        """
        units, sums = self.units + other.units, plus(self.sums, other.sums)
        if self.groups is not None and other.groups is not None:
            return Moments(units, sums, (), self.groups + other.groups)
        if self.groups is not other.groups:
            raise ValueError("products of counters and groups of units do not add up")
        return Moments(units, sums, tuple(plus(x, y) for x, y in zip(self.gram, other.gram, strict=True)))

    def of_counters(self, kept: Sequence[int]) -> "Moments":
        """Moments of these counters alone."""
        sums = tuple(self.sums[i] for i in kept)
        if self.groups is not None:
            return Moments(self.units, sums, (), self.groups.of_counters(kept))
        return Moments(self.units, sums, tuple(tuple(self.gram[i][j] for j in kept) for i in kept))

    def half_width(self, coefficients: list[float], confidence: float = 0.95) -> float | None:
        """Half-width of the confidence interval of the mean per image of a linear function of the counters.

        The estimator is the ratio of sums (total over images), so batches of unequal size are handled; its residual
        variance comes from exact integers, so nearly equal images do not drown in rounding. Student's t.

        Args:
            coefficients: weight of each counter after the first.
            confidence: coverage.

        Returns:
            None with fewer than two units, or groups of units that are not alike.
        """
        if self.units < 2:
            return None
        if not any(self._residual(i, i) for i in range(len(self.sums))):
            return 0.0
        count = self.units if self.groups is None else self.groups.filled
        if count < 2:
            return None
        weights = np.array([0.0, *coefficients])
        # Common scales keep the integers, and squares of large weights, within what a double holds.
        largest = float(np.abs(weights).max()) or 1.0
        weights /= largest
        if self.groups is None:
            products, scale = self._products
            return self._width(max(float(weights @ products @ weights), 0.0) * scale, count, confidence) * largest
        residuals, scale = self._residuals
        return self._width(float(((residuals @ weights) ** 2).sum()), count, confidence) * scale * largest

    def counter_half_width(self, counter: int, confidence: float = 0.95) -> float | None:
        """The same for the mean per image of one counter (the first after the images is counter 1)."""
        return None if self.units < 2 else self._width(self._residual(counter, counter), self.units, confidence)

    # A residual is r = images * z - sums * m, for a unit or group of m images with counters z: an exact integer.

    @cached_property
    def _products(self) -> tuple[NDArray[np.float64], int]:
        """Sums of products of residuals over the units, pair by pair, and the scale that they were divided by."""
        size = range(len(self.sums))
        scale = max(1, *(self._residual(i, i) for i in size))  # none is larger than that of a counter with itself
        return np.array([[self._residual(i, j) / scale for j in size] for i in size]), scale

    @cached_property
    def _residuals(self) -> tuple[NDArray[np.float64], int]:
        """Residuals, group by group, and the scale that they were divided by."""
        assert self.groups is not None
        images, sums = self.sums[0], self.sums
        exact = [
            [images * z - total * row[1] for z, total in zip(row[1:], sums, strict=True)] for row in self.groups.rows
        ]
        scale = max(1, *(abs(value) for row in exact for value in row))
        return np.array([[value / scale for value in row] for row in exact]), scale

    def _residual(self, i: int, j: int) -> int:
        """Sum of products of the residuals of two counters, or of one with itself, over the units."""
        images, sums = self.sums[0], self.sums
        first, product = (
            (self.gram[0], self.gram[i][j]) if self.groups is None else (self.groups.cross, self.groups.squares[i])
        )
        cross = first[i] * sums[j] + first[j] * sums[i]
        return images**2 * product - images * cross + first[0] * sums[i] * sums[j]

    def _width(self, squares: float, count: int, confidence: float) -> float:
        """Half-width from the sum of squared residuals, which carry a factor of the number of images."""
        images = self.sums[0]
        variance = squares / images**2 / (count - 1)
        return quantile(count - 1, confidence) * sqrt(variance / count) / (images / count)
