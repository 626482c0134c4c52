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


_ORDER = re.compile(
    r"\(M_current - M_ours\) / M_current|\b[TNDHRn] = [\d.]*\d\b|\bO\([A-Za-z0-9¹²³⁴⁵⁶⁷⁸⁹ +/]+\)"
    r"|\b[A-Z]\^T\b(?: [A-Z]\b)?|\bN\^2\b"
    r"|\b(?:E_(?:MAC|AC|M)|R_(?:Q|K|V|O|A|Qa)|M_(?:current|ours)|V_th)\b"
)
_POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def tex(text: str) -> str:
    """Text that LaTeX sets as it is, but for orders of growth and symbols of equations, which are mathematics.

    A letter that its fonts lack is written by its number.
    """
    parts, end = [], 0
    for found in _ORDER.finditer(text):
        parts += [_plain(text[end : found.start()]), formula(found[0])]
        end = found.end()
    return "".join([*parts, _plain(text[end:])])


def formula(text: str) -> str:
    """A formula of `saformer.reports.document.formulas`, or the name of a product, as mathematics."""
    if not re.search(r"[A-Za-z]", text):
        return tex(text)
    body, mark, _ = text.partition(" ≠")
    body = re.sub(r"([A-Z])_([A-Za-z]{2,})", r"\1_{\\mathrm{\2}}", body)
    body = re.sub(r"([A-Z])\^T(?: (?=[A-Z]))?", r"\1^{\\mathsf{T}}", body)
    body = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: f"^{{{found[0].translate(_POWERS)}}}", body)
    body = re.sub(r"(?<![+=-]) (?![+=-])", r"\\,", body)
    return f"${body}$" + (r" $\neq$" if mark else "")


def _plain(text: str) -> str:
    made = "".join(
        _SIGNS.get(c) or (c if c.isascii() or _accented(c) else f"[U+{ord(c):04X}]") for c in printable(text)
    )
    # A minus before a digit is a sign, and a bracket at the start of a row would be read as an option of \\.
    made = re.sub(r"^([+-])(?=\d)", r"$\1$", made)
    return re.sub(r"^\[", "{[}", made)


def _accented(c: str) -> bool:
    """A letter that every installation of LaTeX can set: ASCII with an accent, and a few more."""
    return c in "ßøØæÆ" or (ord(c) < 0x100 and unicodedata.normalize("NFD", c)[0].isascii())
