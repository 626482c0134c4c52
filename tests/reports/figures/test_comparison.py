from dataclasses import replace

import pytest

from saformer.errors import InputError
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.results.comparison import ComparisonRow


def bar_widths(axes) -> list[float]:  # type: ignore[no-untyped-def]
    return [patch.get_width() for patch in axes.containers[0]]


def names(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axes.get_yticklabels()]


def test_values_are_those_of_the_rows(rows: list[ComparisonRow]) -> None:
    left, right = comparison_figure(rows).axes
    assert left.get_xlabel() == "Energy per image (mJ)"
    assert right.get_xlabel() == "Top-1 accuracy (%)"
    assert bar_widths(left) == [row.energy_mj for row in rows]
    plotted = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in right.lines}
    assert plotted == {i: 100 * row.top1 for i, row in enumerate(rows) if row.top1 is not None}
    assert names(left) == ["saformer-2-64", "sdt-2-64", "saformer-2-32\n(untrained)", "Spikformer"]


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


def test_labels_stay_inside_the_figure(rows: list[ComparisonRow]) -> None:
    figure = comparison_figure(rows)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 + 1 for text in axes.texts)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        comparison_figure([])
