"""Models beside each other as figures: energy and accuracy, Eq. 21 (the paper's Figures 2 and 3), and accountings."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import MEASURED, RATES, UNTRAINED
from saformer.errors import InputError
from saformer.reports.document.numbers import energy_unit, interval, percent
from saformer.reports.figures.energy import (
    BAND,
    EDGE,
    WIDTH_INCHES,
    Look,
    annotate,
    figure_style,
    model_looks,
    room_for,
)
from saformer.reports.results.comparison import IMPLIED, ORIGINS, PUBLISHED, ComparisonRow, by_data

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Which quantities `relative_figure` draws, and what their axes say.
QUANTITIES = {
    "energy": "Relative difference in energy (%)\npositive: ours needs less",
    "accuracy": "Relative difference in top-1 accuracy (%)\nnegative: ours is more accurate",
}


def comparison_figure(rows: Sequence[ComparisonRow]) -> "Figure":
    """Energy per image (bars, with the 95 % interval where known) and top-1 accuracy (markers) by model.

    Two panels share the rows instead of one panel with two scales, where the place at which a marker meets a bar
    would mean nothing; each data set has its own pair. Without any accuracy there is one panel.

    Raises:
        InputError: there are no rows.
    """
    known = any(row.top1 is not None for row in rows)
    draw: list[tuple[float, _Draw]] = [(1.5, _energies), *([(1.0, _accuracies)] if known else [])]
    return _by_data_set(by_data(rows), draw)


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

    def panel(name: str) -> "_Draw":
        def draw(axes: "Axes", group: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
            values = [100 * differences[name](row) for row in group]
            shown = [0.0 if isnan(v) else v for v in values]
            _bars(axes, shown, [_for(name, row) for row in group], looks)
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
    return _by_data_set(bars, [(1.0, panel(name)) for name in quantities], titles, label_last=True)


def accountings_figure(by_accounting: Mapping[str, Sequence[ComparisonRow]]) -> "Figure":
    """Energy of each model under each accounting, a marker each, on a logarithmic axis; a panel for each data set.

    Args:
        by_accounting: rows of the same models under each accounting.

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
        unit, factor = energy_unit(max(row.energy_mj for row in rows))
        labelled: set[str] = set()
        for axes, data in zip(panels, data_sets, strict=True):
            for place, group in enumerate(groups.values()):
                if place % 2 == 0:
                    axes.axhspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=0)
                found = group.get(data, [])
                for i, row in enumerate(found):
                    look = looks[row.name]
                    name = row.name + (" (untrained)" if row.origin == UNTRAINED else "")
                    axes.plot(
                        row.energy_mj * factor,
                        place + (i - (len(found) - 1) / 2) * 0.7 / len(found),  # equal energies stay visible
                        linestyle="none",
                        marker=look.marker,
                        markersize=6,
                        markerfacecolor="white" if row.origin == UNTRAINED else look.colour,
                        markeredgecolor=look.colour if row.origin == UNTRAINED else EDGE,
                        label=None if row.name in labelled else name,
                    )
                    labelled.add(row.name)
            axes.set_xscale("log")
            _plain_decades(axes, [row.energy_mj * factor for row in rows])
            axes.set_yticks(range(len(groups)), list(groups))
            axes.set_ylim(len(groups) - 0.5, -0.5)
            axes.set_title(data, loc="left")
            axes.grid(axis="x")
        panels[-1].set_xlabel(f"Energy per image ({unit})")
        figure.legend(loc="outside upper center", ncols=4)
        return figure


def _plain_decades(axes: "Axes", values: Sequence[float]) -> None:
    """Ticks of a logarithmic axis as plain numbers, at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    few = max(values) <= 1000 * min(values)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


_Draw = Callable[["Axes", Sequence[ComparisonRow], Mapping[str, Look]], None]


def _by_data_set(
    groups: Mapping[str, Sequence[ComparisonRow]],
    columns: Sequence[tuple[float, _Draw]],
    titles: Mapping[str, str] | None = None,
    label_last: bool = False,
) -> "Figure":
    """A row of panels for each data set, a column for each quantity (its width, what draws it), and the legend.

    With `label_last` the axes of a column say the same, and only the lowest is labelled.
    """
    rows = [row for group in groups.values() for row in group]
    if not rows:
        raise InputError("nothing to draw: no models to compare")
    with figure_style():
        from matplotlib.figure import Figure

        heights = [
            (0.26 if len(group) <= 8 else 0.19) * len(group) + (0.5 if label_last else 0.75)
            for group in groups.values()
        ]
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.75), layout="constrained")
        panels = figure.subplots(
            len(groups),
            len(columns),
            squeeze=False,
            sharey="row",
            width_ratios=[width for width, _ in columns],
            height_ratios=heights,
        )
        # Ours first: it has the plain look of its family.
        ours_first = sorted(rows, key=lambda row: not row.reference)
        looks = model_looks({row.name: row.family_name for row in ours_first})
        for line, (data, group) in zip(panels, groups.items(), strict=True):
            for axes, (_, draw) in zip(line, columns, strict=True):
                draw(axes, group, looks)
                axes.grid(axis="x")
                axes.set_ylim(len(group) - 0.4, -0.6)
                if label_last and data != list(groups)[-1]:
                    axes.set_xlabel("")
            line[0].set_yticks(range(len(group)), [_label(row) for row in group])
            line[0].set_title((titles or {}).get(data, data), loc="left")
        handles = _legend(rows)
        if handles:
            figure.legend(handles=handles, loc="outside upper center", ncols=2)
        return figure


def _for(quantity: str, row: ComparisonRow) -> ComparisonRow:
    """Accuracies beside an energy that was solved are the published ones."""
    return replace(row, origin=PUBLISHED) if quantity == "accuracy" and row.origin == IMPLIED else row


def _label(row: ComparisonRow) -> str:
    return f"{row.name} (untrained)" if row.origin == UNTRAINED else row.name


def _legend(rows: Sequence[ComparisonRow]) -> list[Any]:
    """What filled, pale and hollow bars stand for; nothing where all rows are measured ones."""
    from matplotlib.patches import Patch

    used = [origin for origin in ORIGINS if any(row.origin == origin for row in rows)]
    if used == [MEASURED]:
        return []
    texts = {
        MEASURED: "measured here",
        UNTRAINED: "measured here, random weights",
        RATES: "from given firing rates",
        PUBLISHED: "published in the SAFormer paper",
        IMPLIED: "published; energy solved by Eq. 21 from a stated reduction",
    }
    return [Patch(**_face(origin, Look("#888888", "", "o")), label=texts[origin]) for origin in used]


def _face(origin: str, look: Look) -> dict[str, Any]:
    """How a bar is filled: measured ones solid, those of random weights pale and dashed, published ones hollow."""
    if origin in (PUBLISHED, IMPLIED):
        hatch = "////" if origin == PUBLISHED else "...."
        return {"facecolor": "white", "edgecolor": look.colour, "hatch": hatch, "linewidth": 0.9}
    if origin in (UNTRAINED, RATES):
        from matplotlib.colors import to_rgb

        pale = tuple(1 - 0.35 * (1 - part) for part in to_rgb(look.colour))
        style = "--" if origin == UNTRAINED else ":"
        return {"facecolor": pale, "edgecolor": EDGE, "hatch": look.hatch, "linestyle": style}
    return {"facecolor": look.colour, "edgecolor": EDGE, "hatch": look.hatch}


def _bars(axes: "Axes", widths: Sequence[float], rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    bars = axes.barh(range(len(rows)), widths, height=0.62)
    for bar, row in zip(bars, rows, strict=True):
        bar.set(**_face(row.origin, looks[row.name]))


def _energies(axes: "Axes", rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    # NaN where nothing is known, or the hardware has no energy for any operation of the model: no bar, and a dash.
    energies = [0.0 if isnan(row.energy_mj) else row.energy_mj for row in rows]
    unit, factor = energy_unit(max(energies))
    _bars(axes, [energy * factor for energy in energies], rows, looks)
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
        value, error = interval(row.energy_mj * factor, half_width * factor or None, digits=3)
        labels.append(f"{value} ± {error}" if error else value)
        annotate(axes, labels[-1], ends[-1], place)
    axes.set_xlim(0, room_for(ends, labels))
    axes.set_xlabel(f"Energy per image ({unit})")


def _accuracies(axes: "Axes", rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    known = {place: 100 * row.top1 for place, row in enumerate(rows) if row.top1 is not None}
    for place, accuracy in known.items():
        look, row = looks[rows[place].name], rows[place]
        filled = not row.published and row.origin != UNTRAINED
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
