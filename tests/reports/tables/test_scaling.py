from collections.abc import Callable

from saformer.analysis.complexity.benchmark import Measurement
from saformer.analysis.complexity.formulas import Attention, choose
from saformer.reports.tables.scaling import scaling_report


def test_measured_exponents_beside_the_symbolic_ones(
    matches_golden: Callable, chosen: list[Attention], measurement: Measurement
) -> None:
    matches_golden(scaling_report(chosen, measurement), "complexity_scaling")


def test_attentions_that_were_not_measured_are_in_the_formulas_alone(
    measurement: Measurement, render: Callable
) -> None:
    text = render(scaling_report(choose("sdsa,sasa"), measurement), 100)
    assert "SASA" in text and "SDSA" not in text
