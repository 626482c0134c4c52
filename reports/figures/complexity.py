"""Complexity as figures: time and peak memory over N and D, or counts and energy of the formulas."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.complexity.formulas import SYNAPTIC, Attention, Sizes, attentions, picojoules
from saformer.errors import InputError
from saformer.reports.figures.lettering import formula, power_of_ten, typeset
from saformer.reports.figures.style import EDGE, MARK_SIZE, MUTED, PAGE_HEIGHT, Width, figure_style, model_looks
from saformer.reports.results.complexity import AXES, QUANTITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from saformer.analysis.complexity.benchmark import Measurement

_MOST_TICKS = 8
_LEGEND_COLUMNS = {Width.page: 4, Width.column: 2}
_AXIS_LABELS = {"tokens": "Tokens $N$", "dim": "Channels $D$"}


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        x: its label, for `formula`.
        y: its label, with the unit.
        title: what is held, for `formula`.
        series: x and y values by the title of an attention.
        powers: slopes that thin lines show, by their labels for `formula`.
    """

    x: str
    y: str
    title: str
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    powers: Mapping[str, int]


def measured_panels(chosen: Sequence[Attention], measurement: "Measurement") -> list[Panel]:
    """Time and peak memory over each size that was measured."""
    panels = []
    for quantity, (what, unit, factor, _) in QUANTITIES.items():
        for axis, symbol in AXES.items():
            series = {}
            held = None
            for a in chosen:
                points = measurement.series(a, axis)
                values = [(p.size, p.time if quantity == "time" else p.peak) for p in points]
                known = [(float(size), value * factor) for size, value in values if value is not None]
                held = points[0].sizes if points else held
                if known:
                    series[a.title] = ([x for x, _ in known], [y for _, y in known])
            if series and held is not None:
                size = f"$D = {held.dim}$" if axis == "tokens" else f"$N = {held.tokens}$"
                title = f"{size}, {_held(held)}"
                powers = {rf"$\propto {symbol}$": 1, rf"$\propto {symbol}^2$": 2}
                panels.append(Panel(_AXIS_LABELS[axis], f"{what.capitalize()} ({unit})", title, series, powers))
    return panels


def formula_panels(chosen: Sequence[Attention], over_tokens: Sequence[Sizes], hardware: Hardware) -> list[Panel]:
    """Dense operations and energy of the formulas over N; no energy where the hardware lacks one that is charged, or
    where it is 0, which a logarithmic axis cannot show.
    """
    energies = {
        a.title: [(float(s.tokens), value * 1e-6) for s in over_tokens if (value := picojoules(a, s, hardware))]
        for a in chosen
    }
    counts = {a.title: [(float(s.tokens), float(a.count(s, *SYNAPTIC))) for s in over_tokens] for a in chosen}
    first = over_tokens[0]
    title = f"$D = {first.dim}$, {_held(first)}"
    labels = ((counts, "FLOPs per image", title), (energies, "Energy per image (µJ)", f"{title}, $R = {first.rate:g}$"))
    return [
        Panel(
            _AXIS_LABELS["tokens"],
            label,
            title,
            {name: ([x for x, _ in points], [y for _, y in points]) for name, points in series.items() if points},
            {r"$\propto N$": 1, r"$\propto N^2$": 2},
        )
        for series, label, title in labels
        if any(series.values())
    ]


def _held(sizes: Sizes) -> str:
    """What every panel holds, for `formula`."""
    return f"$n = {sizes.aggregated}$, $H = {sizes.heads}$, $T = {sizes.time_steps}$"


def scaling_figure(panels: Sequence[Panel], width: Width = Width.page) -> "Figure":
    """Log-log panels; an attention has its family's colour, and its own line and marker.

    Raises:
        InputError: there is nothing to draw.
    """
    if not panels:
        raise InputError("nothing to draw: no size was measured")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        titles = list(dict.fromkeys(title for panel in panels for title in panel.series))
        # By its place among all attentions: the same in every figure.
        every = list(dict.fromkeys([*(a.title for a in attentions().values()), *titles]))
        looks = model_looks({title: title for title in every})
        styles: dict[str, dict[str, Any]] = {
            title: {
                "color": looks[title].colour,
                "marker": looks[title].marker,
                "linestyle": looks[title].line,
                "markeredgecolor": EDGE,
                "markeredgewidth": 0.5,
                "linewidth": 1.1,
            }
            for title in titles
        }
        columns = min(len(panels), 2 if width is Width.page else 1)
        rows = -(-len(panels) // columns)
        handles = [Line2D([], [], label=typeset(title), **style) for title, style in styles.items()]
        entries = _LEGEND_COLUMNS[width]
        legend = 0.16 * -(-len(handles) // entries) + 0.2
        panel_inches = min(2.4, (PAGE_HEIGHT - legend) / rows)
        figure = Figure(figsize=(width.inches, panel_inches * rows + legend), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _panel(axes, panel, styles)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        shown = figure.legend(
            handles=handles, loc="outside upper center", ncols=min(len(handles), entries), handlelength=3.0
        )
        formula(*shown.get_texts())
        return figure


def _panel(axes: "Axes", panel: Panel, styles: Mapping[str, dict[str, Any]]) -> None:
    """The curves, ticks at the sizes that were measured and at whole decades, and lines that show slopes."""
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    for title, (x, y) in panel.series.items():
        axes.plot(x, y, label=title, **styles[title])
    ends = _guides(axes, panel)
    values = [value for _, y in panel.series.values() for value in y]
    # The steepest guide has its label below it.
    low, high = min([*values, *(end / 1.5 for end in ends)]) / 1.6, max(values) * 1.6
    axes.set_ylim(low, high)
    decades = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    decades = decades[:: 1 + len(decades) // _MOST_TICKS]
    axes.set_yticks([10.0**d for d in decades], [power_of_ten(d) for d in decades], parse_math=True)
    ticks = sorted({size for x, _ in panel.series.values() for size in x})
    ticks = ticks[:: 1 + len(ticks) // _MOST_TICKS]  # sizes come in even ratios, so that labels do, too
    axes.set_xticks(ticks, [f"{size:g}" for size in ticks])
    axes.minorticks_off()
    axes.grid(which="major")
    axes.set_ylabel(panel.y)
    formula(axes.set_xlabel(panel.x), axes.set_title(panel.title, fontsize=MARK_SIZE))


def _guides(axes: "Axes", panel: Panel) -> list[float]:
    """Thin lines of the named slopes into the lower right corner, below all curves, with a label below each.

    Returns where they begin, none where there is one size alone.
    """
    points = [point for x, y in panel.series.values() for point in zip(x, y, strict=True)]
    smallest, largest = min(x for x, _ in points), max(x for x, _ in points)
    if smallest == largest:
        return []
    steepest = max(panel.powers.values())
    start = largest / (largest / smallest) ** 0.4
    # The lowest end for which the flattest of them stays clear of every curve above it,
    # and of its label, which stands to the left.
    label_start = start / (largest / smallest) ** 0.2
    end = 0.4 * min(y * largest / x for x, y in points if x >= label_start)
    beginnings = []
    for label, power in panel.powers.items():
        beginning = end * (start / largest) ** power
        axes.plot([start, largest], [beginning, end], color=MUTED, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
        text = axes.annotate(
            label,
            (start, beginning),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va="top" if power == steepest else "center",
            fontsize=MARK_SIZE,
            color=MUTED,
        )
        formula(text)
        beginnings.append(beginning)
    return beginnings
