"""Models against one of them by Eq. 21: the paper's Figures 2 and 3."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from saformer.errors import InputError
from saformer.reports.figures.lettering import annotate
from saformer.reports.figures.model_bars import Looks, Quantity, draw_bars, panels_by_data_set
from saformer.reports.figures.style import EDGE, Width
from saformer.reports.results.comparison import IMPLIED, PUBLISHED, ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Which quantities `relative_figure` draws, and what their axes say.
QUANTITIES = {
    "energy": "Relative difference in energy (%)\npositive: ours needs less",
    "accuracy": "Relative difference in accuracy (%)\nnegative: ours is more accurate",
}
_DIFFERENCES: dict[str, Callable[[ComparisonRow], float]] = {
    "energy": lambda row: row.relative_difference,
    "accuracy": lambda row: row.relative_accuracy,
}


def relative_figure(
    rows: Sequence[ComparisonRow], quantities: Sequence[str] = tuple(QUANTITIES), width: Width = Width.page
) -> "Figure":
    """Eq. 21 by model, for the energy, the accuracy or both: the paper's Figures 2 and 3.

    The reference of a data set is named in its title and has no bar; nor has a model of which the quantity is unknown.

    Args:
        rows: of `comparison_rows` and `published_rows`.
        quantities: keys of `QUANTITIES`.
        width: of the figure.

    Raises:
        InputError: there is nothing to draw.
    """
    bars, titles = {}, {}
    for data, group in by_data(rows).items():
        known = [row for row in group if any(not isnan(_DIFFERENCES[name](row)) for name in quantities)]
        if others := [row for row in known if not row.reference]:
            ours = (f"{row.name}{' (published)' if row.published else ''}" for row in known if row.reference)
            bars[data], titles[data] = others, f"{data}; ours: {', '.join(ours)}"
    if not bars:
        raise InputError("nothing to draw: a relative difference needs two models of one data set")
    return panels_by_data_set(bars, [_quantity(name) for name in quantities], width, titles)


def _quantity(name: str) -> Quantity:
    difference = _DIFFERENCES[name]

    def draw(axes: "Axes", rows: Sequence[ComparisonRow], looks: Looks, size: float) -> None:
        values = [100 * difference(row) for row in rows]
        shown = [0.0 if isnan(value) else value for value in values]
        draw_bars(axes, shown, [_as_published(name, row) for row in rows], looks)
        axes.axvline(0, color=EDGE, linewidth=0.6)
        low, high = min(0.0, *shown), max(0.0, *shown)
        span = (high - low) or 1.0
        axes.set_xlim(low - 0.04 * span, high + 0.01 * span)  # labels find their own room
        axes.locator_params(axis="x", nbins=6)
        axes.spines["left"].set_visible(False)
        for place, value in enumerate(values):
            annotate(axes, "-" if isnan(value) else signed(value), max(shown[place], 0.0), place, size)

    return Quantity(QUANTITIES[name], lambda row: not isnan(difference(row)), draw)


def signed(value: float) -> str:
    """A number with one decimal and its sign; zero has none."""
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _as_published(quantity: str, row: ComparisonRow) -> ComparisonRow:
    """Accuracies beside an energy that was solved are the published ones."""
    return replace(row, origin=PUBLISHED) if quantity == "accuracy" and row.origin == IMPLIED else row
