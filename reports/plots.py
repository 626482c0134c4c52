"""Accounts as figures: where the energy goes and how much fires, and models beside each other.

Figures are made without pyplot: no window, no state that a notebook or another figure would share.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.account import Account, LayerAccount
from saformer.errors import InputError
from saformer.files import write_atomic
from saformer.reports.format import NOT_KNOWN, energy_unit, fixed, interval, percent, significant
from saformer.reports.tables import ComparisonRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

# Okabe and Ito's palette, safe for the common forms of colour blindness. Neighbours in this order differ
# in lightness too, and each kind has a hatch, so that a print in grey still tells them apart.
_COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#F0E442", "#009E73", "#CC79A7", "#999999")
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "----", "++++", "||||")
EDGE = "#222222"
_BAND = "#f2f2f2"
WIDTH_INCHES = 7.2
_LONGEST_NAME = 44


# A model family has one colour in every figure. Their lightnesses lie apart, so that a print in grey, and an eye that
# confuses hues, still tells them apart.
_FAMILIES: dict[str, tuple[str, str]] = {
    "saformer": ("#D55E00", "D"),
    "sdt": ("#56B4E9", "s"),
    "spikformer": ("#004C78", "o"),
    "spikingformer": ("#F0E442", "^"),
    "vit": ("#000000", "v"),
    "other": ("#636363", "X"),
}
# What a family is called: in names of models, of papers' methods, and of attentions.
_FAMILY_NAMES = {
    "spikingformer": "spikingformer",
    "spikformer": "spikformer",
    "saformer": "saformer",
    "sdt": "sdt",
    "s-transformer": "sdt",
    "vit": "vit",
    "sasa": "saformer",
    "sdsa": "sdt",
    "ssa": "spikformer",
    "vsa": "vit",
}
_MORE_MARKERS = ("P", "<", ">", "h", "*", "p")


@dataclass(frozen=True)
class Look:
    """How a model is drawn: the colour of its family, a hatch for bars and a marker for points."""

    colour: str
    hatch: str
    marker: str


def model_family(name: str) -> str:
    """The family that a model, a paper's method or an attention belongs to: `saformer`, ..., or `other`."""
    words = re.findall(r"s-transformer|[a-z]+", name.lower())
    return next((family for key, family in _FAMILY_NAMES.items() if key in words), "other")


def model_looks(models: Mapping[str, str]) -> dict[str, Look]:
    """How each model of a figure is drawn: one colour per family everywhere, hatch and marker where it has several.

    Args:
        models: from the name in the figure to a name that shows the family, such as `saformer-4-384`.
    """
    seen: Counter[str] = Counter()
    looks = {}
    for label, name in models.items():
        family = model_family(name)
        colour, marker = _FAMILIES[family]
        i = seen[family]
        if i:
            marker = _MORE_MARKERS[(i - 1) % len(_MORE_MARKERS)]
        looks[label] = Look(colour, _HATCHES[i % len(_HATCHES)], marker)
        seen[family] += 1
    return looks


def energy_figure(account: Account) -> "Figure":
    """Energy of each operation, and beside it, on the same rows, the firing rate of its input.

    Bars are coloured and hatched by kind of operation; grey bands group the operations of a block. An
    open marker is an input that is not binary. Energy is per image, in the unit named on the axis.

    Raises:
        InputError: the account has no operations.
    """
    if not account.layers:
        raise InputError(f"nothing to draw: no operation of {account.model.name} is counted")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        layers = account.layers
        kinds = list(dict.fromkeys(layer.op for layer in layers))
        looks = {kind: _look(i) for i, kind in enumerate(kinds)}
        # Many operations get lower rows and smaller names; the figure grows instead of crowding.
        row_inches, name_size = (0.2, 7.0) if len(layers) <= 40 else (0.15, 6.0)
        height = row_inches * max(len(layers), 3)
        figure = Figure(figsize=(WIDTH_INCHES, height + 0.95), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.5, 1.0))

        unit, factor = energy_unit(max((layer.energy_mj or 0.0 for layer in layers), default=0.0))
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
        left.set_xlim(0, _room_for(energies, labels))
        left.set_xlabel(f"Energy per image ({unit})")
        left.set_yticks(rows, [_short(layer.name) for layer in layers], fontsize=name_size)
        left.set_ylim(len(layers) - 0.4, -0.6)
        left.grid(axis="x")

        rates = [100 * layer.firing_rate for layer in layers]
        right.hlines(rows, 0, rates, color="#888888")
        for binary in (True, False):
            chosen = [i for i, layer in enumerate(layers) if layer.binary is binary]
            right.plot(
                [rates[i] for i in chosen],
                chosen,
                linestyle="none",
                marker="o",
                markerfacecolor="black" if binary else "white",
                markeredgecolor="black",
                clip_on=False,
                zorder=3,
                label="binary" if binary else "not binary",
            )
        right.set_xlim(0, 100)
        right.set_xlabel("Firing rate of the input (%)")
        right.grid(axis="x")
        right.tick_params(labelleft=False)

        _shade_groups((left, right), [layer.block for layer in layers])
        handles: list[Any] = [
            Patch(facecolor=looks[kind][0], hatch=looks[kind][1], edgecolor=EDGE, label=kind) for kind in kinds
        ]
        for label, face in (("binary input", "black"), ("input not binary", "white")):
            if any(layer.binary is (face == "black") for layer in layers):
                handles.append(Line2D([], [], linestyle="none", marker="o", mfc=face, mec="black", label=label))
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 6))
        return figure


def comparison_figure(rows: Sequence[ComparisonRow], ours: str | None = None) -> "Figure":
    """Energy per image (bars, with the 95 % interval where known) and top-1 accuracy (markers) by model.

    Two panels share the rows instead of one panel with two scales, where the place at which a marker
    meets a bar would mean nothing. The model called `ours` has the other colour and hatch. Without any
    accuracy there is one panel.

    Raises:
        InputError: there are no rows.
    """
    if not rows:
        raise InputError("nothing to draw: no models to compare")
    with figure_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH_INCHES, 0.32 * len(rows) + 0.85), layout="constrained")
        known = {i: 100 * row.top1 for i, row in enumerate(rows) if row.top1 is not None}
        ratios = (1.5, 1.0) if known else (1.0,)
        panels = figure.subplots(1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios)[0]
        left = panels[0]
        several = len({row.data for row in rows}) > 1
        places = range(len(rows))
        # NaN where the hardware has no energy for any operation of the model: no bar, and a dash.
        energies = [0.0 if isnan(row.energy_mj) else row.energy_mj for row in rows]
        looks = [_look(1 if row.name == ours else 0) for row in rows]
        bars = left.barh(places, energies, height=0.62, color=[colour for colour, _ in looks], edgecolor=EDGE)
        for bar, (_, hatch) in zip(bars, looks, strict=True):
            bar.set_hatch(hatch)
        ends, labels = [], []
        for place, row, energy in zip(places, rows, energies, strict=True):
            half_width = row.energy_ci95 or 0.0
            ends.append(energy + half_width)
            if half_width:
                left.errorbar(
                    energy,
                    place,
                    xerr=half_width,
                    color="black",
                    capsize=2,
                    capthick=0.8,
                    linewidth=0.8,
                )
            value, error = interval(row.energy_mj, row.energy_ci95, digits=3)
            labels.append(f"{value} ± {error}" if error else value)
            _annotate(left, labels[-1], ends[-1], place)
        left.set_xlim(0, _room_for(ends, labels))
        left.set_xlabel("Energy per image (mJ)")
        left.set_yticks(places, [f"{row.name}\n{row.data}" if several else row.name for row in rows])
        left.set_ylim(len(rows) - 0.4, -0.6)
        left.grid(axis="x")

        if known:
            _accuracy_panel(panels[1], known, looks, ["D" if row.name == ours else "o" for row in rows])
        if several:
            _shade_groups(panels, [row.data for row in rows])
        else:
            figure.suptitle(rows[0].data)
        return figure


def check_format(path: str | Path) -> str:
    """The format that the suffix of `path` asks for: png, pdf or svg.

    Raises:
        InputError: it is another one.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise InputError(f"cannot write the figure {path}: the name must end in .png, .pdf or .svg")
    return suffix


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure as PNG, PDF or SVG by its suffix, whole or not at all; the same figure, the same bytes.

    Raises:
        InputError: the suffix is another one, or the file cannot be written.
    """
    suffix = check_format(path)
    # What matplotlib would put in by itself: its version, and the time of writing.
    metadata: dict[str, Any] = {
        "png": {"Software": None},
        "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
        "svg": {"Creator": None, "Date": None},
    }[suffix]

    def write(temporary: Path) -> None:
        with figure_style():
            figure.savefig(temporary, format=suffix, metadata=metadata)

    write_atomic(path, write)


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of every figure here, while one is made."""
    from matplotlib import style

    # On top of matplotlib's defaults, not of the user's settings: the figure is the same everywhere.
    sheet = resources.files("saformer.reports").joinpath("style.mplstyle")
    with resources.as_file(sheet) as path, style.context(["default", str(path)]):
        yield


def _look(i: int) -> tuple[str, str]:
    # When the colours start again, they get other hatches.
    return _COLOURS[i % len(_COLOURS)], _HATCHES[(i + i // len(_COLOURS)) % len(_HATCHES)]


def _energy_label(layer: LayerAccount, factor: float) -> str:
    if layer.energy_mj is None:
        return f"{NOT_KNOWN} (MAC)"
    value = layer.energy_mj * factor
    text = significant(value) if value >= 1 else fixed(value, 2) if value else "0"
    if not layer.macs:
        return text
    # A label, because colour and hatch already tell the kind of operation.
    return f"{text} (MAC)" if not layer.acs else f"{text} (MAC and AC)"


def _accuracy_panel(
    axes: "Axes", known: dict[int, float], looks: Sequence[tuple[str, str]], markers: Sequence[str]
) -> None:
    for place, accuracy in known.items():
        axes.plot(
            accuracy,
            place,
            linestyle="none",
            marker=markers[place],
            markersize=5.5,
            markerfacecolor=looks[place][0],
            markeredgecolor=EDGE,
        )
        _annotate(axes, percent(accuracy / 100, decimals=2), accuracy, place)
    # Accuracies lie close together: the axis covers them alone, which markers allow and bars would not.
    lowest, highest = min(known.values()), max(known.values())
    span = max(highest - lowest, 1.0)
    limits = (lowest - 0.15 * span, highest + 0.45 * span)
    axes.set_xlim(limits)
    # The axis runs on for the label of the best model, but no accuracy is above 100 %.
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 100])
    axes.set_xlim(limits)
    axes.set_xlabel("Top-1 accuracy (%)")
    axes.grid(axis="x")
    axes.tick_params(labelleft=False)


def _room_for(ends: Sequence[float], labels: Sequence[str]) -> float:
    """The end of an axis on which every bar has room for the label behind it."""
    # A character takes about a fiftieth of the panel's width, the space before the label as much.
    return (
        max((end / (1 - 0.022 * (len(text) + 1)) for end, text in zip(ends, labels, strict=True)), default=0.0) or 1.0
    )


def _short(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    # The start of a path says which block it is, the end which operation: the middle can go.
    start = _LONGEST_NAME // 3
    return f"{name[:start]}…{name[start + 1 - _LONGEST_NAME :]}"


def _annotate(axes: "Axes", text: str, x: float, y: float) -> None:
    axes.annotate(text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=6.5)


def _shade_groups(axes: Sequence["Axes"], groups: Sequence[str]) -> None:
    start, shade = 0, False
    for i in range(1, len(groups) + 1):
        if i == len(groups) or groups[i] != groups[start]:
            if shade:
                for ax in axes:
                    ax.axhspan(start - 0.5, i - 0.5, color=_BAND, linewidth=0, zorder=0)
            start, shade = i, not shade
