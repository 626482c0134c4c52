import json

import pytest
import sympy

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.benchmark import Measurement
from saformer.analysis.complexity.formulas import Attention, N, Sizes
from saformer.reports.results.complexity import complexity_data, published
from saformer.reports.results.literature import published_complexity
from saformer.reports.writers.csv_json import json_text

HARDWARE = load_hardware("45nm-fp32")


def test_published_formulas_say_where_they_come_from() -> None:
    table = published_complexity()
    assert set(table.source) == {"restored"} and set(table.table) == {4, 5}
    assert len(published()) == len(table) == 25


def test_json_holds_formulas_that_sympy_reads_and_the_fits(chosen: list[Attention], measurement: Measurement) -> None:
    sizes = Sizes(rate=0.15, heads=12)
    found = json.loads(json_text(complexity_data(chosen, sizes, HARDWARE, measurement)))
    assert found["schema"] == 1 and found["sizes"]["heads"] == 12
    values = {"N": 64, "D": 384, "n": 16, "H": 12}
    for entry, attention in zip(found["attentions"], chosen, strict=True):
        steps = 4 if attention.spiking else 1
        assert entry["flops"] == sympy.sympify(entry["module"], locals={"N": N}).subs({N: 64}).subs(values) * steps
        assert sum(part["energy_mj"] for part in entry["parts"] if part["part"] != "aggregation") == pytest.approx(
            entry["energy_mj_table_5"]
        )
    fits = found["measured"]["fits"]
    assert len(fits) == 4 * 4
    assert fits[0]["attention"] == "vsa" and fits[0]["over"] == "N" and len(fits[0]["exponent_ci95"]) == 2
    skipped = [p for p in found["measured"]["points"] if p["skipped"]]
    assert [(p["attention"], p["tokens"], p["fastest_seconds"]) for p in skipped] == [("ssa", 16384, None)]
    assert "measured" not in complexity_data(chosen, sizes, HARDWARE)
