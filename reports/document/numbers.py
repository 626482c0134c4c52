"""Numbers as text: one way of writing a count, an energy, a share and an interval, for every report."""

import math
from collections.abc import Sequence

NOT_KNOWN = "-"

_PREFIXES = ("", "k", "M", "G", "T", "P")
# From the largest to the smallest: the unit and how many of it make one millijoule.
_ENERGY_UNITS = (("J", 1e-3), ("mJ", 1.0), ("µJ", 1e3), ("nJ", 1e6), ("pJ", 1e9))
_SMALLEST_PERCENT = 0.05


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


def energy_unit(largest_mj: float) -> tuple[str, float]:
    """The unit in which `largest_mj` millijoules is at least 1, and how many of it make one millijoule.

    Never above millijoules: that is the unit of the papers a table is laid beside.
    """
    for unit, factor in _ENERGY_UNITS[1:]:
        if abs(largest_mj) * factor >= 1:
            return unit, factor
    return _ENERGY_UNITS[1] if not largest_mj else _ENERGY_UNITS[-1]


def energy(mj: float | None, digits: int = 3) -> str:
    """An energy given in millijoules, in the unit that reads best: 0.0123 is `12.3 µJ`."""
    if mj is None or not math.isfinite(mj):
        return NOT_KNOWN
    if mj == 0:
        return "0 mJ"
    for unit, factor in _ENERGY_UNITS:
        text = significant(mj * factor, digits)
        if abs(float(text)) >= 1:
            return f"{text} {unit}"
    return f"{text} {unit}"


def percent(share: float | None, decimals: int = 1, sign: bool = False) -> str:
    """A share (0 to 1) in percent. A positive share that would round to nothing is `<0.1%`."""
    if share is None or not math.isfinite(share):
        return NOT_KNOWN
    value = 100 * share
    if sign:
        return f"{value:+.{decimals}f}%"
    if decimals == 1 and 0 < value < _SMALLEST_PERCENT:
        return "<0.1%"
    return f"{value:.{decimals}f}%"


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
    return f"{value:.{decimals}f}"


def level(confidence: float | None) -> str:
    """The confidence of an interval: "95 %", "99.83 %"; 95 % where none is on record."""
    return f"{100 * (confidence or 0.95):.4g} %"


def interval(value: float, half_width: float | None, digits: int = 4) -> tuple[str, str]:
    """A value and the half width of its interval as text, the value cut where the interval starts.

    The half width keeps one significant digit, or two when the first is a 1 (rounding 0.14 to 0.1 would
    shrink it by a third). Without a half width the value keeps `digits` and the second text is empty.
    """
    if half_width is None or not math.isfinite(half_width):
        return significant(value, digits), ""
    if half_width <= 0:
        return significant(value, digits), "0"
    two = f"{half_width:.1e}"
    keep = 2 if two[0] == "1" else 1
    rounded = float(f"{half_width:.{keep - 1}e}")
    decimals = max(0, keep - 1 - math.floor(math.log10(rounded)))
    return f"{value:.{decimals}f}", f"{rounded:.{decimals}f}"


def align_decimal_points(texts: Sequence[str]) -> list[str]:
    """The texts padded on both sides so that their decimal points stand above each other."""
    whole = [text.partition(".")[0] for text in texts]
    left = max((len(part) for part in whole), default=0)
    padded = [" " * (left - len(part)) + text for part, text in zip(whole, texts, strict=True)]
    width = max((len(text) for text in padded), default=0)
    return [text.ljust(width) for text in padded]
