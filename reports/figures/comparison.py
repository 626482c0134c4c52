"""Models beside each other: energy and accuracy."""

from collections.abc import Sequence
from functools import partial
from math import isnan
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import Origin
from saformer.analysis.statistics.shares import wilson
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit, percent
from saformer.reports.figures.lettering import annotate, percent_ticks
from saformer.reports.figures.model_bars import Looks, Quantity, draw_bars, panels_by_data_set
from saformer.reports.figures.style import EDGE, INK, PAPER, Width
from saformer.reports.results.comparison import ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEAST_POINTS = 1.0  # of accuracy on an axis: a smaller difference should look small
_ERROR: dict[str, Any] = {"color": INK, "capsize": 2, "capthick": 0.7, "linewidth": 0.7}


def comparison_figure(
    rows: Sequence[ComparisonRow], unit: EnergyUnit | None = None, width: Width = Width.page
) -> "Figure":
    """Energy per image (bars, with the 95 % interval where known) and top-1 accuracy (markers) by model.

    Two panels share the rows instead of one panel with two scales, where the place at which a marker meets a bar
    would mean nothing; each data set has its own pair. Where some rows have no energy, as most of the published ones,
    energies and accuracies have rows of their own. Without any accuracy there are energies alone.

    Args:
        rows: of models on one or more data sets.
        unit: of the energies; that of the largest where it is not given.
        width: of the figure.

    Raises:
        InputError: there are no rows.
    """
    unit = unit or energy_unit(*(row.energy_mj for row in rows))

    energies = partial(_energies, unit)
    energy = Quantity(f"Energy per image ({unit.name})", lambda row: not isnan(row.energy_mj), energies, 1.35)
    accuracy = Quantity("Top-1 accuracy (%)", lambda row: row.top1 is not None, _accuracies)
    known = [quantity for quantity in (energy, accuracy) if any(map(quantity.known, rows))]
    return panels_by_data_set(by_data(rows), known or [Quantity(energy.label, lambda _: True, energies)], width)


def _energies(unit: EnergyUnit, axes: "Axes", rows: Sequence[ComparisonRow], looks: Looks, size: float) -> None:
    # NaN where the hardware has no energy for any operation of the model: no bar, and a dash.
    factor, energies = unit.per_mj, [0.0 if isnan(row.energy_mj) else row.energy_mj for row in rows]
    draw_bars(axes, [energy * factor for energy in energies], rows, looks)
    axes.set_xlim(0, max((e + (r.energy_ci95 or 0.0)) * factor for e, r in zip(energies, rows, strict=True)) or 1.0)
    axes.locator_params(axis="x", nbins=6)
    for place, (row, energy) in enumerate(zip(rows, energies, strict=True)):
        half_width = (row.energy_ci95 or 0.0) * factor
        if half_width:
            axes.errorbar(energy * factor, place, xerr=half_width, **_ERROR)
        value, error = unit.interval(row.energy_mj, row.energy_ci95 or None)
        annotate(axes, f"{value} ± {error}" if error else value, energy * factor + half_width, place, size)


def _accuracies(axes: "Axes", rows: Sequence[ComparisonRow], looks: Looks, size: float) -> None:
    ends: list[float] = []
    if not any(row.top1 is not None for row in rows):
        axes.set_axis_off()
        return
    for place, row in enumerate(rows):
        if row.top1 is None:
            axes.text(0.02, place, NOT_KNOWN, transform=axes.get_yaxis_transform(), va="center", fontsize=size)
            continue
        look, accuracy = looks[row.name], 100 * row.top1
        low, high = wilson(row.top1, row.images) if row.images else (row.top1, row.top1)
        ends += [100 * low, 100 * high]
        filled = not row.published and row.origin != Origin.UNTRAINED
        if row.images:
            axes.errorbar(accuracy, place, xerr=[[100 * (row.top1 - low)], [100 * (high - row.top1)]], **_ERROR)
        axes.plot(
            accuracy,
            place,
            linestyle="none",
            marker=look.marker,
            markersize=min(5.0, 0.75 * size),
            markerfacecolor=look.colour if filled else PAPER,
            markeredgecolor=EDGE if filled else look.colour,
            zorder=3,
        )
        annotate(axes, percent(row.top1, decimals=2), 100 * high, place, size, 6.0)
    # Accuracies lie close together: the axis covers them alone, which markers allow and bars would not.
    lowest, highest = min(ends), max(ends)
    missing = max(0.0, _LEAST_POINTS - (highest - lowest))
    pad = 0.1 * (highest - lowest + missing)
    axes.set_xlim(lowest - missing / 2 - pad, highest + missing / 2 + pad)
    percent_ticks(axes, 4)
    axes.spines["left"].set_visible(False)
