"""What stands for the products of all pairs of counters where there are many: random groups of units.

The random group method (Wolter, Introduction to Variance Estimation, 2nd ed., 2007, chapter 2): the sums of independent
groups tell the variance of a mean as those of single units do, with the degrees of freedom of their number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from saformer.analysis.profiles.exact_sums import exact_dots

Row = tuple[int, ...]

#: How many groups there are, and how many units are kept one by one.
GROUPS = 256


def plus(a: Sequence[int], b: Sequence[int]) -> Row:
    """Both rows added up, place by place."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class Groups:
    """Units (images, or batches) one by one, up to `GROUPS` of them; of more, the sums of as many random groups.

    A unit's group hangs on its counters alone, so that it is the same in every batch, process and file: groups add up
    exactly, in whatever order.

    Args:
        squares: sum over all units of the square of each counter.
        cross: the same of each counter times the number of images.
        rows: number of units of each group, then the sum of each counter; units one by one in ascending order.
    """

    squares: Row
    cross: Row
    rows: tuple[Row, ...]

    @staticmethod
    def of(z: NDArray[np.int64]) -> "Groups":
        """The groups of a matrix units x counters."""
        units = ((1, *row.tolist()) for row in z)
        rows = tuple(sorted(units)) if len(z) <= GROUPS else _in_groups(units, z.shape[1] + 1)
        return Groups(exact_dots(z, z), exact_dots(z, np.broadcast_to(z[:, :1], z.shape)), rows)

    @staticmethod
    def of_unit(unit: Sequence[int]) -> "Groups":
        """The groups of one unit."""
        return Groups(tuple(v * v for v in unit), tuple(v * unit[0] for v in unit), ((1, *unit),))

    def __add__(self, other: "Groups") -> "Groups":
        """The groups of both sets of units together."""
        rows: tuple[Row, ...]
        if self._units + other._units <= GROUPS:
            rows = tuple(sorted((*self.rows, *other.rows)))
        else:
            rows = tuple(map(plus, self._grouped, other._grouped))
        return Groups(plus(self.squares, other.squares), plus(self.cross, other.cross), rows)

    def of_counters(self, kept: Sequence[int]) -> "Groups":
        """The groups with these counters alone."""
        squares, cross = (tuple(row[i] for i in kept) for row in (self.squares, self.cross))
        return Groups(squares, cross, tuple((row[0], *(row[i + 1] for i in kept)) for row in self.rows))

    @property
    def filled(self) -> int:
        """Groups with units in them."""
        return sum(1 for row in self.rows if row[0])

    @property
    def _units(self) -> int:
        return sum(row[0] for row in self.rows)

    @property
    def _grouped(self) -> tuple[Row, ...]:
        return self.rows if self._units > GROUPS else _in_groups(self.rows, len(self.squares) + 1)


def _in_groups(units: Iterable[Row], width: int) -> tuple[Row, ...]:
    groups: list[Row] = [(0,) * width] * GROUPS
    for unit in units:
        digest = blake2b(",".join(map(str, unit[1:])).encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") % GROUPS
        groups[place] = plus(groups[place], unit)
    return tuple(groups)
