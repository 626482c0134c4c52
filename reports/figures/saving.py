"""A figure as a file: PNG, PDF, SVG or PGF."""

import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.files import write_bytes_atomic
from saformer.reports.document.tex import tex
from saformer.reports.figures.style import figure_style
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Formats, without what matplotlib would put in by itself: its version, and the time of writing.
_SETTINGS: dict[str, dict[str, Any]] = {
    "png": {"metadata": {"Software": None}},
    "pdf": {"metadata": {"Creator": None, "Producer": None, "CreationDate": None}},
    "svg": {"metadata": {"Creator": None, "Date": None}},
    "pgf": {},
}
FORMATS = tuple(_SETTINGS)


def check_format(path: str | Path, pixels: bool = False) -> str:
    """The format that the suffix of `path` asks for, one of `FORMATS`.

    Args:
        path: of the figure.
        pixels: the figure has maps, which PGF has no room for.

    Raises:
        InputError: it is another one, or cannot be written here.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise InputError(f"cannot write the figure {path}: the name must end in .png, .pdf, .svg or .pgf")
    if suffix == "pgf" and pixels:
        raise InputError(f"cannot write the figure {path}: PGF has no room for pixels such as a map's; name a .pdf")
    if suffix == "pgf" and not _has_pgf():
        raise InputError(
            f"cannot write the figure {path}: PGF takes the widths of its text from pdflatex and the package pgf, "
            "which are not both here; install them (Debian: texlive-pictures), or name a .pdf"
        )
    return suffix


def _has_pgf() -> bool:
    """There is a LaTeX that can measure the text of a figure."""
    if not (shutil.which("pdflatex") and (finder := shutil.which("kpsewhich"))):
        return False
    return subprocess.run([finder, "pgf.sty"], capture_output=True, check=False).returncode == 0


def save_figure(figure: "Figure", path: str | Path) -> None:
    """Write a figure by the suffix of its name, whole or not at all; the same figure, the same bytes.

    Raises:
        InputError: the suffix is none of `FORMATS`, or the file cannot be written.
    """
    write_bytes_atomic(path, figure_bytes(figure, check_format(path)))


def figure_bytes(figure: "Figure", format: str) -> bytes:
    """The figure as a file of one of `FORMATS`; the same figure, the same bytes."""
    output: BytesIO | StringIO = StringIO() if format == "pgf" else BytesIO()
    with figure_style(), _lettered(figure, _in_tex if format == "pgf" else _as_is), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        figure.savefig(output, format=format, **_SETTINGS[format])
    made = output.getvalue()
    return made.encode() if isinstance(made, str) else made


def _as_is(text: str, math: bool) -> str:
    """What cannot be drawn in names that come from files written out: control characters, bytes that are no text."""
    return printable(text)


def _in_tex(text: str, math: bool) -> str:
    """The same as LaTeX reads it; what stands between dollars stays where it is mathematics."""
    if not math:
        return tex(text)
    parts = re.split(r"(?<!\\)\$", text)
    return "$".join(part if i % 2 else tex(part.replace(r"\$", "$")) for i, part in enumerate(parts))


@contextmanager
def _lettered(figure: "Figure", write: Callable[[str, bool], str]) -> Iterator[None]:
    """All texts of the figure as `write` has them, line by line, while it is saved."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FixedLocator

    def written(text: str, math: bool) -> str:
        return "\n".join(write(line, math) for line in text.split("\n"))

    shared: dict[int, tuple[Any, Any]] = {}  # axes that share an axis share its labels, whichever of them shows them
    for axes in figure.findobj(lambda artist: hasattr(artist, "get_xaxis")):
        for axis in (axes.xaxis, axes.yaxis):  # type: ignore[attr-defined]
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
        yield
    finally:
        for artist, text in texts:
            artist.set_text(text)
        for axis, formatter in shared.values():
            axis.set_major_formatter(formatter)
