"""Models against one of them by Eq. 21: the paper's Figures 2 and 3."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING

from saformer.errors import InputError
from saformer.reports.figures.model_bars import Draw, draw_bars, panels_by_data_set
from saformer.reports.figures.style import EDGE, Look, annotate
from saformer.reports.results.comparison import IMPLIED, PUBLISHED, ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Which quantities `relative_figure` draws, and what their axes say.
QUANTITIES = {
    "energy": "Relative difference in energy (%)\npositive: ours needs less",
    "accuracy": "Relative difference in top-1 accuracy (%)\nnegative: ours is more accurate",
}


def relative_figure(rows: Sequence[ComparisonRow], quantities: Sequence[str] = tuple(QUANTITIES)) -> "Figure":
    """Eq. 21 by model, for the energy, the accuracy or both: the paper's Figures 2 and 3.

    The reference of a data set is named in its title and has no bar; nor has a model of which the quantity is unknown.

    Args:
        rows: of `comparison_rows` and `published_rows`.
        quantities: keys of `QUANTITIES`, a column of panels each.

    Raises:
        InputError: there is nothing to draw.
    """
    differences: dict[str, Callable[[ComparisonRow], float]] = {
        "energy": lambda row: row.relative_difference,
        "accuracy": lambda row: row.relative_accuracy,
    }
    groups = {}
    for data, group in by_data(rows).items():
        shown = [row for row in group if any(not isnan(differences[name](row)) for name in quantities)]
        if any(not row.reference for row in shown):
            groups[data] = shown
    if not groups:
        raise InputError("nothing to draw: a relative difference needs two models of one data set")
    references = {data: [row for row in group if row.reference] for data, group in groups.items()}
    bars = {data: [row for row in group if not row.reference] for data, group in groups.items()}

    def panel(name: str) -> Draw:
        def draw(axes: "Axes", group: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
            values = [100 * differences[name](row) for row in group]
            shown = [0.0 if isnan(v) else v for v in values]
            draw_bars(axes, shown, [_as_published(name, row) for row in group], looks)
            axes.axvline(0, color=EDGE, linewidth=0.6)
            for place, value in enumerate(values):
                annotate(
                    axes, "-" if isnan(value) else f"{value:+.1f}", max(value, 0.0) if value == value else 0.0, place
                )
            known = [v for v in values if not isnan(v)]
            low, high = min(0.0, *known, 0.0), max(0.0, *known, 0.0)
            span = (high - low) or 1.0
            axes.set_xlim(low - 0.04 * span, high + 0.24 * span)
            axes.set_xlabel(QUANTITIES[name])

        return draw

    titles = {
        data: f"{data}; ours: " + ", ".join(f"{row.name}{' (published)' if row.published else ''}" for row in ours)
        for data, ours in references.items()
    }
    return panels_by_data_set(bars, [(1.0, panel(name)) for name in quantities], titles, label_last=True)


def _as_published(quantity: str, row: ComparisonRow) -> ComparisonRow:
    """Accuracies beside an energy that was solved are the published ones."""
    return replace(row, origin=PUBLISHED) if quantity == "accuracy" and row.origin == IMPLIED else row
