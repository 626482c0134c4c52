"""Complexity as tables, JSON and figures, from formulas and from a measurement with made-up numbers."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import sympy

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.benchmark import Measurement, Point
from saformer.analysis.complexity.formulas import R_K, Attention, D, H, N, R_Qa, Sizes, T, attentions, choose, n
from saformer.analysis.complexity.verify import Difference
from saformer.errors import InputError
from saformer.reports.document.blocks import Report
from saformer.reports.document.formulas import big_o, formula_text
from saformer.reports.figures.complexity import formula_panels, measured_panels, scaling_figure
from saformer.reports.figures.saving import save_figure
from saformer.reports.results.complexity import complexity_data, published
from saformer.reports.results.literature import published_complexity
from saformer.reports.tables.complexity import complexity_parts, complexity_report, differs, verification
from saformer.reports.tables.scaling import scaling_report
from saformer.reports.writers.csv_json import csv_text, json_text, notes_of

HARDWARE = load_hardware("45nm-fp32")


@pytest.fixture
def chosen() -> list[Attention]:
    return choose("vsa,ssa,ssa-keys-first,sasa")


@pytest.fixture
def measurement(chosen: list[Attention]) -> Measurement:
    """Times and memories that follow the formulas, 5 % up and down in turn; one size did not fit."""
    points = []
    for axis, values in (("tokens", (64, 256, 1024, 4096, 16384)), ("dim", (64, 128, 256, 512))):
        for a in chosen:
            for i, value in enumerate(values):
                sizes = replace(Sizes(tokens=64, dim=64), **{axis: value})
                point = Point(a, axis, sizes)
                if a.key == "ssa" and value == 16384:
                    point.skipped = "needs about 5.02 GiB, 3.1 GiB are free"
                else:
                    point.seconds = [a.count(sizes) * 1e-9 * (1.05 if i % 2 else 0.95)]
                    point.peak = 2 * point.held
                points.append(point)
    return Measurement(tuple(points), {a.key: 2e-5 for a in chosen}, "cpu", 2)


def test_formulas_beside_the_published_ones(matches_golden: Callable) -> None:
    matches_golden(complexity_report(choose("default"), Sizes(), HARDWARE), "complexity")


def test_measured_exponents_beside_the_symbolic_ones(
    matches_golden: Callable, chosen: list[Attention], measurement: Measurement
) -> None:
    matches_golden(scaling_report(chosen, measurement), "complexity_scaling")


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


def test_attentions_that_were_not_measured_are_in_the_formulas_alone(
    measurement: Measurement, render: Callable
) -> None:
    text = render(scaling_report(choose("sdsa,sasa"), measurement), 100)
    assert "SASA" in text and "SDSA" not in text


def test_formulas_are_written_as_in_papers() -> None:
    assert formula_text(12 * N * D + 3 * N * D**2 + n * D) == "3ND² + 12ND + nD"
    assert formula_text(N * D**2 / H) == "ND²/H"
    assert formula_text(T * D * (10 * N * R_K + n * R_Qa)) == "T D (R_K 10N + R_Qa n)"
    assert formula_text(sympy.Integer(3)) == "3"
    assert big_o(H * N**2 + N * D) == "O(HN² + ND)"


def test_only_the_scale_of_ssa_differs_from_the_published_table() -> None:
    found = []
    for (key, quantity), formula in published().items():
        if quantity not in ("time", "space"):
            found += [(key, quantity)] if differs(attentions()[key].energy(quantity), formula) else []
    assert found == [("ssa", "scale")]


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


def test_panels_draw_what_was_measured(chosen: list[Attention], measurement: Measurement) -> None:
    figure = scaling_figure(measured_panels(chosen, measurement))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    assert labels == [
        ("Tokens N", "Time (ms)"),
        ("Channels D", "Time (ms)"),
        ("Tokens N", "Peak memory (MiB)"),
        ("Channels D", "Peak memory (MiB)"),
    ]
    for axes, (axis, quantity) in zip(
        figure.axes, [("tokens", "time"), ("dim", "time"), ("tokens", "peak"), ("dim", "peak")], strict=True
    ):
        assert axes.get_xscale() == axes.get_yscale() == "log"
        plotted = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
        assert set(plotted) == {a.title for a in chosen}
        for a in chosen:
            points = [p for p in measurement.series(a, axis) if p.skipped is None]
            factor = 1e3 if quantity == "time" else 2.0**-20
            assert list(plotted[a.title].get_xdata()) == [p.size for p in points]
            assert list(plotted[a.title].get_ydata()) == [getattr(p, quantity) * factor for p in points]


def test_every_attention_has_its_own_line_and_marker_and_its_familys_colour() -> None:
    every = choose("all")
    figure = scaling_figure(formula_panels(every, [Sizes(tokens) for tokens in (64, 256)], HARDWARE))
    lines = {line.get_label(): line for line in figure.axes[0].lines if not line.get_label().startswith("_")}
    assert len({(line.get_marker(), str(line._dash_pattern)) for line in lines.values()}) == len(every)
    assert lines["SSA"].get_color() == lines["SSA, K^T V first"].get_color() != lines["SASA"].get_color()
    assert [axes.get_ylabel() for axes in figure.axes] == ["FLOPs per image", "Energy per image (µJ)"]


def test_a_figure_is_saved_and_nothing_is_not_drawn(
    chosen: list[Attention], measurement: Measurement, tmp_path: Path
) -> None:
    save_figure(scaling_figure(measured_panels(chosen, measurement)), tmp_path / "scaling.pdf")
    assert (tmp_path / "scaling.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InputError, match="nothing to draw"):
        scaling_figure([])
    one = replace(measurement, points=measurement.points[:1])
    scaling_figure(measured_panels(chosen, one)).draw_without_rendering()
