import pytest
from scipy import stats

from saformer.analysis.profiles.student import quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 10, 49, 99, 100, 101, 359, 9_999, 49_999, 1_000_000])
@pytest.mark.parametrize("confidence", [0.001, 0.1, 0.5, 0.9, 0.95, 0.99, 0.9999, 1 - 1e-9])
def test_quantiles_are_those_of_scipy(degrees: int, confidence: float) -> None:
    assert quantile(degrees, confidence) == pytest.approx(-stats.t.ppf((1 - confidence) / 2, degrees), rel=1e-10)


def test_one_degree_of_freedom_is_cauchys_distribution() -> None:
    assert quantile(1, 0.5) == pytest.approx(1, rel=1e-14)
