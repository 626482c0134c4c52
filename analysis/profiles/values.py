"""The class of an activation's values over a run, which decides whether an operation multiplies or adds.

`Values.join` is associative up to the tolerance, over calls, batches and processes; a better class that was lost does
not come back. docs/method.md has the classes and the provenance that each needs.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import isclose

#: Levels that are believed without a lineage that vouches for more.
MOST_LEVELS = 32
#: Nonzeros that must repeat a magnitude where no lineage says that they are spikes.
REPEATS = 64


class ValueClass(StrEnum):
    """What an activation holds, besides zeros."""

    SILENT = "silent"  # nothing
    SPIKES = "spikes"  # one value u > 0, of the tensor or of each channel
    TERNARY = "ternary"  # u and -u
    GRADED = "graded"  # whole multiples of u, at least two magnitudes
    AVERAGED = "averaged"  # what sums, averages and constant scales made of spikes
    UNPROVEN = "unproven"  # few values, but too few elements to tell
    REAL = "real"  # anything else


#: Classes of which one addition makes the product with a weight: one value beside zero, both signs of it, nothing.
SPIKES = (ValueClass.SILENT, ValueClass.SPIKES, ValueClass.TERNARY)
#: Classes of which an accumulate per unit makes the product with a weight.
EVENTS = (ValueClass.SILENT, ValueClass.SPIKES, ValueClass.TERNARY, ValueClass.GRADED)
_RANK = {kind: rank for rank, kind in enumerate(ValueClass)}


def rank(kind: ValueClass) -> int:
    """Place of a class in the order of the join: the better first."""
    return _RANK[kind]


def common_unit(a: float, b: float, tolerance: float) -> float | None:
    """The largest u of which both are whole multiples, up to `tolerance` relative to them; None if there is none."""
    large, small = max(a, b), min(a, b)
    floor = large * 2**-17  # more levels than these are no levels
    while small > floor:
        whole = round(large / small)
        rest = abs(large - whole * small)
        if rest <= tolerance * large:
            return small
        large, small = small, rest
    return None


_ORDER = ("spikes", "none", "real")


@dataclass(frozen=True)
class Values:
    """What was seen of the values of one operand.

    Args:
        provenance: of the lineage: "spikes", "none" or "real"; "spikes" until something was seen.
        linear: spikes were added, averaged, scaled and moved alone.
        unit: u, where all magnitudes are whole multiples of it; None before anything was seen, or where they are none.
        levels: the largest multiple.
        magnitudes: how many different ones were seen; 2 stands for more.
        negative: some were below zero.
        total: sum of the multiples, |k|; a whole number, but where a mean image is computed with.
        multiples: they all were multiples of one unit.
        channels: for spikes with a unit per channel these units, 0 where none was seen yet; empty otherwise.
        tolerance: relative, of the number format.
        averaged: sums of spikes were divided: by a mean, an average pool or a constant.
    """

    provenance: str = "spikes"
    linear: bool = True
    unit: float | None = None
    levels: int = 0
    magnitudes: int = 0
    negative: bool = False
    total: float = 0
    multiples: bool = True
    channels: tuple[float, ...] = ()
    tolerance: float = 0.0
    averaged: bool = False

    def join(self, other: "Values") -> "Values":
        """The values of both sets of elements; units join to the largest of which both are whole multiples."""
        provenance = max(self.provenance, other.provenance, key=_ORDER.index)
        linear, tolerance = self.linear and other.linear, max(self.tolerance, other.tolerance)
        negative, averaged = self.negative or other.negative, self.averaged or other.averaged
        seen = [values for values in (self, other) if values.unit is not None]
        if self.multiples and other.multiples:
            if len(seen) < 2:
                one = seen[0] if seen else self
                return Values(
                    provenance,
                    linear,
                    one.unit,
                    one.levels,
                    one.magnitudes,
                    negative,
                    one.total,
                    tolerance=tolerance,
                    averaged=averaged,
                )
            assert self.unit is not None and other.unit is not None
            unit = common_unit(self.unit, other.unit, tolerance or 1e-12)
            if unit is not None:
                mine, its = round(self.unit / unit), round(other.unit / unit)
                alike = self.magnitudes == other.magnitudes == 1 and self.levels * mine == other.levels * its
                return Values(
                    provenance,
                    linear,
                    unit,
                    max(self.levels * mine, other.levels * its),
                    1 if alike else 2,
                    negative,
                    self.total * mine + other.total * its,
                    tolerance=tolerance,
                    averaged=averaged,
                )
        channels = _same_channels(self, other, tolerance)
        return Values(provenance, linear, None, 0, 2, negative, 0, False, channels, tolerance, averaged)

    def kind(self, nonzero: int) -> ValueClass:
        """The class of an operand with these values and so many nonzeros.

        `silent` without a nonzero. `real` if the lineage says so. Whole multiples of one unit are `spikes` or `ternary`
        with one magnitude, else `graded`: up to `MOST_LEVELS`, or any where the lineage shows sums of spikes that were
        not divided. Without a lineage `REPEATS` nonzeros must repeat a magnitude, else `unproven`. Anything else is
        `averaged` where the lineage shows sums and averages of spikes, else `real`.
        """
        if not nonzero:
            return ValueClass.SILENT
        if self.provenance == "real":
            return ValueClass.REAL
        spikes = self.provenance == "spikes"
        if self.multiples and self.unit is not None:
            if self.magnitudes > 1 and self.levels > MOST_LEVELS and not (spikes and self.linear):
                return ValueClass.REAL
            if self.averaged and self.levels > MOST_LEVELS:
                return ValueClass.AVERAGED
            if not spikes and nonzero - self.magnitudes < REPEATS:
                return ValueClass.UNPROVEN
            if self.magnitudes > 1:
                return ValueClass.GRADED
            return ValueClass.TERNARY if self.negative else ValueClass.SPIKES
        if self.channels and (spikes or nonzero - len(self.channels) >= REPEATS):
            return ValueClass.TERNARY if self.negative else ValueClass.SPIKES
        return ValueClass.AVERAGED if spikes and self.linear else ValueClass.REAL


def _same_channels(a: Values, b: Values, tolerance: float) -> tuple[float, ...]:
    """Units per channel that hold for both; empty where there are none."""
    width = len(a.channels) or len(b.channels)
    sides = []
    for values in (a, b):
        if values.channels:
            sides.append(values.channels)
        elif values.multiples and values.magnitudes == 1 and values.unit is not None:
            return ()  # one unit of the whole tensor, in channels that nobody noted
        elif values.multiples and values.unit is None:
            sides.append((0.0,) * width)
        else:
            return ()
    if len(sides[0]) != len(sides[1]):
        return ()
    fits = all(not x or not y or isclose(x, y, rel_tol=tolerance or 1e-12) for x, y in zip(*sides, strict=True))
    return tuple(x or y for x, y in zip(*sides, strict=True)) if fits else ()
