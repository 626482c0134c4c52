"""Models under every accounting: a marker each on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError
from saformer.reports.document.numbers import EnergyUnit, energy_unit
from saformer.reports.figures.lettering import wrapped
from saformer.reports.figures.style import BAND, EDGE, PAGE_HEIGHT, PAPER, SMALL_SIZE, Width, figure_style, model_looks
from saformer.reports.results.comparison import ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNDER_NOTHING = "no operation charged"


def accountings_figure(
    by_accounting: Mapping[str, Sequence[ComparisonRow]], unit: EnergyUnit | None = None, width: Width = Width.page
) -> "Figure":
    """Energy of each model under each accounting, a marker each, on a logarithmic axis; a panel for each data set.

    A model of which an accounting sees no operation has no marker there: the row says so where it holds of all, and
    else names it beside a dash.

    Args:
        by_accounting: rows of the same models under each accounting.
        unit: of the energies; that of the largest where it is not given.
        width: of the figure.

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
        rows = [row for group in groups.values() for found in group.values() for row in found]
        looks = model_looks({row.name: row.family_name for row in rows})
        columns, characters = (3, 32) if width is Width.page else (2, 24)
        drawn = {  # each network once, under whatever accounting sees it
            data: list({row.name: row for group in groups.values() for row in group.get(data, [])}.values())
            for data in data_sets
        }
        names = {row.name: wrapped(row.name, characters) for row in rows}
        legend = 0.13 * sum(name.count("\n") + 1 for name in names.values()) / columns + 0.2
        fixed = len(data_sets) * 0.45 + legend + 0.2
        row_inches = max(0.24, 0.07 * most)
        height = min(PAGE_HEIGHT, fixed + len(data_sets) * len(groups) * row_inches)
        figure = Figure(figsize=(width.inches, height), layout="constrained")
        panels = figure.subplots(len(data_sets), 1, sharex=True, squeeze=False)[:, 0]
        unit = unit or energy_unit(*(row.energy_mj for row in rows))
        labelled: set[str] = set()
        for axes, data in zip(panels, data_sets, strict=True):
            for place, group in enumerate(groups.values()):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=0)
                found = group.get(data, [])
                if not found:
                    axes.text(0.01, place, _UNDER_NOTHING, transform=axes.get_yaxis_transform(), va="center")
                else:
                    unseen = [row.name for row in drawn[data] if all(row.name != other.name for other in found)]
                    if unseen:  # of some alone
                        text = ", ".join(f"{names[name]}: -" for name in unseen)
                        axes.text(
                            1.005, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL_SIZE
                        )
                for i, row in enumerate(found):
                    look = looks[row.name]
                    untrained = row.origin == Origin.UNTRAINED
                    name = names[row.name] + (" (untrained)" if untrained else "")
                    axes.plot(
                        row.energy_mj * unit.per_mj,
                        place + (i - (len(found) - 1) / 2) * 0.78 / len(found),  # equal energies stay visible
                        linestyle="none",
                        marker=look.marker,
                        markersize=5,
                        markerfacecolor=PAPER if untrained else look.colour,
                        markeredgecolor=look.colour if untrained else EDGE,
                        label=None if row.name in labelled else name,
                    )
                    labelled.add(row.name)
            axes.set_xscale("log")
            _plain_decades(axes, [row.energy_mj * unit.per_mj for row in rows], width)
            axes.set_yticks(range(len(groups)), list(groups))
            axes.set_ylim(len(groups) - 0.5, -0.5)
            axes.set_title(data, loc="left")
            axes.grid(axis="x")
        panels[-1].set_xlabel(f"Energy per image ({unit.name})")
        figure.legend(loc="outside upper center", ncols=columns)
        return figure


def _plain_decades(axes: "Axes", values: Sequence[float], width: Width) -> None:
    """Limits around the values, and ticks as plain numbers, at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    # Half as far again on either side: a marker is whole, and a single one has an axis.
    axes.set_xlim(min(values) / 1.5, max(values) * 1.5)
    few = max(values) <= (1000 if width is Width.page else 50) * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
