"""Text in figures: names from files as they are, formulas set as formulas, labels that have room.

A text is set as it stands, whatever dollars, braces or backslashes it has. Only what `formula` marks is read as
mathematics, and `typeset` is what makes such text.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_TRANSPOSED = re.compile(r"\b([A-Z])\^T(?: ([A-Z]))?\b")
_WORDS = re.compile(r"[\s/_.:+-](?=.)")
_PAD_POINTS = 2.0


def formula(*texts: "Text") -> None:
    """Let what stands between dollars in these texts be set as mathematics."""
    for text in texts:
        text.set_parse_math(True)


def typeset(text: str) -> str:
    """A title of ours for `formula`: a product such as K^T V set as one, everything else as it is."""
    plain = text.replace("$", r"\$")
    return _TRANSPOSED.sub(lambda found: rf"${found[1]}^{{\mathsf{{T}}}}{found[2] or ''}$", plain)


def power_of_ten(exponent: int) -> str:
    """A tick of a logarithmic axis, for `formula`."""
    return rf"$10^{{{exponent}}}$"


def shortened(name: str, most: int) -> str:
    """A path in at most that many characters."""
    if len(name) <= most:
        return name
    # The start of a path says which block it is, the end which operation: the middle can go.
    start = most // 3
    return f"{name[:start]}…{name[start + 1 - most :]}"


def wrapped(name: str, most: int) -> str:
    """A label in one line of at most that many characters, or in two, broken where a word ends; the middle may go."""
    if len(name) <= most:
        return name
    text = shortened(name, 2 * most)
    # The break that makes the longer line shortest; in the middle of a word only where no other will do.
    places = [found.end() for found in _WORDS.finditer(text)] or [len(text) // 2]
    place = min(places, key=lambda at: max(at, len(text) - at))
    if max(place, len(text) - place) > most + most // 3:
        place = len(text) // 2
    return f"{text[:place].rstrip()}\n{text[place:]}"


def annotate(axes: "Axes", text: str, x: float, y: float, size: float, gap: float = 4.0) -> None:
    """A small label to the right of a point, so many points away."""
    axes.annotate(text, (x, y), xytext=(gap, 0), textcoords="offset points", va="center", fontsize=size)


def percent_ticks(axis: "Axis", most: int) -> None:
    """At most so many ticks of an axis of shares in percent, none above 100."""
    from matplotlib.ticker import MaxNLocator

    class UpTo100(MaxNLocator):
        def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
            return [tick for tick in super().tick_values(vmin, vmax) if tick <= 100]

    axis.set_major_locator(UpTo100(most))


def make_room(figure: "Figure", panels: Sequence["Axes"]) -> None:
    """Widen linear x axes until the labels of their marks lie inside the panels."""
    from matplotlib.text import Annotation

    figure.draw_without_rendering()
    for axes in panels:
        low, high = axes.get_xlim()
        box, pad = axes.get_window_extent(), _PAD_POINTS * figure.dpi / 72
        end = high
        for text in axes.texts:
            if not (isinstance(text, Annotation) and text.get_text()):
                continue
            extent, x = text.get_window_extent(), float(text.xy[0])
            anchor = box.x0 + (x - low) / (high - low) * box.width
            behind = extent.x1 - anchor + pad  # in pixels, whatever the axis
            if 0 < behind < box.width:
                end = max(end, low + (x - low) * box.width / (box.width - behind))
        axes.set_xlim(low, end)
