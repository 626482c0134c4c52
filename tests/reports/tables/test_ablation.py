from collections.abc import Callable

from saformer.analysis.profiles.origin import Origin
from saformer.models.ablations import ABLATIONS
from saformer.reports.document.blocks import Part, Report
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.results.literature import published_ablation
from saformer.reports.tables.ablation import ablation_table

Golden = Callable[[Report | Part, str], None]


def rows() -> list[ComparisonRow]:
    return [
        ComparisonRow(
            name,
            150000 + 1000 * i,
            4,
            4e7 + i,
            5e6 - 1000 * i,
            0.005 + 0.0001 * i,
            0.00004,
            0.97 + 0.001 * i,
            "digits",
            origin=Origin.UNTRAINED if i == 0 else "measured",
            model="sdt-2-64" if i == 0 else "saformer-2-64",
            reference=name == "SAFormer",
        )
        for i, name in enumerate(ABLATIONS)
    ]


def test_ablation_beside_published(matches_golden: Golden) -> None:
    matches_golden(ablation_table(rows(), published=True), "ablation_published")


def test_an_untrained_network_has_no_accuracy(matches_golden: Golden) -> None:
    matches_golden(ablation_table(rows()), "ablation")


def test_the_rows_are_those_of_table_3() -> None:
    assert set(ABLATIONS) == set(published_ablation().model)
