"""Text that may come from strangers, on outputs that may not know every character: the one place that cares."""

import codecs
import difflib
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

# What stands for a character that an output cannot write; whatever is not here becomes a question mark.
_PLAIN = {
    "±": "+/-",
    "µ": "u",
    "μ": "u",
    "†": "*",
    "≠": "!=",
    "≤": "<=",
    "≥": ">=",
    "×": "x",
    "·": ".",
    "²": "^2",
    "–": "-",
    "—": "-",
    "−": "-",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "…": "...",
    "─": "-",
    "█": "#",
}
PLAIN_ERRORS = "saformer.plain"
_BRIEF = 80  # characters of a value in a message
_LINE = 1000  # of a whole message


def printable(text: str) -> str:
    """The text with whatever could steer a terminal (escapes, control characters, direction marks) written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """A message as one line of a sane length that cannot steer a terminal; what is cut is in its middle.

    A message begins with what is wrong and ends with what to do.
    """
    if len(text) > _LINE:
        text = f"{text[: _LINE // 2]} [...] {text[-_LINE // 2 :]}"
    return printable(" ".join(text.split()))


def briefly(value: Any, quoted: bool = True) -> str:
    """A value for a message: one short line, whatever a file held."""
    text = value if not quoted else "not there" if value is None else reprlib.repr(value)
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}..."


def encodable(text: str, encoding: str) -> str:
    """The text in characters that the encoding has: ± becomes +/- where there is no ±.

    Called before a table is laid out, because the replacements may be longer.
    """
    return text.encode(encoding, errors=PLAIN_ERRORS).decode(encoding)


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(c, "?") for c in error.object[error.start : error.end]), error.end


codecs.register_error(PLAIN_ERRORS, _plain)


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to end a message about an unknown name with, " (did you mean heads?)", or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of several names: `a, b, c, ...`."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
