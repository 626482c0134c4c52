"""Complexity as figures: time and peak memory over N and D, or counts and energy of the formulas."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.complexity.formulas import SYNAPTIC, Attention, Sizes, attentions, picojoules
from saformer.errors import InputError
from saformer.reports.figures.style import EDGE, WIDTH_INCHES, figure_style, model_looks
from saformer.reports.results.complexity import AXES, QUANTITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from saformer.analysis.complexity.benchmark import Measurement

_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
_GUIDE = "#8a8a8a"
_MOST_TICKS = 10
_AXIS_LABELS = {"tokens": "Tokens N", "dim": "Channels D"}


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        x: its label.
        y: its label, with the unit.
        title: what is held.
        series: x and y values by the title of an attention.
        powers: slopes that thin lines show, with their label.
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
                fixed = f"D = {held.dim}" if axis == "tokens" else f"N = {held.tokens}"
                title = f"{fixed}, n = {held.aggregated}, H = {held.heads}, T = {held.time_steps}"
                powers = {f"∝ {symbol}": 1, f"∝ {symbol}²": 2}
                panels.append(Panel(_AXIS_LABELS[axis], f"{what.capitalize()} ({unit})", title, series, powers))
    return panels


def formula_panels(chosen: Sequence[Attention], over_tokens: Sequence[Sizes], hardware: Hardware) -> list[Panel]:
    """Dense operations and energy of the formulas over N; no energy where the hardware lacks one that is charged."""
    energies = {
        a.title: [
            (float(s.tokens), value * 1e-6) for s in over_tokens if (value := picojoules(a, s, hardware)) is not None
        ]
        for a in chosen
    }
    counts = {a.title: [(float(s.tokens), float(a.count(s, *SYNAPTIC))) for s in over_tokens] for a in chosen}
    first = over_tokens[0]
    title = f"D = {first.dim}, n = {first.aggregated}, H = {first.heads}, T = {first.time_steps}"
    labels = ((counts, "FLOPs per image", title), (energies, "Energy per image (µJ)", f"{title}, R = {first.rate:g}"))
    return [
        Panel(
            _AXIS_LABELS["tokens"],
            label,
            title,
            {name: ([x for x, _ in points], [y for _, y in points]) for name, points in series.items() if points},
            {"∝ N": 1, "∝ N²": 2},
        )
        for series, label, title in labels
        if any(series.values())
    ]


def scaling_figure(panels: Sequence[Panel]) -> "Figure":
    """Log-log panels, two beside each other; an attention has its family's colour, and its own line and marker.

    Raises:
        InputError: there is nothing to draw.
    """
    if not panels:
        raise InputError("nothing to draw: no size was measured")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        titles = list(dict.fromkeys(title for panel in panels for title in panel.series))
        looks = model_looks({title: title for title in titles})
        columns = min(len(panels), 2)
        rows = -(-len(panels) // columns)
        # By its place among all attentions: the same in every figure.
        lines = dict(zip((a.title for a in attentions().values()), itertools.cycle(_LINES), strict=False))
        figure = Figure(figsize=(WIDTH_INCHES, 2.55 * rows + 0.35), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        styles: dict[str, dict[str, Any]] = {
            title: {
                "color": looks[title].colour,
                "marker": looks[title].marker,
                "linestyle": lines.get(title, "-"),
                "markeredgecolor": EDGE,
                "markeredgewidth": 0.5,
                "linewidth": 1.1,
            }
            for title in titles
        }
        for axes, panel in zip(grid.flat, panels, strict=False):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            for title, (x, y) in panel.series.items():
                axes.plot(x, y, label=title, **styles[title])
            _guides(axes, panel)
            axes.set_xlabel(panel.x)
            axes.set_ylabel(panel.y)
            axes.set_title(panel.title)
            axes.grid(which="major")
            ticks = sorted({size for x, _ in panel.series.values() for size in x})
            ticks = ticks[:: 1 + len(ticks) // _MOST_TICKS]  # sizes come in even ratios, so that labels do, too
            axes.set_xticks(ticks, [f"{size:g}" for size in ticks])
            axes.minorticks_off()
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        handles = [Line2D([], [], label=title, **style) for title, style in styles.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6), handlelength=3.2)
        return figure


def _guides(axes: "Axes", panel: Panel) -> None:
    """Thin lines of the named slopes through the largest size, below all that was measured there."""
    points = [point for x, y in panel.series.values() for point in zip(x, y, strict=True)]
    smallest, largest = min(x for x, _ in points), max(x for x, _ in points)
    if smallest == largest:
        return
    lowest, highest = min(y for _, y in points), max(y for _, y in points)
    end = min(y for x, y in points if x == largest) * 0.35
    # Their labels stand to the left of them, inside the axes.
    start = max(smallest * (largest / smallest) ** 0.3, largest / 8)
    for label, power in panel.powers.items():
        beginning = end * (start / largest) ** power
        axes.plot([start, largest], [beginning, end], color=_GUIDE, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            label, (start, beginning), xytext=(-2, 0), textcoords="offset points", ha="right", va="center", fontsize=6
        )
        lowest = min(lowest, beginning)
    axes.set_ylim(lowest * 0.6, highest * 1.8)
