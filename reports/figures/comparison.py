"""Models beside each other: energy and accuracy."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import isnan
from typing import TYPE_CHECKING

from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent
from saformer.reports.figures.model_bars import Draw, draw_bars, panels_by_data_set
from saformer.reports.figures.style import EDGE, Look, annotate, room_for
from saformer.reports.results.comparison import ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def comparison_figure(rows: Sequence[ComparisonRow], unit: EnergyUnit | None = None) -> "Figure":
    """Energy per image (bars, with the 95 % interval where known) and top-1 accuracy (markers) by model.

    Two panels share the rows instead of one panel with two scales, where the place at which a marker meets a bar
    would mean nothing; each data set has its own pair. Without any accuracy there is one panel.

    Args:
        rows: of models on one or more data sets.
        unit: of the energies; that of the largest where it is not given.

    Raises:
        InputError: there are no rows.
    """
    known = any(row.top1 is not None for row in rows)
    unit = unit or energy_unit(*(row.energy_mj for row in rows))
    draw: list[tuple[float, Draw]] = [(1.5, partial(_energies, unit)), *([(1.0, _accuracies)] if known else [])]
    return panels_by_data_set(by_data(rows), draw)


def _energies(unit: EnergyUnit, axes: "Axes", rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    # NaN where nothing is known, or the hardware has no energy for any operation of the model: no bar, and a dash.
    energies = [0.0 if isnan(row.energy_mj) else row.energy_mj for row in rows]
    factor = unit.per_mj
    draw_bars(axes, [energy * factor for energy in energies], rows, looks)
    ends, labels = [], []
    for place, (row, energy) in enumerate(zip(rows, energies, strict=True)):
        half_width = row.energy_ci95 or 0.0
        ends.append((energy + half_width) * factor)
        if half_width:
            axes.errorbar(
                energy * factor,
                place,
                xerr=half_width * factor,
                color="black",
                capsize=2,
                capthick=0.8,
                linewidth=0.8,
            )
        value, error = unit.interval(row.energy_mj, half_width or None)
        labels.append(f"{value} ± {error}" if error else value)
        annotate(axes, labels[-1], ends[-1], place)
    axes.set_xlim(0, room_for(ends, labels))
    axes.set_xlabel(f"Energy per image ({unit.name})")


def _accuracies(axes: "Axes", rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    known = {place: 100 * row.top1 for place, row in enumerate(rows) if row.top1 is not None}
    for place, accuracy in known.items():
        look, row = looks[rows[place].name], rows[place]
        filled = not row.published and row.origin != Origin.UNTRAINED
        axes.plot(
            accuracy,
            place,
            linestyle="none",
            marker=look.marker,
            markersize=5.5,
            markerfacecolor=look.colour if filled else "white",
            markeredgecolor=EDGE if filled else look.colour,
        )
        annotate(axes, percent(accuracy / 100, decimals=2), accuracy, place)
    if not known:
        axes.set_axis_off()
        return
    # Accuracies lie close together: the axis covers them alone, which markers allow and bars would not.
    lowest, highest = min(known.values()), max(known.values())
    span = max(highest - lowest, 1.0)
    limits = (lowest - 0.15 * span, highest + 0.45 * span)
    axes.set_xlim(limits)
    # The axis runs on for the label of the best model, but no accuracy is above 100 %.
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 100])
    axes.set_xlim(limits)
    axes.set_xlabel("Top-1 accuracy (%)")
