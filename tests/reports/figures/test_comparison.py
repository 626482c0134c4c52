from dataclasses import replace
from itertools import pairwise
from math import nan

import pytest

from saformer.analysis.profiles.origin import UNTRAINED
from saformer.errors import InputError
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.figures.relative_difference import relative_figure
from saformer.reports.results.comparison import PUBLISHED, ComparisonRow, published_rows


def bar_widths(axes) -> list[float]:  # type: ignore[no-untyped-def]
    return [patch.get_width() for patch in axes.containers[0]]


def names(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axes.get_yticklabels()]


@pytest.fixture
def rows() -> list[ComparisonRow]:
    """Four models of one data set, one of random weights and one published."""

    def row(name: str, energy: float, top1: float | None, **more: object) -> ComparisonRow:
        return ComparisonRow(name, 100, 4, 1e6, 1e5, energy, None, top1, "cifar10", **more)  # type: ignore[arg-type]

    return [
        row("saformer-2-64", 0.5, 0.9, reference=True, relative_difference=0.0, relative_accuracy=0.0),
        row("sdt-2-64", 1.0, 0.8, relative_difference=0.5, relative_accuracy=-0.125),
        row("saformer-2-32", 0.1, 0.1, origin=UNTRAINED),
        row("Spikformer", 2.0, None, origin=PUBLISHED, relative_difference=0.75),
    ]


def test_values_are_those_of_the_rows(rows: list[ComparisonRow]) -> None:
    left, right = comparison_figure(rows).axes
    assert left.get_xlabel() == "Energy per image (mJ)"
    assert right.get_xlabel() == "Top-1 accuracy (%)"
    assert bar_widths(left) == [row.energy_mj for row in rows]
    plotted = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in right.lines}
    assert plotted == {i: 100 * row.top1 for i, row in enumerate(rows) if row.top1 is not None}
    assert names(left) == ["saformer-2-64", "sdt-2-64", "saformer-2-32 (untrained)", "Spikformer"]


def test_published_bars_are_hollow_and_the_legend_says_so(rows: list[ComparisonRow]) -> None:
    figure = comparison_figure(rows)
    measured, _, random, published = figure.axes[0].containers[0]
    assert published.get_facecolor()[:3] == (1, 1, 1) and published.get_hatch()
    assert measured.get_facecolor()[:3] != (1, 1, 1) and random.get_linestyle() == "--"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["measured here", "measured here, random weights", "published in the SAFormer paper"]


def test_measured_rows_alone_need_no_legend(rows: list[ComparisonRow]) -> None:
    assert comparison_figure(rows[:2]).legends == []


def test_without_accuracy_there_is_one_panel(rows: list[ComparisonRow]) -> None:
    assert len(comparison_figure([rows[3]]).axes) == 1


def test_each_data_set_has_its_own_panels(rows: list[ComparisonRow]) -> None:
    figure = comparison_figure([*rows, replace(rows[0], data="cifar100")])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["cifar10", "", "cifar100", ""]


def test_relative_differences_are_drawn_without_the_reference(rows: list[ComparisonRow]) -> None:
    left, right = relative_figure(rows).axes
    assert names(left) == ["sdt-2-64", "Spikformer"]
    assert bar_widths(left) == [50, 75]
    assert bar_widths(right) == [-12.5, 0]
    assert [text.get_text() for text in right.texts] == ["-12.5", "-"]
    assert left.get_title(loc="left") == "cifar10; ours: saformer-2-64"
    assert "energy (%)" in left.get_xlabel() and "accuracy (%)" in right.get_xlabel()


def test_one_quantity_has_one_panel_with_the_models_of_which_it_is_known(rows: list[ComparisonRow]) -> None:
    (axes,) = relative_figure(rows, ("accuracy",)).axes
    assert names(axes) == ["sdt-2-64"]


def test_the_published_figures_have_a_panel_for_each_data_set() -> None:
    figure = relative_figure(published_rows(), ("energy",))
    assert [axes.get_title(loc="left").partition(";")[0] for axes in figure.axes] == [
        "cifar10",
        "cifar100",
        "cifar10-dvs",
        "dvs128-gesture",
    ]
    assert sum(len(bar_widths(axes)) for axes in figure.axes) == 12


def test_a_model_keeps_its_colour_from_figure_to_figure(rows: list[ComparisonRow]) -> None:
    first = comparison_figure(rows).axes[0].containers[0][1].get_facecolor()
    assert relative_figure(rows).axes[0].containers[0][0].get_facecolor() == first
    published = relative_figure(published_rows(["cifar10"]), ("energy",)).axes[0]
    assert published.containers[0][names(published).index("S-Transformer")].get_edgecolor() == first


def test_accountings_have_a_marker_for_each_model(rows: list[ComparisonRow]) -> None:
    more = [replace(row, energy_mj=3 * row.energy_mj) for row in rows]
    (axes,) = accountings_figure({"paper": rows, "exact": more}).axes
    assert names(axes) == ["paper", "exact"]
    assert axes.get_xscale() == "log"
    markers = [(line.get_ydata()[0], line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    plotted = sorted((round(place), energy) for place, energy in markers)
    assert plotted == sorted(
        [(0, row.energy_mj) for row in rows if not row.published]
        + [(1, 3 * row.energy_mj) for row in rows if not row.published]
    )


def test_equal_energies_do_not_hide_each_other(rows: list[ComparisonRow]) -> None:
    same = [replace(row, energy_mj=0.5) for row in rows[:3]]
    (axes,) = accountings_figure({"paper": same, "exact": same}).axes
    places = sorted(float(line.get_ydata()[0]) for line in axes.lines)
    assert len(places) == 6 and min(b - a for a, b in pairwise(places)) > 0.1


def test_labels_stay_inside_the_figure(rows: list[ComparisonRow]) -> None:
    for figure in (comparison_figure(rows), relative_figure(rows)):
        figure.draw_without_rendering()
        for axes in figure.axes:
            assert all(text.get_window_extent().x1 <= figure.bbox.x1 + 1 for text in axes.texts)


def test_nothing_to_draw_is_said(rows: list[ComparisonRow]) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        comparison_figure([])
    with pytest.raises(InputError, match="two models"):
        relative_figure(rows[:1])
    with pytest.raises(InputError, match="no energies"):
        accountings_figure({"paper": [replace(rows[0], energy_mj=nan)]})
