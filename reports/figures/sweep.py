"""A sweep as a figure: accuracy and energy over T (Figure 5); accuracy, memory and time over n (Figure 6)."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import Origin
from saformer.analysis.statistics.shares import wilson
from saformer.errors import InputError
from saformer.reports.document.numbers import EnergyUnit, energy_unit
from saformer.reports.figures.lettering import formula, wrapped
from saformer.reports.figures.style import EDGE, MUTED, NAME_SIZE, PAPER, Look, Width, figure_style, model_looks
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.results.sweep import MEBIBYTE, PARAMETERS, Sweep, SweepPoint, untrained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKER = 5.0
_DODGE_POINTS = 3.5  # between networks at one value, so that neither hides the other's error bar
_MOST_ON_A_LINE = 20  # times the smallest value; beyond it the axis is logarithmic
_BESIDE_AXIS = 0.7  # inches of a panel beside its axis
_DIGIT = 3.8  # points of a digit at a tick
_LEAST_POINTS = 2.0  # of accuracy on an axis: a smaller difference should look small


@dataclass(frozen=True)
class _Quantity:
    """What a panel shows.

    Args:
        label: of the axis.
        value: of a point; None if it is not known.
        bounds: the ends of its 95 % interval; None where there is none.
        published: the same of a published row.
        share: an accuracy, whose axis need not begin at 0.
    """

    label: str
    value: Callable[[SweepPoint], float | None]
    bounds: Callable[[SweepPoint], tuple[float, float] | None] = lambda _: None
    published: Callable[[ComparisonRow], float | None] = lambda _: None
    share: bool = False


def sweep_figure(
    sweep: Sweep,
    unit: EnergyUnit | None = None,
    published: Sequence[ComparisonRow] = (),
    width: Width = Width.page,
) -> "Figure":
    """A panel for each quantity over the value of the setting, a curve for each network, with 95 % intervals.

    A filled marker is the value that the checkpoint was trained with, an open one any other. The axis of n, and of a T
    that spans more than a decade, is logarithmic. An accuracy has Wilson's interval, an energy that of its mean.

    Args:
        sweep: points of one or several networks.
        unit: of the energies; that of the largest where it is not given.
        published: rows of the paper on the same data, drawn at their T where the setting is T.
        width: of the figure.

    Raises:
        InputError: there are no points.
    """
    if not sweep.points:
        raise InputError("nothing to draw: a sweep without a value")
    curves = {name: sorted(points, key=lambda point: point.value) for name, points in sweep.curves.items()}
    quantities = _quantities(sweep, unit or energy_unit(*(point.account.energy_mj for point in sweep.points)))
    beside = [row for row in published if row.time_steps is not None] if sweep.parameter == "time_steps" else []
    with figure_style():
        from matplotlib.figure import Figure

        looks = model_looks(
            {
                **{name: points[0].account.model.name for name, points in curves.items()},
                **{_published(row): row.family_name for row in beside},
            },
            {_published(row) for row in beside},
        )
        handles = _legend(sweep, curves, beside, looks, width)
        columns = {Width.page: 4, Width.column: 2}[width]
        below = 0.17 * -(-len(handles) // columns)
        if width is Width.page:
            figure = Figure(figsize=(width.inches, 2.3 + below), layout="constrained")
            panels = figure.subplots(1, len(quantities), squeeze=False)[0]
        else:
            figure = Figure(figsize=(width.inches, 1.55 * len(quantities) + 0.5 + below), layout="constrained")
            panels = figure.subplots(len(quantities), 1, squeeze=False, sharex=True)[:, 0]
        symbol, words = PARAMETERS[sweep.parameter]
        own = sorted({point.value for point in sweep.points})
        values = sorted({*own, *(row.time_steps for row in beside if row.time_steps)})
        logarithmic = sweep.parameter == "aggregated" or values[-1] > _MOST_ON_A_LINE * values[0]
        limits = _limits(values, logarithmic)
        length = 72 * (width.inches / (len(quantities) if width is Width.page else 1) - _BESIDE_AXIS)
        named = _with_room(values, own, limits, logarithmic, length)
        for axes, quantity in zip(panels, quantities, strict=True):
            _panel(axes, quantity, curves, beside, looks)
            if logarithmic:
                axes.set_xscale("log", base=2)
            axes.set_xticks(values, [str(value) if value in named else "" for value in values])
            axes.minorticks_off()
            axes.set_xlim(*limits)
            if width is Width.page or axes is panels[-1]:
                formula(axes.set_xlabel(f"{words.capitalize()} ${symbol}$"))
            axes.set_ylabel(quantity.label)
            axes.grid(axis="y")
        figure.suptitle(_title(sweep, curves), fontsize=NAME_SIZE)
        if handles:
            legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns)
            formula(*legend.get_texts()[len(handles) - _keys(sweep) :])
        return figure


def _panel(
    axes: "Axes",
    quantity: _Quantity,
    curves: Mapping[str, Sequence[SweepPoint]],
    published: Sequence[ComparisonRow],
    looks: Mapping[str, Look],
) -> None:
    from matplotlib.transforms import ScaledTranslation

    ends: list[float] = []
    for place, (name, points) in enumerate(curves.items()):
        look = looks[name]
        known = [(point, value) for point in points if (value := quantity.value(point)) is not None]
        aside = (place - (len(curves) - 1) / 2) * _DODGE_POINTS / 72
        figure = axes.figure
        moved = axes.transData + ScaledTranslation(aside, 0, figure.dpi_scale_trans)
        xs, ys = [point.value for point, _ in known], [value for _, value in known]
        line: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.0}
        axes.plot(xs, ys, **line, transform=moved, zorder=2, gid=f"line-{place}")
        for point, value in known:
            ends.append(value)
            if bounds := quantity.bounds(point):
                ends += bounds
                errors = [[max(value - bounds[0], 0.0)], [max(bounds[1] - value, 0.0)]]
                axes.errorbar(
                    point.value, value, yerr=errors, color=look.colour, capsize=2, zorder=1, transform=moved, fmt="none"
                )
            filled = point.trained_at is None or point.value == point.trained_at
            marker = _marker(look, filled and point.origin != Origin.UNTRAINED)
            label = name if len(curves) > 1 else "_"
            axes.plot(point.value, value, **marker, label=label, transform=moved, zorder=3, clip_on=False)
    for row in published:
        value = quantity.published(row)
        if value is not None and row.time_steps is not None:
            ends.append(value)
            marker = _marker(looks[_published(row)], False)
            axes.plot(row.time_steps, value, **marker, label=_published(row), zorder=3, clip_on=False)
    if not ends:
        return
    if quantity.share:
        low, high = min(ends), max(ends)
        missing = max(0.0, _LEAST_POINTS - (high - low))
        pad = 0.06 * max(high - low, _LEAST_POINTS)
        axes.set_ylim(max(0.0, low - missing / 2 - pad), min(100.0, high + missing / 2 + pad))
    else:
        axes.set_ylim(0, 1.12 * max(ends) or 1.0)  # a cost that hardly changes should look so


def _limits(values: Sequence[int], logarithmic: bool) -> tuple[float, float]:
    """Ends of the axis, with room for whole markers."""
    low, high = values[0], values[-1]
    if logarithmic:
        ratio = (high / low) ** 0.08 if high > low else 2.0
        return low / ratio, high * ratio
    pad = 0.08 * (high - low) or 1.0
    return low - pad, high + pad


def _with_room(
    values: Sequence[int], first: Sequence[int], limits: tuple[float, float], logarithmic: bool, length: float
) -> list[int]:
    """The values whose ticks have room for their number, those of `first` before any other.

    Args:
        values: of the ticks.
        first: of the sweep itself.
        limits: of the axis.
        logarithmic: whether it is.
        length: of the axis in points.
    """

    def place(value: float) -> float:
        low, high, at = (math.log(x) if logarithmic else x for x in (*limits, value))
        return length * (at - low) / (high - low)

    named: list[int] = []
    for value in [*first, *(value for value in values if value not in first)]:
        if all(
            abs(place(value) - place(other)) > _DIGIT * (len(str(value)) + len(str(other)) + 1) / 2 for other in named
        ):
            named.append(value)
    return named


def _marker(look: Look, filled: bool) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": look.marker,
        "markersize": _MARKER,
        "markerfacecolor": look.colour if filled else PAPER,
        "markeredgecolor": EDGE if filled else look.colour,
    }


def _published(row: ComparisonRow) -> str:
    return f"{row.name} (published)"


def _title(sweep: Sweep, curves: Mapping[str, Sequence[SweepPoint]]) -> str:
    """The data; the network too where it is one; and whether weights are random."""
    subject = f"{next(iter(curves))} on " if len(curves) == 1 else ""
    mark = " (untrained: random weights)" if untrained(sweep.points) and len(curves) == 1 else ""
    return f"{subject}{sweep.points[0].account.data.name}{mark}"


def _keys(sweep: Sweep) -> int:
    """How many entries of the legend say what filled and open markers are."""
    if not any(point.trained_at not in (None, point.value) for point in sweep.points):
        return 0
    return 1 + any(point.trained_at == point.value for point in sweep.points)


def _legend(
    sweep: Sweep,
    curves: Mapping[str, Sequence[SweepPoint]],
    published: Sequence[ComparisonRow],
    looks: Mapping[str, Look],
    width: Width,
) -> list[Any]:
    """Networks where there are several, published ones, and last what filled and open markers are."""
    from matplotlib.lines import Line2D

    most = 36 if width is Width.page else 26
    handles = []
    for name, points in curves.items() if len(curves) > 1 or published else ():
        look, random = looks[name], untrained(points)
        label = wrapped(name, most) + (" (untrained)" if random else "")
        style = {**_marker(look, not random), "linestyle": look.line, "color": look.colour}
        handles.append(Line2D([], [], **style, label=label))
    for label in dict.fromkeys(map(_published, published)):
        handles.append(Line2D([], [], **_marker(looks[label], False), label=label))
    if count := _keys(sweep):
        look = next(iter(looks.values())) if len(curves) == 1 else Look(MUTED, "", "o")
        texts = (f"trained at another ${sweep.symbol}$", f"${sweep.symbol}$ of the training")
        handles += [Line2D([], [], **_marker(look, filled), label=texts[filled]) for filled in (True, False)[-count:]]
    return handles


def _quantities(sweep: Sweep, unit: EnergyUnit) -> list[_Quantity]:
    factor = unit.per_mj

    def interval(point: SweepPoint) -> tuple[float, float] | None:
        if point.top1 is None:
            return None
        low, high = wilson(point.top1, point.account.data.images)
        return 100 * low, 100 * high

    def energy_bounds(point: SweepPoint) -> tuple[float, float] | None:
        energy, half = point.account.energy_mj, point.account.energy_mj_ci95
        return None if not half else ((energy - half) * factor, (energy + half) * factor)

    accuracies = [
        _Quantity(
            "Top-1 accuracy (%)",
            lambda point: None if point.top1 is None else 100 * point.top1,
            interval,
            lambda row: None if row.top1 is None else 100 * row.top1,
            share=True,
        )
    ] * any(point.top1 is not None for point in sweep.points)
    if sweep.parameter == "time_steps":
        energy = _Quantity(
            f"Energy per image ({unit.name})",
            lambda point: point.account.energy_mj * factor if point.account.energy_mj >= 0 else None,
            energy_bounds,
            lambda row: row.energy_mj * factor if row.energy_mj >= 0 else None,
        )
        return [*accuracies, energy]
    return [
        *accuracies,
        _Quantity("Peak memory (MiB)", lambda point: point.peak_bytes / MEBIBYTE),
        _Quantity(f"Time per batch of {sweep.batch} (ms)", lambda point: 1000 * point.seconds),
    ]
