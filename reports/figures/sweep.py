"""A sweep as a figure: accuracy and energy over T (Figure 5); accuracy, memory and time over n (Figure 6)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.reports.document.numbers import EnergyUnit, energy_unit
from saformer.reports.figures.style import EDGE, WIDTH_INCHES, Look, figure_style, model_looks
from saformer.reports.results.sweep import MEBIBYTE, PARAMETERS, Sweep, SweepPoint, untrained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Quantity = tuple[str, Callable[[SweepPoint], float | None], Callable[[SweepPoint], float | None]]


def sweep_figure(sweep: Sweep, unit: EnergyUnit | None = None) -> "Figure":
    """A panel for each quantity over the value of the setting, a curve for each network; energy with its 95 % interval.

    A filled marker is the value that the checkpoint was trained with, an open one any other. The axis of n is
    logarithmic. Energies are in `unit`, or in that of the largest.

    Raises:
        InputError: there are no points.
    """
    if not sweep.points:
        raise InputError("nothing to draw: a sweep without a value")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D

        quantities = _quantities(sweep, unit or energy_unit(*(point.account.energy_mj for point in sweep.points)))
        curves = sweep.curves
        figure = Figure(figsize=(WIDTH_INCHES, 2.5 + 0.15 * (len(curves) > 1)), layout="constrained")
        panels = figure.subplots(1, len(quantities), squeeze=False)[0]
        looks = model_looks({name: points[0].account.model.name for name, points in curves.items()})
        symbol, words = PARAMETERS[sweep.parameter]
        for axes, (label, value_of, error_of) in zip(panels, quantities, strict=True):
            highest, values = 0.0, sorted({point.value for point in sweep.points})
            for name, points in curves.items():
                look = looks[name]
                ordered = sorted(points, key=lambda point: point.value)
                known = [(point, value) for point in ordered if (value := value_of(point)) is not None]
                xs, ys = [point.value for point, _ in known], [value for _, value in known]
                highest = max([highest, *ys])
                axes.plot(xs, ys, color=look.colour, zorder=2, gid="line")
                for point, value in known:
                    filled = point.trained_at is None or point.value == point.trained_at
                    axes.plot(
                        point.value,
                        value,
                        linestyle="none",
                        marker=look.marker,
                        markersize=5.5,
                        markerfacecolor=look.colour if filled else "white",
                        markeredgecolor=EDGE if filled else look.colour,
                        zorder=3,
                    )
                    if error := error_of(point):
                        axes.errorbar(
                            point.value, value, yerr=error, color=look.colour, capsize=2, linewidth=0.8, zorder=1
                        )
            if sweep.parameter == "aggregated":
                axes.set_xscale("log", base=2)
            axes.set_xticks(values, [str(x) for x in values])
            axes.minorticks_off()
            axes.set_xlabel(f"{words.capitalize()} {symbol}")
            axes.set_ylabel(label)
            axes.margins(x=0.08, y=0.12)
            axes.grid(axis="y")
            if axes is not panels[0] or "accuracy" not in label:
                axes.set_ylim(0, 1.15 * highest or 1.0)  # a cost that hardly changes should look so
            else:
                axes.set_ylim(top=min(axes.get_ylim()[1], 100.7))
        mark = " (untrained: random weights)" if untrained(sweep.points) and len(curves) == 1 else ""
        who = next(iter(curves)) if len(curves) == 1 else "Networks"
        figure.suptitle(f"{who} on {sweep.points[0].account.data.name}{mark}", fontsize=8)
        style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5.5}
        handles = []
        if len(curves) > 1:
            handles = [
                Line2D([], [], color=looks[n].colour, marker=looks[n].marker, mec=EDGE, markersize=5.5, label=label)
                for n, points in curves.items()
                for label in [f"{n} (untrained)" if untrained(points) else n]
            ]
            look = Look("#888888", "", "o")
        else:
            look = looks[who]
            style["marker"] = look.marker
        if any(point.trained_at not in (None, point.value) for point in sweep.points):
            if any(point.trained_at == point.value for point in sweep.points):
                handles.append(Line2D([], [], **style, mfc=look.colour, mec=EDGE, label=f"{symbol} of the training"))
            handles.append(Line2D([], [], **style, mfc="white", mec=look.colour, label=f"trained at another {symbol}"))
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=4)
        return figure


def _quantities(sweep: Sweep, unit: EnergyUnit) -> list[_Quantity]:

    def nothing(_: SweepPoint) -> None:
        return None

    accuracy: _Quantity = (
        "Top-1 accuracy (%)",
        lambda point: None if point.top1 is None else 100 * point.top1,
        nothing,
    )
    if sweep.parameter == "time_steps":
        energy: _Quantity = (
            f"Energy per image ({unit.name})",
            lambda point: point.account.energy_mj * unit.per_mj if point.account.energy_mj >= 0 else None,
            lambda point: (point.account.energy_mj_ci95 or 0.0) * unit.per_mj,
        )
        return [accuracy, energy] if any(point.top1 is not None for point in sweep.points) else [energy]
    costs: list[_Quantity] = [
        ("Peak memory (MiB)", lambda point: point.peak_bytes / MEBIBYTE, nothing),
        (f"Time per batch of {sweep.batch} (ms)", lambda point: 1000 * point.seconds, nothing),
    ]
    return [accuracy, *costs] if any(point.top1 is not None for point in sweep.points) else costs
