"""A figure as a file: PNG, PDF, SVG or PGF."""

import re
import shutil
import subprocess
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.files import write_bytes_atomic
from saformer.reports.document.tex import tex
from saformer.reports.figures.lettering import as_is, lay_out, lettered
from saformer.reports.figures.style import figure_style

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


def settle(figure: "Figure") -> None:
    """Settle where everything stands, so that files in several formats do not each work it out anew."""
    with figure_style():
        with lettered(figure, as_is):
            lay_out(figure)
        figure.set_layout_engine(None)  # none at all: after "none", each file would be drawn once more to lay it out


def figure_bytes(figure: "Figure", format: str, outlines: bool = False) -> bytes:
    """The figure as a file of one of `FORMATS`; the same figure, the same bytes.

    Args:
        figure: to write.
        format: one of `FORMATS`.
        outlines: letters of an SVG are shapes, which look the same where the font is not there.
    """
    from matplotlib import rc_context

    letters: Any = {"svg.fonttype": "path"} if outlines else {}
    output: BytesIO | StringIO = StringIO() if format == "pgf" else BytesIO()
    with figure_style(), rc_context(letters), lettered(figure, _in_tex if format == "pgf" else as_is):
        figure.savefig(output, format=format, **_SETTINGS[format])
    made = output.getvalue()
    return made.encode() if isinstance(made, str) else made


def _in_tex(text: str, math: bool) -> str:
    """The same as LaTeX reads it; what stands between dollars stays where it is mathematics."""
    if not math:
        return tex(text)
    parts = re.split(r"(?<!\\)\$", text)
    return "$".join(part if i % 2 else tex(part.replace(r"\$", "$")) for i, part in enumerate(parts))
