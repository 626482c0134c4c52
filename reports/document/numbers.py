"""Numbers as text: one way of writing a count, an energy, a share and an interval, for every report."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

NOT_KNOWN = "-"

_PREFIXES = ("", "k", "M", "G", "T", "P")
_SMALLEST_PERCENT = 0.05
_SMALLEST = 0.0001  # of a unit
_NOISE = 1e-12  # an interval below this share of its value is the rounding of floats


def significant(value: float, digits: int = 3) -> str:
    """`value` with that many significant digits and trailing zeros kept; `-` when it is not finite."""
    if not math.isfinite(value):
        return NOT_KNOWN
    if value == 0:
        return "0"
    # Rounding first settles the decade: 9.996 with three digits is 10.0, not 10.00.
    rounded = float(f"{value:.{digits - 1}e}")
    decade = math.floor(math.log10(abs(rounded)))
    if decade < -4:
        return f"{rounded:.{digits - 1}e}"
    return f"{rounded:.{max(0, digits - 1 - decade)}f}"


def si(value: float | None, digits: int = 3) -> str:
    """A count with an SI prefix: 4530000 is `4.53M`; whole numbers below 1000 are written out."""
    if value is None or not math.isfinite(value):
        return NOT_KNOWN
    if abs(value) < 1000 and value == int(value):
        return str(int(value))
    text = ""
    for power, prefix in enumerate(_PREFIXES):
        text = significant(value / 1000**power, digits)
        # The test is on the rounded number: 999.9 k is written 1.00M.
        if abs(float(text)) < 1000:
            return text + prefix
    return text + _PREFIXES[-1]


class EnergyUnit(NamedTuple):
    """The unit of every energy of one output, be it a line, a table, a figure or a page.

    `energy_unit` chooses it once, from the largest number that the output is about; it is then passed on.

    Args:
        name: pJ, nJ, µJ, mJ or J.
        per_mj: how many of it make one millijoule.
    """

    name: str
    per_mj: float

    def interval(self, mj: float | None, half_width_mj: float | None = None, digits: int = 3) -> tuple[str, str]:
        """An energy and the half width of its interval, both in millijoules, as `interval` writes them."""
        half_width = None if half_width_mj is None else half_width_mj * self.per_mj
        return interval(math.nan if mj is None else mj * self.per_mj, half_width, digits)

    def text(self, mj: float | None, half_width_mj: float | None = None, digits: int = 3) -> str:
        """An energy in millijoules with its unit: `4.580 ± 0.044 µJ`; `-` for what is not known."""
        value, half_width = self.interval(mj, half_width_mj, digits)
        if value == NOT_KNOWN:
            return NOT_KNOWN
        if "e-" in value:
            value = f"<{_SMALLEST}"  # of no weight beside what the unit was chosen for
        return f"{value} ± {half_width} {self.name}" if half_width else f"{value} {self.name}"

    def column(self, mj: Iterable[float | None], more_decimals: int = 0) -> Callable[[float | None], str]:
        """What writes a column of energies in millijoules with equally many decimals, enough for the largest."""
        largest = max((abs(value) for value in mj if value is not None and math.isfinite(value)), default=0.0)
        decimals = fixed_decimals(largest * self.per_mj) + more_decimals
        return lambda value: NOT_KNOWN if value is None else fixed(value * self.per_mj, decimals)


#: The unit in which papers print energies, and that of JSON.
MILLIJOULE = EnergyUnit("mJ", 1.0)
# From the largest to the smallest.
_ENERGY_UNITS = (
    EnergyUnit("J", 1e-3),
    MILLIJOULE,
    EnergyUnit("µJ", 1e3),
    EnergyUnit("nJ", 1e6),
    EnergyUnit("pJ", 1e9),
)


def energy_unit(*mj: float | None) -> EnergyUnit:
    """The unit in which the largest of these energies in millijoules is at least 1; millijoules where there is none."""
    largest = max((abs(value) for value in mj if value is not None and math.isfinite(value)), default=0.0)
    # The test is on the rounded number: 0.9996 mJ is written 1.00 mJ.
    rounded = float(f"{largest:.2e}")
    fitting = (unit for unit in _ENERGY_UNITS if rounded * unit.per_mj >= 1 - 1e-9)
    return next(fitting, _ENERGY_UNITS[-1]) if largest else MILLIJOULE


def percent(share: float | None, decimals: int = 1, sign: bool = False) -> str:
    """A share (0 to 1) in percent. A positive share that would round to nothing is `<0.1%`."""
    if share is None or not math.isfinite(share):
        return NOT_KNOWN
    value = 100 * share
    if sign:
        return f"{_without_sign_of_zero(f'{value:+.{decimals}f}')}%"
    if decimals == 1 and 0 < value < _SMALLEST_PERCENT:
        return "<0.1%"
    return f"{_without_sign_of_zero(f'{value:.{decimals}f}')}%"


def fixed_decimals(largest: float) -> int:
    """Decimals that give `largest` four significant digits: a column with one number of decimals aligns."""
    if not largest or not math.isfinite(largest):
        return 0
    return min(9, max(0, 3 - math.floor(math.log10(abs(largest)))))


def fixed(value: float, decimals: int) -> str:
    """`value` with that many decimals; a positive value that would read as zero is `<0.01` or the like."""
    if not math.isfinite(value):
        return NOT_KNOWN
    smallest = 10.0**-decimals
    if 0 < value < smallest / 2:
        return f"<{smallest:.{decimals}f}"
    return _without_sign_of_zero(f"{value:.{decimals}f}")


def _without_sign_of_zero(text: str) -> str:
    """A number that reads as zero has no sign."""
    return text.lstrip("+-") if not text.strip("+-0.") else text


def level(confidence: float | None) -> str:
    """The confidence of an interval: "95 %", "99.83 %"; 95 % where none is on record."""
    return f"{100 * (confidence or 0.95):.4g} %"


def interval(value: float, half_width: float | None, digits: int = 4) -> tuple[str, str]:
    """A value and the half width of its interval as text: the half width with two significant digits, the value cut
    where those end. Without a half width the value keeps `digits` and the second text is empty.
    """
    if half_width is None or not math.isfinite(half_width) or not math.isfinite(value):
        return significant(value, digits), ""
    if half_width <= _NOISE * abs(value):
        return significant(value, digits), "0"
    rounded = float(f"{half_width:.1e}")
    decimals = 1 - math.floor(math.log10(rounded))
    shown = max(0, decimals)
    return f"{round(value, decimals):.{shown}f}", f"{rounded:.{shown}f}"


def align_decimal_points(texts: Sequence[str]) -> list[str]:
    """The texts padded on both sides so that their decimal points stand above each other."""
    whole = [text.partition(".")[0] for text in texts]
    left = max((len(part) for part in whole), default=0)
    padded = [" " * (left - len(part)) + text for part, text in zip(whole, texts, strict=True)]
    width = max((len(text) for text in padded), default=0)
    return [text.ljust(width) for text in padded]
