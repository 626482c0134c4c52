"""Complexity as tables, from formulas and from a measurement with made-up numbers."""

import csv
from collections.abc import Callable
from io import StringIO

import pytest

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.benchmark import Measurement
from saformer.analysis.complexity.formulas import Attention, Sizes, attentions, choose
from saformer.analysis.complexity.verify import Difference
from saformer.reports.document.blocks import Report
from saformer.reports.results.complexity import published
from saformer.reports.tables.complexity import complexity_parts, complexity_report, differs, verification
from saformer.reports.writers.csv_json import csv_text, notes_of

HARDWARE = load_hardware("45nm-fp32")


def test_formulas_beside_the_published_ones(matches_golden: Callable) -> None:
    matches_golden(complexity_report(choose("default"), Sizes(), HARDWARE), "complexity")


def test_what_the_recorder_counts_otherwise_is_named(render: Callable) -> None:
    ssa = attentions()["ssa"]
    found = verification([(ssa, [Difference("attention: qk", 1234, None)])])
    assert render(found, 100) == "SSA, attention: qk: the formula says 1,234, the recorder -\n"
    assert notes_of(found) == ["SSA, attention: qk: the formula says 1,234, the recorder -"]
    assert found.data["verified"]["differences"] == [
        {"attention": "ssa", "what": "attention: qk", "formula": 1234, "recorder": None}
    ]
    same = verification([(ssa, [])])
    assert "counts the same" in render(same, 100) and same.data["verified"]["differences"] == []


def test_tables_for_programs_hold_values_in_every_row(chosen: list[Attention], measurement: Measurement) -> None:
    parts = complexity_parts(chosen, Sizes(), HARDWARE, measurement)
    tables = [list(csv.DictReader(StringIO(text))) for text in csv_text(Report(parts)).split("\n\n")]
    orders, energies, numbers, exponents, *points = tables
    assert {row["attention"] for row in energies} == {a.key for a in chosen} == {row["attention"] for row in orders}
    assert orders[-1]["space_order"] == "D*N"
    total = {a.key: 0.0 for a in chosen}
    for row in energies:
        if row["part"] != "aggregation":
            total[row["attention"]] += float(row["energy_mj_per_image"])
    for row in numbers:
        assert float(row["energy_mj_table_5_per_image"]) == pytest.approx(total[row["attention"]])
    assert len(exponents) == 4 * len(chosen) and all(row["quantity"] for row in exponents)
    fit = measurement.time_fit(chosen[0], "tokens").measured
    assert float(exponents[0]["exponent_measured"]) == fit.exponent
    assert float(exponents[0]["exponent_measured_low"]) == fit.low
    assert list(points[0][-1]) == ["tokens", "vsa_seconds", "ssa_seconds", "ssa_keys_first_seconds", "sasa_seconds"]
    assert points[0][-1]["tokens"] == "16384" and points[0][-1]["ssa_seconds"] == ""
    assert notes_of(Report(parts)) == ["skipped: SSA at N = 16384, D = 64: needs about 5.02 GiB, 3.1 GiB are free"]


def test_only_the_scale_of_ssa_differs_from_the_published_table() -> None:
    found = []
    for (key, quantity), formula in published().items():
        if quantity not in ("time", "space"):
            found += [(key, quantity)] if differs(attentions()[key].energy(quantity), formula) else []
    assert found == [("ssa", "scale")]
