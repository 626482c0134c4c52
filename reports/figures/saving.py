"""A figure as a file: PNG, PDF or SVG."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.files import write_bytes_atomic
from saformer.reports.figures.style import figure_style
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


FORMATS = ("png", "pdf", "svg")
_TALLEST = 9_000  # pixels; the map of a network of hundreds of layers is metres high, and gets fewer to the inch


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


def lay_out(figure: "Figure") -> None:
    """Settle where everything stands, so that files in several formats do not each work it out anew."""
    _name_plainly(figure)
    with figure_style(), _missing_glyphs_ignored():
        figure.draw_without_rendering()
    figure.set_layout_engine("none")


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
    with figure_style(), _missing_glyphs_ignored():
        from matplotlib import rcParams

        dpi = min(rcParams["savefig.dpi"], _TALLEST / max(figure.get_size_inches()))
        figure.savefig(output, format=format, metadata=metadata, dpi=dpi)
    return output.getvalue()


@contextmanager
def _missing_glyphs_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        yield


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
