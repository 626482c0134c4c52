from dataclasses import replace
from math import log
from pathlib import Path

import pytest

from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.benchmark import Measurement
from saformer.analysis.complexity.formulas import Attention, Sizes, choose
from saformer.errors import InputError
from saformer.reports.figures.complexity import formula_panels, measured_panels, scaling_figure
from saformer.reports.figures.saving import save_figure
from saformer.reports.figures.style import model_looks

HARDWARE = load_hardware("45nm-fp32")


def test_panels_draw_what_was_measured(chosen: list[Attention], measurement: Measurement) -> None:
    figure = scaling_figure(measured_panels(chosen, measurement))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    assert labels == [
        ("Tokens $N$", "Time (ms)"),
        ("Channels $D$", "Time (ms)"),
        ("Tokens $N$", "Peak memory (MiB)"),
        ("Channels $D$", "Peak memory (MiB)"),
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
    looks = model_looks({title: title for title in ("SSA", "SASA")})
    assert all(lines[title].get_color() == look.colour for title, look in looks.items())
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


def test_products_are_set_as_mathematics() -> None:
    figure = scaling_figure(formula_panels(choose("ssa-keys-first"), [Sizes(64), Sizes(256)], HARDWARE))
    (text,) = figure.legends[0].get_texts()
    assert text.get_text() == r"SSA, $K^{\mathsf{T}}V$ first" and text.get_parse_math()


def test_lines_that_show_slopes_lie_below_the_curves(chosen: list[Attention], measurement: Measurement) -> None:
    for axes in scaling_figure(measured_panels(chosen, measurement)).axes:
        curves = [line for line in axes.lines if not line.get_label().startswith("_")]
        for guide in (line for line in axes.lines if line.get_label().startswith("_")):
            (start, end), (low, high) = guide.get_xdata(), guide.get_ydata()
            for curve in curves:
                for x, y in zip(curve.get_xdata(), curve.get_ydata(), strict=True):
                    if x >= start:
                        assert y > low * (x / start) ** (log(high / low) / log(end / start))
