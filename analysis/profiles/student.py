"""Quantiles of Student's t distribution: to import SciPy for one number takes longer than a short run."""

from functools import lru_cache
from math import exp, lgamma, log, log1p, pi
from statistics import NormalDist

_SMALLEST = 1e-300


@lru_cache(maxsize=1024)
def quantile(degrees: int, confidence: float) -> float:
    """t such that a variable of so many degrees of freedom lies within -t and t with this probability.

    Newton's method on the logarithm of what lies outside, over the logarithm of t: a straight line for heavy tails, and
    concave for all, so that it comes to the root from one side and does not swing.

    Args:
        degrees: of freedom, 1 or more.
        confidence: above 0 and below 1.
    """
    target = log1p(-confidence)
    u = log(NormalDist().inv_cdf(0.5 + confidence / 2))
    for _ in range(100):
        t = exp(u)
        outside = _outside(t, degrees)
        log_density = -(degrees + 1) / 2 * log1p(t * t / degrees) - log(degrees) / 2 - _log_beta(degrees / 2)
        step = (log(outside) - target) * outside / (2 * t * exp(log_density))
        u += step
        if abs(step) < 1e-15:
            break
    return exp(u)


def _log_beta(a: float) -> float:
    """ln B(a, 1/2); of large numbers by a series, for differences of lgamma lose digits."""
    if a < 50:
        return lgamma(a) + log(pi) / 2 - lgamma(a + 0.5)
    inverse = 1 / a
    square = inverse * inverse
    ratio = log(a) / 2 - inverse * (1 / 8 - square * (1 / 192 - square * (1 / 640 - square * 17 / 14336)))
    return log(pi) / 2 - ratio


def _outside(t: float, degrees: int) -> float:
    """P(|T| > t) = I_x(degrees / 2, 1/2) with x = degrees / (degrees + t^2)."""
    a, square = degrees / 2, t * t
    x, rest = degrees / (degrees + square), square / (degrees + square)
    front = exp(-a * log1p(square / degrees) + log(rest) / 2 - _log_beta(a))
    if x < (a + 1) / (a + 2.5):
        return front * _fraction(x, a, 0.5) / a
    return 1 - front * _fraction(rest, 0.5, a) / 0.5


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8), by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or _SMALLEST)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or _SMALLEST)
            c = 1 + term / c or _SMALLEST
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value
