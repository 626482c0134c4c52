import math
import random
from dataclasses import replace

import pytest

from saformer.analysis.complexity.fitting import fit_power_law, fit_scaling
from saformer.analysis.complexity.formulas import N, Sizes, attentions

SIZES = [64 * 2**i for i in range(9)]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_an_exact_power_law_is_found_exactly(exponent: float) -> None:
    law = fit_power_law(SIZES, [3e-7 * size**exponent for size in SIZES])
    assert law.exponent == pytest.approx(exponent, abs=1e-12)
    assert law.factor == pytest.approx(3e-7)
    assert law.low == pytest.approx(exponent, abs=1e-9) and law.high == pytest.approx(exponent, abs=1e-9)


def test_the_interval_holds_the_true_exponent_nineteen_times_in_twenty() -> None:
    noise, runs = random.Random(5), 2000
    held = 0
    for _ in range(runs):
        values = [1e-6 * size**1.3 * math.exp(noise.gauss(0, 0.1)) for size in SIZES]
        law = fit_power_law(SIZES, values)
        held += law.low <= 1.3 <= law.high
    # Four standard deviations of a share of 0.95 over so many runs.
    assert abs(held / runs - 0.95) < 4 * math.sqrt(0.95 * 0.05 / runs)


def test_the_slope_agrees_with_scipy() -> None:
    from scipy.stats import linregress

    noise = random.Random(1)
    values = [size * noise.uniform(0.5, 2) for size in SIZES]
    theirs = linregress([math.log(s) for s in SIZES], [math.log(v) for v in values])
    law = fit_power_law(SIZES, values)
    assert law.exponent == pytest.approx(theirs.slope)
    assert law.high - law.exponent == pytest.approx(2.364624251592785 * theirs.stderr)  # t(0.975, 7)


def test_two_sizes_have_no_interval_and_one_has_no_law() -> None:
    law = fit_power_law([1, 2], [1, 4])
    assert (law.exponent, law.low, law.high) == (2, None, None)
    with pytest.raises(ValueError, match="two different sizes"):
        fit_power_law([8, 8], [1, 2])


def points(exponent: float) -> list[tuple[int, Sizes, float]]:
    sizes = Sizes(dim=64)
    return [(s, replace(sizes, tokens=s), 1e-6 * s**exponent) for s in SIZES]


def test_only_sizes_where_the_leading_term_rules_are_fitted() -> None:
    vsa = attentions()["vsa"]
    fit = fit_scaling(vsa.time(), N, points(2))
    # 2 N^2 D + 2 N^2 against 4 N D^2 at D = 64: four fifths from N = 505 on.
    assert fit.sizes == tuple(s for s in SIZES if s >= 512)
    assert fit.asymptotic and fit.symbolic == 2
    assert 1.9 < fit.formula < 2
    assert fit.measured.exponent == pytest.approx(2)


def test_values_below_the_cost_of_calling_are_left_out() -> None:
    fit = fit_scaling(attentions()["sasa"].time(), N, points(1), least=1e-6 * 1000)
    assert fit.sizes == (1024, 2048, 4096, 8192, 16384) and fit.asymptotic


def test_with_too_few_sizes_the_largest_are_taken_and_it_is_said() -> None:
    fit = fit_scaling(attentions()["vsa"].time(), N, points(2)[:4])
    assert fit.sizes == (128, 256, 512) and not fit.asymptotic
    assert fit_scaling(attentions()["vsa"].time(), N, points(2)[:1]).measured is None
    assert fit_scaling(attentions()["vsa"].time(), N, []).sizes == ()
