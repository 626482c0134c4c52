"""Text in figures: names from files as they are, formulas set as formulas, labels that have room.

A text is set as it stands, whatever dollars, braces or backslashes it has. Only what `formula` marks is read as
mathematics, and `typeset` is what makes such text.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_TRANSPOSED = re.compile(r"\b([A-Z])\^T(?: ([A-Z]))?\b")
_GATED = re.compile(r"\b[A-Z] \* (?:S\([a-z]\)|[A-Za-z])(?: = 1)?(?![\w(])")  # what maps say of elementwise products
_WORDS = re.compile(r"[\s/_.:+-](?=.)")
_PAD_POINTS = 2.0


def formula(*texts: "Text") -> None:
    """Let what stands between dollars in these texts be set as mathematics."""
    for text in texts:
        text.set_parse_math(True)


def typeset(text: str) -> str:
    """A title of ours for `formula`: products such as K^T V and A * S(k) set as such, everything else as it is."""
    plain = _GATED.sub(lambda found: f"${found[0]}$", text.replace("$", r"\$"))
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


def percent_ticks(axes: "Axes", most: int) -> None:
    """At most so many ticks on the x axis of shares in percent, none above 100."""
    from matplotlib.ticker import MaxNLocator

    class UpTo100(MaxNLocator):
        def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
            return [tick for tick in super().tick_values(vmin, vmax) if tick <= 100]

    axes.xaxis.set_major_locator(UpTo100(most))


def as_is(text: str, math: bool) -> str:
    """What cannot be drawn in names that come from files written out: control characters, bytes that are no text."""
    return printable(text)


@contextmanager
def lettered(figure: "Figure", write: Callable[[str, bool], str]) -> Iterator[None]:
    """All texts of the figure as `write` has them, line by line, while it is measured or saved."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FixedLocator

    def written(text: str, math: bool) -> str:
        return "\n".join(write(line, math) for line in text.split("\n"))

    shared: dict[int, tuple[Any, Any]] = {}  # axes that share an axis share its labels, whichever of them shows them
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_locator(), FixedLocator):  # labels of ticks are made anew for each drawing
                shared.setdefault(id(axis.major), (axis, axis.get_major_formatter()))
    for axis, formatter in shared.values():
        math = any(label.get_parse_math() for label in axis.get_ticklabels())
        labels = [written(label, math) for label in formatter.format_ticks(axis.get_majorticklocs())]
        axis.set_major_formatter(FixedFormatter(labels))
    texts = [(artist, artist.get_text()) for artist in figure.findobj(Text) if isinstance(artist, Text)]
    for artist, text in texts:
        artist.set_text(written(text, artist.get_parse_math()))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
            yield
    finally:
        for artist, text in texts:
            artist.set_text(text)
        for axis, formatter in shared.values():
            axis.set_major_formatter(formatter)


def lay_out(figure: "Figure") -> None:
    """Let the figure's layout engine place the axes, which takes a fourth of the time of a drawing."""
    _measuring(figure)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)


def _measuring(figure: "Figure") -> Any:
    """The renderer that measures the figure's texts; without a canvas to keep it, each question would make another."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    return canvas.get_renderer()


def make_room(figure: "Figure", panels: Sequence["Axes"]) -> None:
    """Widen linear x axes until the labels of their marks lie inside the panels."""
    from matplotlib.text import Annotation

    labels = {
        axes: [text for text in axes.texts if isinstance(text, Annotation) and text.get_text()] for axes in panels
    }
    for text in (text for found in labels.values() for text in found):
        text.set_in_layout(False)  # the panel makes room for them, not the space between panels
    with lettered(figure, as_is):
        lay_out(figure)
        renderer = _measuring(figure)
        for axes, found in labels.items():
            low, high = axes.get_xlim()
            box, pad = axes.get_window_extent(), _PAD_POINTS * figure.dpi / 72
            end = high
            for text in found:
                extent, x = text.get_window_extent(renderer), float(text.xy[0])
                anchor = box.x0 + (x - low) / (high - low) * box.width
                behind = extent.x1 - anchor + pad  # in pixels, whatever the axis
                if 0 < behind < box.width:
                    end = max(end, low + (x - low) * box.width / (box.width - behind))
            axes.set_xlim(low, end)
