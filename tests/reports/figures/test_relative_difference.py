import pytest

from saformer.errors import InputError
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.figures.relative_difference import relative_figure
from saformer.reports.results.comparison import ComparisonRow, published_rows


def bar_widths(axes) -> list[float]:  # type: ignore[no-untyped-def]
    return [patch.get_width() for patch in axes.containers[0]]


def names(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axes.get_yticklabels()]


def test_relative_differences_are_drawn_without_the_reference(rows: list[ComparisonRow]) -> None:
    left, right = relative_figure(rows).axes
    assert names(left) == ["sdt-2-64", "Spikformer"]
    assert bar_widths(left) == [50, 75]
    assert bar_widths(right) == [-12.5, 0]
    assert [text.get_text() for text in right.texts] == ["−12.5", "-"]
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


def test_labels_stay_inside_the_figure(rows: list[ComparisonRow]) -> None:
    figure = relative_figure(rows)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 + 1 for text in axes.texts)


def test_nothing_to_draw_is_said(rows: list[ComparisonRow]) -> None:
    with pytest.raises(InputError, match="two models"):
        relative_figure(rows[:1])
