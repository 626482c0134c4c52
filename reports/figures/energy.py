"""The figure of one account: where the energy goes, and how much fires."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.errors import InputError
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit, fixed, significant
from saformer.reports.figures.style import BAND, EDGE, WIDTH_INCHES, figure_style, kind_look, room_for, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def energy_figure(account: Account, unit: EnergyUnit | None = None) -> "Figure":
    """Energy of each operation, and beside it, on the same rows, the firing rate of its input.

    Bars are coloured and hatched by kind of operation; grey bands group the operations of a block. An
    open marker is an input that is not spikes. Energy is per image, in
    `unit`, or in that of the account's own energy.

    Raises:
        InputError: the account has no operations.
    """
    if not account.layers:
        raise InputError(f"nothing to draw: no operation of {account.model.title} is counted")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        layers = account.layers
        kinds = list(dict.fromkeys(layer.op for layer in layers))
        looks = {kind: kind_look(i) for i, kind in enumerate(kinds)}
        # Many operations get lower rows and smaller names; the figure grows instead of crowding.
        row_inches, name_size = (0.2, 7.0) if len(layers) <= 40 else (0.15, 6.0)
        height = row_inches * max(len(layers), 3)
        figure = Figure(figsize=(WIDTH_INCHES, height + 0.95), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1.0))

        name, factor = unit or energy_unit(account.energy_mj)
        rows = range(len(layers))
        energies = [(layer.energy_mj or 0.0) * factor for layer in layers]
        bars = left.barh(
            rows,
            energies,
            height=0.7,
            color=[looks[layer.op][0] for layer in layers],
            edgecolor=EDGE,
        )
        for bar, layer in zip(bars, layers, strict=True):
            bar.set_hatch(looks[layer.op][1])
        labels = [_energy_label(layer, factor) for layer in layers]
        left.bar_label(bars, labels, padding=2, fontsize=name_size - 0.5)
        left.set_xlim(0, room_for(energies, labels))
        left.set_xlabel(f"Energy per image ({name})")
        left.set_yticks(rows, [short_name(layer.name) for layer in layers], fontsize=name_size)
        left.set_ylim(len(layers) - 0.4, -0.6)
        left.grid(axis="x")

        rates = [100 * layer.firing_rate for layer in layers]
        right.hlines(rows, 0, rates, color="#888888")
        for spikes in (True, False):
            chosen = [i for i, layer in enumerate(layers) if layer.spikes is spikes]
            right.plot(
                [rates[i] for i in chosen],
                chosen,
                linestyle="none",
                marker="o",
                markerfacecolor="black" if spikes else "white",
                markeredgecolor="black",
                clip_on=False,
                zorder=3,
                label="spikes" if spikes else "not spikes",
            )
        right.set_xlim(0, 100)
        right.set_xlabel("Firing rate of the input (%)")
        right.grid(axis="x")
        right.tick_params(labelleft=False)

        _shade_groups((left, right), [layer.block for layer in layers])
        handles: list[Any] = [
            Patch(facecolor=looks[kind][0], hatch=looks[kind][1], edgecolor=EDGE, label=kind) for kind in kinds
        ]
        for label, face in (("input of spikes", "black"), ("input not spikes", "white")):
            if any(layer.spikes is (face == "black") for layer in layers):
                handles.append(Line2D([], [], linestyle="none", marker="o", mfc=face, mec="black", label=label))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
        return figure


def _energy_label(layer: LayerAccount, factor: float) -> str:
    if layer.energy_mj is None:
        return f"{NOT_KNOWN} (MAC)"
    value = layer.energy_mj * factor
    text = significant(value) if value >= 1 else fixed(value, 2) if value else "0"
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
