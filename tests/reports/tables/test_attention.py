from collections.abc import Callable

from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.attention import attention_report

Golden = Callable[[Report | Part, str], None]


def test_table(inspections: dict[str, Inspection], matches_golden: Golden) -> None:
    matches_golden(attention_report(inspections, "digits (test), sample 3", 1), "attention")


def test_the_object_holds_every_value(inspections: dict[str, Inspection]) -> None:
    found = attention_report(inspections, "x").data
    assert found is not None
    first = found["networks"][0]["maps"][0]
    assert first["per_step"] == inspections["SASA"].maps[0].per_step.tolist()
