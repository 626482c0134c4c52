"""What figures look like: two widths, one palette, one colour for a family of networks everywhere.

Figures are made without pyplot: no window, no state that a notebook or another figure would share.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources


class Width(StrEnum):
    """How wide a figure is in print: a column of two, or the page."""

    page = "page"
    column = "column"

    @property
    def inches(self) -> float:
        """7.2 for a page, 3.5 for a column."""
        return 7.2 if self is Width.page else 3.5


PAGE_HEIGHT = 9.0  # inches; no figure is taller
INK = "#000000"
EDGE = "#222222"
MUTED = "#767676"
BAND = "#f2f2f2"
PAPER = "#ffffff"
PUBLISHED_GREY = "#636363"
# Sizes of text in points, as printed: names and labels, numbers at axes and marks, the smallest that is still read.
NAME_SIZE, MARK_SIZE, SMALL_SIZE = 8.0, 7.0, 6.0

# Eight colours whose lightnesses lie apart (CIE L* 9 to 80, steps of 9 or more), so that a print in grey, and an eye
# that confuses hues, still tells them apart. A family of networks has its own in every figure.
_FAMILIES: dict[str, tuple[str, str]] = {
    "saformer": ("#CC5500", "D"),
    "sdt": ("#56B4E9", "s"),
    "spikformer": ("#00376B", "o"),
    "spikingformer": ("#14713F", "^"),
    "vit": ("#1A1A1A", "v"),
}
_FOREIGN: tuple[tuple[str, str], ...] = (("#D8719C", "X"), ("#6B2E93", "P"), ("#8FD6BE", "h"))
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
# Lines alone: dots are hundreds of circles, which LaTeX takes minutes to set in PGF.
_HATCHES = ("", "////", "xxxx", "\\\\\\\\", "----", "++++", "||||")
_MORE_MARKERS = ("<", ">", "p", "*", "d", "8")
_PUBLISHED_MARKERS = ("o", "<", ">", "p", "*", "d", "x", "+", "1", "2", "3", "4", "|", "_")  # as many as have no family
Dashes = str | tuple[int, tuple[float, ...]]
_LINES: tuple[Dashes, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (4, 1.5, 1, 1.5)),
    (0, (1, 1)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
# How far a further network of a family is from its colour: towards white, or towards black.
_SHADES = (0.0, 0.45, -0.4, 0.7)
# Kinds of operation, coloured apart from networks; lightness falls and rises between neighbours.
_KINDS = ("#0072B2", "#E69F00", "#7FC7EF", "#B0460B", "#5FBFA0", "#5B3A8C", "#D69AB9", "#8C8C8C")


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
    """How a network is drawn: the colour of its family, a hatch for bars, a marker for points, dashes for lines."""

    colour: str
    hatch: str
    marker: str
    line: Dashes = "-"


def model_family(name: str) -> str:
    """The family that a model, a paper's method or an attention belongs to: `saformer`, ..., or `other`."""
    words = re.findall(r"s-transformer|[a-z]+", name.lower())
    return next((family for key, family in _FAMILY_NAMES.items() if key in words), "other")


def model_looks(models: Mapping[str, str], published: Collection[str] = ()) -> dict[str, Look]:
    """How each network of a figure is drawn.

    A family has one hue everywhere; its further members have other shades, hatches, markers and dashes. Networks of no
    family take, in their order, the colours that no family of the figure has.

    Args:
        models: from the name in the figure to a name that shows the family, such as `saformer-4-384`.
        published: names of rows from a paper; those of no family are grey.
    """
    families = {label: model_family(name) for label, name in models.items()}
    free = [*_FOREIGN, *(look for family, look in _FAMILIES.items() if family not in families.values())]
    seen: Counter[str] = Counter()
    further = 0
    looks = {}
    for label, family in families.items():
        kind = "published" if family == "other" and label in published else family
        i = seen[kind]
        seen[kind] += 1
        if kind == "published":
            colour, marker, again = PUBLISHED_GREY, _PUBLISHED_MARKERS[i % len(_PUBLISHED_MARKERS)], i
        elif kind == "other":
            (colour, marker), again = free[i % len(free)], i // len(free)
        else:
            (colour, marker), again = _FAMILIES[kind], i
        line = _LINES[0]
        if again and kind != "published":
            colour = shaded(colour, _SHADES[again % len(_SHADES)])
            marker = _MORE_MARKERS[further % len(_MORE_MARKERS)]
            line = _LINES[1 + further % (len(_LINES) - 1)]
            further += 1
        looks[label] = Look(colour, _HATCHES[again % len(_HATCHES)], marker, line)
    return looks


def shaded(colour: str, by: float) -> str:
    """A colour `#rrggbb` mixed with white (`by` from 0 to 1) or with black (0 to -1)."""
    parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [round(p + (255 - p) * by if by >= 0 else p * (1 + by)) for p in parts]
    return "#" + "".join(f"{p:02X}" for p in mixed)


def kind_look(i: int) -> tuple[str, str]:
    """Colour and hatch of the `i`-th kind of operation in a figure; colours that come again have other hatches."""
    return _KINDS[i % len(_KINDS)], _HATCHES[(i + i // len(_KINDS)) % len(_HATCHES)]
