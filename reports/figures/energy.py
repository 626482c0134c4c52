"""The figure of one account: where the energy goes, and how much fires."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.errors import InputError
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit, fixed, significant
from saformer.reports.figures.lettering import make_room, shortened
from saformer.reports.figures.style import (
    BAND,
    EDGE,
    INK,
    MUTED,
    NAME_SIZE,
    PAGE_HEIGHT,
    PAPER,
    Width,
    figure_style,
    kind_look,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_OVERHEAD = 0.75  # inches for the legend and the axis
_ROW, _LOWEST_ROW = 0.17, 0.118
_MOST_ROWS = int((PAGE_HEIGHT - _OVERHEAD) / _LOWEST_ROW)


@dataclass(frozen=True)
class _Line:
    """A row of the figure: an operation, or all that found no place."""

    name: str
    energy_mj: float
    label: str
    block: str = ""
    layer: LayerAccount | None = None


def energy_figure(account: Account, unit: EnergyUnit | None = None, width: Width = Width.page) -> "Figure":
    """Energy of each operation, and beside it, on the same rows, the firing rate of its input.

    Bars are coloured and hatched by kind of operation; grey bands group the operations of a block. An
    open marker is an input that is not spikes. Energy is per image, in `unit`, or in that of the account's own energy.
    Where a page cannot hold all operations, those of least energy share the last row.

    Raises:
        InputError: the account has no operations.
    """
    if not account.layers:
        raise InputError(f"nothing to draw: no operation of {account.model.title} is counted")
    name, factor = unit or energy_unit(account.energy_mj)
    lines = _lines(account.layers, factor)
    row_inches = min(_ROW, (PAGE_HEIGHT - _OVERHEAD) / len(lines))
    size = min(NAME_SIZE - 0.5, row_inches * 72 / 1.25)
    with figure_style():
        from matplotlib.figure import Figure

        height = row_inches * max(len(lines), 4) + _OVERHEAD
        figure = Figure(figsize=(width.inches, height), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1.0))
        rows = range(len(lines))
        kinds = list(dict.fromkeys(line.layer.op for line in lines if line.layer is not None))
        looks = {kind: kind_look(i) for i, kind in enumerate(kinds)}
        energies = [line.energy_mj * factor for line in lines]
        bars = left.barh(rows, energies, height=0.7, edgecolor=EDGE)
        for bar, line in zip(bars, lines, strict=True):
            colour, hatch = (PAPER, "") if line.layer is None else looks[line.layer.op]
            bar.set(facecolor=colour, hatch=hatch)
        left.bar_label(bars, [line.label for line in lines], padding=2, fontsize=size - 0.5)
        left.set_xlim(0, max(energies) or 1.0)
        left.locator_params(axis="x", nbins=6 if width is Width.page else 4)
        left.set_xlabel(f"Energy per image ({name})")
        most = 40 if width is Width.page else 22
        left.set_yticks(rows, [shortened(line.name, most) for line in lines], fontsize=size)
        left.set_ylim(len(lines) - 0.4, -0.6)
        left.grid(axis="x")
        _rates(right, [line.layer for line in lines], size)
        right.set_xlabel("Firing rate of the input (%)" if width is Width.page else "Input rate (%)")
        _shade_groups((left, right), [line.block for line in lines])
        handles = _legend(lines, looks)
        figure.legend(
            handles=handles, loc="outside upper center", ncols=min(len(handles), 6 if width is Width.page else 3)
        )
        make_room(figure, [left])
        return figure


def _lines(layers: Sequence[LayerAccount], factor: float) -> list[_Line]:
    """A line for each operation in its order; beyond a page, the smallest of them together."""
    kept = set(range(len(layers)))
    if len(layers) > _MOST_ROWS:
        by_energy = sorted(kept, key=lambda i: layers[i].energy_mj or 0.0, reverse=True)
        kept = set(by_energy[: _MOST_ROWS - 1])
    lines = [
        _Line(layer.name, layer.energy_mj or 0.0, _energy_label(layer, factor), layer.block, layer)
        for i, layer in enumerate(layers)
        if i in kept
    ]
    rest = [layer for i, layer in enumerate(layers) if i not in kept]
    if rest:
        energy = sum(layer.energy_mj or 0.0 for layer in rest)
        lines.append(_Line(f"{len(rest)} smaller operations", energy, _number(energy * factor)))
    return lines


def _rates(axes: "Axes", layers: Sequence[LayerAccount | None], size: float) -> None:
    """Firing rates of the inputs in percent, a pin each."""
    known = [(place, 100 * layer.firing_rate, layer.spikes) for place, layer in enumerate(layers) if layer is not None]
    axes.hlines([place for place, _, _ in known], 0, [rate for _, rate, _ in known], color=MUTED)
    for spikes in (True, False):
        chosen = [(place, rate) for place, rate, its in known if its is spikes]
        if not chosen:  # an empty line has a place, the corner of the figure
            continue
        axes.plot(
            [rate for _, rate in chosen],
            [place for place, _ in chosen],
            linestyle="none",
            marker="o",
            markersize=min(4.0, 0.55 * size),
            markerfacecolor=INK if spikes else PAPER,
            markeredgecolor=INK,
            clip_on=False,
            zorder=3,
            label="spikes" if spikes else "not spikes",
        )
    axes.set_xlim(0, 100)
    axes.locator_params(axis="x", nbins=5)
    axes.grid(axis="x")
    axes.tick_params(labelleft=False)


def _legend(lines: Sequence[_Line], looks: dict[str, tuple[str, str]]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(facecolor=colour, hatch=hatch, edgecolor=EDGE, label=kind) for kind, (colour, hatch) in looks.items()
    ]
    for spikes, label, face in ((True, "input of spikes", INK), (False, "input not spikes", PAPER)):
        if any(line.layer is not None and line.layer.spikes is spikes for line in lines):
            handles.append(Line2D([], [], linestyle="none", marker="o", mfc=face, mec=INK, label=label))
    return handles


def _number(value: float) -> str:
    return significant(value) if value >= 1 else fixed(value, 2) if value else "0"


def _energy_label(layer: LayerAccount, factor: float) -> str:
    if layer.energy_mj is None:
        return f"{NOT_KNOWN} (MAC)"
    text = _number(layer.energy_mj * factor)
    if not layer.macs:
        return text
    # A label, because colour and hatch already tell the kind of operation.
    return f"{text} (MAC)" if not layer.acs else f"{text} (MAC and AC)"


def _shade_groups(axes: Sequence["Axes"], groups: Sequence[str]) -> None:
    start, shade = 0, False
    for i in range(1, len(groups) + 1):
        if i == len(groups) or groups[i] != groups[start]:
            if shade:
                for ax in axes:
                    ax.axhspan(start - 0.5, i - 0.5, color=BAND, linewidth=0, zorder=0)
            start, shade = i, not shade
