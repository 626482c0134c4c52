"""What figures look like: one style, one colour for a family of networks everywhere, labels that have room.

Figures are made without pyplot: no window, no state that a notebook or another figure would share.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH_INCHES = 7.2
EDGE = "#222222"
BAND = "#f2f2f2"
# Okabe and Ito's palette, safe for the common forms of colour blindness. Neighbours in this order differ
# in lightness too, and each kind has a hatch, so that a print in grey still tells them apart.
_COLOURS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#F0E442", "#009E73", "#CC79A7", "#999999")
_HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "----", "++++", "||||")
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


@contextmanager
def figure_style() -> Iterator[None]:
    """The style of every figure here, while one is made."""
    from matplotlib import style

    # On top of matplotlib's defaults, not of the user's settings: the figure is the same everywhere.
    sheet = resources.files("saformer.reports.figures").joinpath("saformer.mplstyle")
    with resources.as_file(sheet) as path, style.context(["default", str(path)]):
        yield


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


def kind_look(i: int) -> tuple[str, str]:
    """Colour and hatch of the `i`-th kind of operation in a figure; colours that come again have other hatches."""
    return _COLOURS[i % len(_COLOURS)], _HATCHES[(i + i // len(_COLOURS)) % len(_HATCHES)]


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
