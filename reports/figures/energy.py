"""What figures share (style, colours, files), and the figure of one account: where the energy goes, how much fires.

Figures are made without pyplot: no window, no state that a notebook or another figure would share.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.errors import InputError
from saformer.files import write_bytes_atomic
from saformer.reports.document.numbers import NOT_KNOWN, energy_unit, fixed, significant
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")

# Okabe and Ito's palette, safe for the common forms of colour blindness. Neighbours in this order differ
# in lightness too, and each kind has a hatch, so that a print in grey still tells them apart.
_COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#F0E442", "#009E73", "#CC79A7", "#999999")
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "----", "++++", "||||")
EDGE = "#222222"
BAND = "#f2f2f2"
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
        left.set_xlim(0, room_for(energies, labels))
        left.set_xlabel(f"Energy per image ({unit})")
        left.set_yticks(rows, [short_name(layer.name) for layer in layers], fontsize=name_size)
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
    write_bytes_atomic(path, figure_bytes(figure, check_format(path)))


def figure_bytes(figure: "Figure", format: str) -> bytes:
    """The figure as a file of one of `FORMATS`; the same figure, the same bytes."""
    # What matplotlib would put in by itself: its version, and the time of writing.
    metadata: dict[str, Any] = {
        "png": {"Software": None},
        "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
        "svg": {"Creator": None, "Date": None},
    }[format]
    output = BytesIO()
    _name_plainly(figure)
    with figure_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        figure.savefig(output, format=format, metadata=metadata)
    return output.getvalue()


def _name_plainly(figure: "Figure") -> None:
    """Write out what cannot be drawn in names that come from files: control characters, bytes that are no text."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    def plain(text: str) -> str:
        return "\n".join(map(printable, text.split("\n")))

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), FixedLocator):  # labels of ticks are made anew for each drawing
                labels = [label.get_text() for label in axis.get_ticklabels()]
                if (written := list(map(plain, labels))) != labels:
                    axis.set_ticklabels(written)
    for artist in figure.findobj(Text):
        artist.set_text(plain(artist.get_text()))


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of every figure here, while one is made."""
    from matplotlib import style

    # On top of matplotlib's defaults, not of the user's settings: the figure is the same everywhere.
    sheet = resources.files("saformer.reports.figures").joinpath("saformer.mplstyle")
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


def room_for(ends: Sequence[float], labels: Sequence[str]) -> float:
    """The end of an axis on which every bar has room for the label behind it."""
    # A character takes about a fiftieth of the panel's width, the space before the label as much.
    return (
        max((end / (1 - 0.022 * (len(text) + 1)) for end, text in zip(ends, labels, strict=True)), default=0.0) or 1.0
    )


def short_name(name: str) -> str:
    """A path that fits beside an axis."""
    if len(name) <= _LONGEST_NAME:
        return name
    # The start of a path says which block it is, the end which operation: the middle can go.
    start = _LONGEST_NAME // 3
    return f"{name[:start]}…{name[start + 1 - _LONGEST_NAME :]}"


def annotate(axes: "Axes", text: str, x: float, y: float) -> None:
    """A small label to the right of a point."""
    axes.annotate(text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=6.5)


def _shade_groups(axes: Sequence["Axes"], groups: Sequence[str]) -> None:
    start, shade = 0, False
    for i in range(1, len(groups) + 1):
        if i == len(groups) or groups[i] != groups[start]:
            if shade:
                for ax in axes:
                    ax.axhspan(start - 0.5, i - 0.5, color=BAND, linewidth=0, zorder=0)
            start, shade = i, not shade
