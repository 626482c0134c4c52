"""Power laws through measured sizes: least squares in the logarithms, with a 95 % interval of the exponent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Expr, Symbol

from saformer.analysis.complexity.formulas import Sizes
from saformer.analysis.complexity.growth import degree, leading_share
from saformer.analysis.profiles.student import quantile

# A size takes part in a fit where its leading term makes up this share of the formula, and where it takes this many
# times as long as the same module at its smallest, which is the cost of calling it.
LEADING_SHARE = 0.8
TIMES_OVERHEAD = 5
FEWEST = 3


@dataclass(frozen=True)
class PowerLaw:
    """value = factor * size ** exponent.

    Args:
        exponent: the slope of log(value) over log(size).
        low, high: its 95 % interval, by Student's t with (sizes - 2) degrees of freedom; None with two sizes.
        factor: the value at size 1.
    """

    exponent: float
    low: float | None
    high: float | None
    factor: float


def fit_power_law(sizes: Sequence[float], values: Sequence[float], confidence: float = 0.95) -> PowerLaw:
    """The power law through positive values at two or more different positive sizes, by ordinary least squares.

    The interval supposes that the logarithms scatter about the line with one width. It says how well the points lie on
    a line, not what another machine would measure.
    """
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    count = len(x)
    mean_x, mean_y = math.fsum(x) / count, math.fsum(y) / count
    spread = math.fsum((a - mean_x) ** 2 for a in x)
    if count != len(y) or not spread:
        raise ValueError("a power law needs values at two different sizes")
    exponent = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    factor = math.exp(mean_y - exponent * mean_x)
    if count == 2:
        return PowerLaw(exponent, None, None, factor)

    residuals = [b - mean_y - exponent * (a - mean_x) for a, b in zip(x, y, strict=True)]
    deviation = math.sqrt(math.fsum(r * r for r in residuals) / (count - 2) / spread)
    half_width = quantile(count - 2, confidence) * deviation
    return PowerLaw(exponent, exponent - half_width, exponent + half_width, factor)


@dataclass(frozen=True)
class Fit:
    """A measured exponent beside what the formula says.

    Args:
        symbolic: the highest power of the size in the formula.
        formula: the exponent that the same fit finds in the formula's own numbers at the same sizes: with terms of
            lower order in it, it is not a whole number. None without a fit.
        measured: the fit; None with fewer than two sizes.
        sizes: those that took part.
        asymptotic: they are the sizes at which the leading term rules; False where there were fewer than three of
            these, and the three largest were taken.
    """

    symbolic: int
    formula: float | None
    measured: PowerLaw | None
    sizes: tuple[int, ...]
    asymptotic: bool


def fit_scaling(formula: Expr, axis: Symbol, points: Sequence[tuple[int, Sizes, float]], least: float = 0.0) -> Fit:
    """Fit measured values over one size, beside the formula.

    Args:
        formula: of the quantity, with any factor.
        axis: the size that varies, N or D.
        points: size, all sizes at that point, and what was measured there.
        least: values below this do not take part.
    """
    share = leading_share(formula, axis)
    points = sorted(points, key=lambda point: point[0])
    ruled = [p for p in points if float(share.xreplace(p[1].values())) >= LEADING_SHARE and p[2] >= least]
    asymptotic = len(ruled) >= FEWEST
    chosen = ruled if asymptotic else points[-FEWEST:]
    if len(chosen) < 2:
        return Fit(degree(formula, axis), None, None, tuple(p[0] for p in chosen), asymptotic)
    sizes = [p[0] for p in chosen]
    expected = fit_power_law(sizes, [float(formula.xreplace(p[1].values())) for p in chosen])
    measured = fit_power_law(sizes, [p[2] for p in chosen])
    return Fit(degree(formula, axis), expected.exponent, measured, tuple(sizes), asymptotic)
