"""Models under every accounting: a marker each on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError
from saformer.reports.document.numbers import EnergyUnit, energy_unit
from saformer.reports.figures.style import BAND, EDGE, WIDTH_INCHES, figure_style, model_looks
from saformer.reports.results.comparison import ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accountings_figure(
    by_accounting: Mapping[str, Sequence[ComparisonRow]], unit: EnergyUnit | None = None
) -> "Figure":
    """Energy of each model under each accounting, a marker each, on a logarithmic axis; a panel for each data set.

    Args:
        by_accounting: rows of the same models under each accounting.
        unit: of the energies; chosen here where it is not given.

    Raises:
        InputError: there are no energies.
    """
    groups = {
        name: by_data(row for row in rows if row.energy_mj > 0 and not row.published)
        for name, rows in by_accounting.items()
    }
    data_sets = list(dict.fromkeys(data for group in groups.values() for data in group))
    if not data_sets:
        raise InputError("nothing to draw: no energies to compare")
    with figure_style():
        from matplotlib.figure import Figure

        most = max(len(found) for group in groups.values() for found in group.values())
        height = len(data_sets) * (max(0.28, 0.12 * most) * len(groups) + 0.45) + 0.6
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        panels = figure.subplots(len(data_sets), 1, sharex=True, squeeze=False)[:, 0]
        rows = [row for group in groups.values() for found in group.values() for row in found]
        looks = model_looks({row.name: row.family_name for row in rows})
        name_of_unit, factor = unit or energy_unit(*(row.energy_mj for row in rows))
        labelled: set[str] = set()
        for axes, data in zip(panels, data_sets, strict=True):
            for place, group in enumerate(groups.values()):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=0)
                found = group.get(data, [])
                for i, row in enumerate(found):
                    look = looks[row.name]
                    name = row.name + (" (untrained)" if row.origin == Origin.UNTRAINED else "")
                    axes.plot(
                        row.energy_mj * factor,
                        place + (i - (len(found) - 1) / 2) * 0.7 / len(found),  # equal energies stay visible
                        linestyle="none",
                        marker=look.marker,
                        markersize=6,
                        markerfacecolor="white" if row.origin == Origin.UNTRAINED else look.colour,
                        markeredgecolor=look.colour if row.origin == Origin.UNTRAINED else EDGE,
                        label=None if row.name in labelled else name,
                    )
                    labelled.add(row.name)
            axes.set_xscale("log")
            _plain_decades(axes, [row.energy_mj * factor for row in rows])
            axes.set_yticks(range(len(groups)), list(groups))
            axes.set_ylim(len(groups) - 0.5, -0.5)
            axes.set_title(data, loc="left")
            axes.grid(axis="x")
        panels[-1].set_xlabel(f"Energy per image ({name_of_unit})")
        figure.legend(loc="outside upper center", ncols=4)
        return figure


def _plain_decades(axes: "Axes", values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis as plain numbers, at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    few = max(values) <= 1000 * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
