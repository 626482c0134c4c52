"""Text as LaTeX sets it, for tables and for figures in PGF."""

import re
import unicodedata

from saformer.text import printable

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "†": r"\dag{}",
    "≠": r"$\neq$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "²": r"$^2$",
    "−": r"$-$",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
}


def tex(text: str) -> str:
    """Text that LaTeX sets as it is; a letter that its fonts lack is named by its number."""
    made = "".join(
        _SIGNS.get(c) or (c if c.isascii() or _accented(c) else f"[U+{ord(c):04X}]") for c in printable(text)
    )
    # A minus before a digit is a sign, and a bracket at the start of a row would be read as an option of \\.
    made = re.sub(r"^([+-])(?=\d)", r"$\1$", made)
    return re.sub(r"^\[", "{[}", made)


def _accented(c: str) -> bool:
    """A letter that every installation of LaTeX can set: ASCII with an accent, and a few more."""
    return c in "ßøØæÆ" or (ord(c) < 0x100 and unicodedata.normalize("NFD", c)[0].isascii())
