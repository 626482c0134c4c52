"""Four models beside each other."""

import pytest

from saformer.analysis.profiles.origin import Origin
from saformer.reports.results.comparison import PUBLISHED, ComparisonRow


@pytest.fixture
def rows() -> list[ComparisonRow]:
    """Four models of one data set, one of random weights and one published."""

    def row(name: str, energy: float, top1: float | None, **more: object) -> ComparisonRow:
        return ComparisonRow(name, 100, 4, 1e6, 1e5, energy, None, top1, "cifar10", **more)  # type: ignore[arg-type]

    return [
        row("saformer-2-64", 0.5, 0.9, reference=True, relative_difference=0.0, relative_accuracy=0.0),
        row("sdt-2-64", 1.0, 0.8, relative_difference=0.5, relative_accuracy=-0.125),
        row("saformer-2-32", 0.1, 0.1, origin=Origin.UNTRAINED),
        row("Spikformer", 2.0, None, origin=PUBLISHED, relative_difference=0.75),
    ]
