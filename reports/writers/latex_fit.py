"""Which columns of a table fit the text of a page in LaTeX, and in which size of letters."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from saformer.reports.document.numbers import NOT_KNOWN
from saformer.reports.document.table import Align, Column, Table
from saformer.reports.writers.common import cell_texts, shown_columns
from saformer.reports.writers.siunitx import Numbers, numbers_of

#: Points of the text of LaTeX's article class at 10 pt.
TEXT_WIDTH = 345
# Its sizes with how wide their letters are (Computer Modern's small sizes are wider than their heights say), and the
# points on both sides of a column: as LaTeX has them, and the fewest.
_SIZES = (("", 1.0, 6, 4), (r"\small", 0.93, 5, 3), (r"\footnotesize", 0.86, 4, 2))
_SMALLER = ((r"\scriptsize", 0.8, 3, 2), (r"\tiny", 0.69, 2, 2))
_ONE_LINE = 185.0  # points after which a cell is a paragraph
# A paragraph has this share of the text, or of its length in one line, where that is less.
_LEAST_PARAGRAPH, _HALF = 0.28, 0.55
_INDENTED, _BOLD = 10.0, 1.15
# Widths of Computer Modern's letters in thousandths of its size; 500 for any other.
_LETTERS = {
    278: ".,:;'!|il",
    306: "fj",
    333: "- ",
    370: "I_",
    389: "()[]tsr",
    444: "ceaz",
    528: "kqvxy",
    556: "bdhnpuS",
    680: "EFLPZ",
    722: "CRTBw",
    750: "AHNUVXYDKG",
    778: "OQ+=<>±≠≤≥×−",
    833: "m%",
    917: "M",
    1028: "W",
}
_WIDTHS = {letter: width / 100 for width, letters in _LETTERS.items() for letter in letters}


@dataclass(frozen=True)
class SetColumn:
    """A column as it is set.

    Args:
        column: of the table.
        texts: what its cells say, in every row but headings.
        numbers: how siunitx aligns them; None for text.
        head: the lines of its header.
        points: its width in the size of the text, each cell in one line.
        paragraph: its cells may have several lines.
        share: of the width of the text, for a paragraph.
    """

    column: Column
    texts: Sequence[str]
    numbers: Numbers | None
    head: Sequence[str]
    points: float
    paragraph: bool
    share: float = 0.0


@dataclass(frozen=True)
class Fit:
    """How a table is set.

    Args:
        columns: those that are shown.
        size: what LaTeX is told before the table, to make it fit where the text is narrow; empty if nothing.
        common: header and text of each column that all rows have in common.
        left_out: headers of columns for which there was no room.
    """

    columns: Sequence[SetColumn]
    size: str
    common: Sequence[tuple[str, str]] = ()
    left_out: Sequence[str] = ()


def fitted(table: Table) -> Fit:
    """The columns in the largest size in which they fit the text, down to that of footnotes.

    A column in which nothing is known is left out. Where the others do not fit, those that all rows have in common go
    into a note, then those of the highest rank go one by one, and then names are broken into lines.
    """
    shown = _columns(table)
    known = [each for i, each in enumerate(shown) if i == 0 or any(text not in ("", NOT_KNOWN) for text in each.texts)]
    if (whole := _in_size(known, _SIZES[:1])) is not None:
        return whole
    common = [each for each in known[1:] if each.column.common and len(table.rows) > 1 and len(set(each.texts)) == 1]
    kept, left_out = [each for each in known if each not in common], []
    while (found := _in_size(kept, _SIZES)) is None and (highest := max(each.column.rank for each in kept)) > 0:
        last = [each for each in kept if each.column.rank == highest][-1]
        left_out.append(last.column.header)
        kept.remove(last)
    if found is None:
        kept = _broken(kept)
        found = _in_size(kept, _SIZES) or _in_size(kept, _SMALLER) or _set(kept, *_SMALLER[-1][:2], _SMALLER[-1][-1])
    words = [(each.column.header, each.texts[0]) for each in common]
    return replace(found, common=words, left_out=left_out)


def _broken(columns: Sequence[SetColumn]) -> list[SetColumn]:
    """The widest column of names as paragraphs."""
    words = [each for each in columns if each.column.align is Align.left and not each.column.formula]
    names = [each for each in words if each.numbers is None and not each.paragraph]
    widest = max(names, key=lambda each: each.points, default=None)
    return [replace(each, paragraph=True) if each is widest else each for each in columns]


def _in_size(columns: Sequence[SetColumn], sizes: Sequence[tuple[str, float, int, int]]) -> Fit | None:
    """The columns in the first of these sizes in which they fit; None if there is none."""
    least = sum(_least(each) for each in columns if each.paragraph)
    for name, scale, most, fewest in sizes:
        for gap in range(most, fewest - 1, -1):
            if _rest(columns, scale, gap) >= scale * least:
                return _set(columns, name, scale, gap)
    return None


def _least(paragraph: SetColumn) -> float:
    """Points in which a paragraph can be read: its longest word, and not many more lines than two."""
    words = (word for text in paragraph.texts for word in re.split(r"(?<=[ ./_-])", text))
    longest = max(map(_points, words), default=0.0)
    return min(_LEAST_PARAGRAPH * TEXT_WIDTH, max(_HALF * paragraph.points, longest * _BOLD))


def _rest(columns: Sequence[SetColumn], scale: float, gap: int) -> float:
    """Points of the text that paragraphs may have."""
    return TEXT_WIDTH - scale * sum(each.points for each in columns if not each.paragraph) - 2 * gap * len(columns)


def _set(columns: Sequence[SetColumn], name: str, scale: float, gap: int) -> Fit:
    """The columns in a size, but in that of the text where it is wide enough: in a `table*` over two columns."""
    # Each paragraph has what it needs, and long ones more of the rest, though not as much more as they are longer.
    least = [scale * _least(each) if each.paragraph else 0.0 for each in columns]
    weights = [math.sqrt(each.points) if each.paragraph else 0.0 for each in columns]
    rest = max(_rest(columns, scale, gap) - sum(least), 0.0) / (sum(weights) or 1.0)
    shares = [
        min(room + rest * weight, scale * each.points) / TEXT_WIDTH
        for room, weight, each in zip(least, weights, columns, strict=True)
    ]
    made = [replace(each, share=share) for each, share in zip(columns, shares, strict=True)]
    most = _SIZES[0][2]
    if (name, gap) == (_SIZES[0][0], most):
        return Fit(made, "")
    fixed = sum(each.points for each in columns if not each.paragraph) + 2 * most * len(columns)
    full = fixed / max(1 - sum(shares), 0.3)
    return Fit(made, rf"\ifdim\linewidth<{full:.0f}pt {name}\setlength{{\tabcolsep}}{{{gap}pt}}\fi")


def _columns(table: Table) -> list[SetColumn]:
    """Every column that a reader sees. Headings between rows reach over all of them, and are left out."""
    rows = [row for row in table.every_row if row.role != "heading"]
    cells = [cell_texts(table, row) for row in rows]
    bold = [bool(row.role) or row.strong for row in rows]
    return [
        _column(table.columns[place], [texts[i] for texts in cells], bold)
        for i, place in enumerate(shown_columns(table))
    ]


def _column(column: Column, texts: Sequence[str], bold: Sequence[bool]) -> SetColumn:
    numbers = numbers_of(texts) if column.align is not Align.left else None
    title = column.header + (" (%)" if numbers and numbers.percent and not column.unit else "")
    widest = max((_cell_points(text, b, column, numbers) for text, b in zip(texts, bold, strict=True)), default=0.0)
    paragraph = widest > _ONE_LINE
    head = [title] if paragraph else _stacked(title, widest)
    return SetColumn(column, texts, numbers, head, max([widest, *map(_points, head)]), paragraph)


def _cell_points(text: str, bold: bool, column: Column, numbers: Numbers | None) -> float:
    if column.formula:
        return _formula_points(text)
    return _points(numbers.shown(text) if numbers else text) * (_BOLD if bold else 1.0)


def _formula_points(text: str) -> float:
    """How wide a formula is, with small letters after `_`, small exponents and little room around its signs."""
    small = 0.8
    points = sum(small * _points(found[1]) for found in re.finditer(r"_([A-Za-z]+)", text))
    points += 4.5 * len(re.findall("[²³⁴]", text))
    rest = re.sub(r"_[A-Za-z]+|[²³⁴]", "", text)
    signs = rest.count(" + ")
    points += signs * (_points("+") + 4.5) + 1.7 * (rest.count(" ") - 2 * signs)
    # Letters of mathematics lean, and take a little more room than upright ones.
    return points + sum(_points(letter) + 1.1 * letter.isupper() for letter in rest.replace("+", "").replace(" ", ""))


def _points(text: str) -> float:
    """How wide Computer Modern sets a text at 10 pt."""
    inner = text.lstrip(" ")
    return (_INDENTED if len(inner) < len(text) else 0.0) + sum(_WIDTHS.get(letter, 5.0) for letter in inner)


def _stacked(title: str, width: float) -> list[str]:
    """A header in as many lines as make it no wider than its column, or than its longest word."""
    words = [word for word in re.split(r" |(?<=[a-z]{3}-)(?=[a-z]{3})", title) if word]
    most = max([width, *map(_points, words)])
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{'' if lines[-1].endswith('-') else ' '}{word}" if lines else ""
        if longer and _points(longer) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]
