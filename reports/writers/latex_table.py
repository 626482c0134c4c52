"""A table in LaTeX: the rules of booktabs, columns of numbers by siunitx, notes below it in the same float."""

import math
import re
from collections.abc import Sequence

from saformer.reports.document.table import Align, Row, Table
from saformer.reports.document.tex import formula, tex
from saformer.reports.writers.common import cell_texts, indented
from saformer.reports.writers.latex_fit import TEXT_WIDTH, Fit, SetColumn, fitted
from saformer.reports.writers.siunitx import SETUP
from saformer.text import printable

#: Rows after which a table may break over pages.
ONE_PAGE = 40
_BREAKS = r"(?<=\w)(\\_(?=\w)|\.(?=[A-Za-z]))|(?<=[A-Za-z])\.(?=\d)"  # not the point of a number


def table_text(table: Table, below: Sequence[str]) -> str:
    """The table as a float, or as a longtable; `below` stands after its notes."""
    fit = fitted(table)
    header = " & ".join(_head(each) for each in fit.columns) + r" \\"
    spec = "".join(_specification(each) for each in fit.columns)
    body = _body(table, fit)
    setup = [SETUP] if any(each.numbers for each in fit.columns) else []
    notes = _notes([*table.notes, *_in_common(fit), *below])
    caption = [rf"\caption{{{tex(table.title)}}}"] if table.title else []
    lines = [f"% no room in {TEXT_WIDTH} pt for: {printable(', '.join(fit.left_out))}"] if fit.left_out else []
    if len(table.rows) > ONE_PAGE:
        lines += ["{" + fit.size, *setup, rf"\begin{{longtable}}{{{spec}}}", *(line + r" \\" for line in caption)]
        lines += [r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        lines += [*body, r"\end{longtable}", *notes, "}"]
    else:
        lines += [r"\begin{table}[htbp]", r"\centering" + fit.size, *setup, *caption, rf"\begin{{tabular}}{{{spec}}}"]
        lines += [r"\toprule", header, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"]
    return "\n".join(lines)


def breakable(text: str) -> str:
    """Text in which the path of a module, else one long word, and a hash may go on in the next line."""
    broken = re.sub(_BREAKS, r"\g<0>\\allowbreak{}", tex(text))
    return re.sub(r"\b[0-9a-f]{40,}\b", lambda found: r"\allowbreak{}".join(re.findall(".{1,8}", found[0])), broken)


def _body(table: Table, fit: Fit) -> list[str]:
    lines: list[str] = []
    rows, place = table.every_row, 0
    for row in rows:
        if row.role == "heading":
            words = indented(cell_texts(table, row)[0], r"\quad ", tex)
            lines.append(rf"\multicolumn{{{len(fit.columns)}}}{{l}}{{\textit{{{words}}}}} \\")
        else:
            lines.append(" & ".join(_cell(each.texts[place], row, each) for each in fit.columns) + r" \\")
            place += 1
        if row.rule and row is not rows[-1]:
            lines.append(r"\midrule")
    return lines


def _cell(text: str, row: Row, column: SetColumn) -> str:
    strong = bool(row.role) or row.strong
    if not text:
        return ""
    if column.numbers is not None:
        return (r"\bfseries " if strong else "") + column.numbers.cell(text)
    if column.column.formula:
        return formula(text)  # mathematics has no bold of its own
    made = indented(text, r"\quad ", breakable if column.paragraph else tex)
    return rf"\textbf{{{made}}}" if strong else made


def _specification(column: SetColumn) -> str:
    if column.numbers is not None:
        return column.numbers.column
    if column.paragraph:
        return rf">{{\raggedright\arraybackslash}}p{{{math.floor(100 * column.share) / 100:.2f}\linewidth}}"
    return "l" if column.column.align is Align.left else "r"


def _head(column: SetColumn) -> str:
    """A header, in a tabular of its own where it has several lines, and in braces where numbers stand below it."""
    number = column.numbers is not None
    text = tex(column.head[0])
    if len(column.head) > 1:
        place = "l" if column.column.align is Align.left else "c" if number else "r"
        text = rf"\begin{{tabular}}[b]{{@{{}}{place}@{{}}}}" + r"\\".join(map(tex, column.head)) + r"\end{tabular}"
    return f"{{{text}}}" if number else text


def _in_common(fit: Fit) -> list[str]:
    return (
        ["In all rows: " + ", ".join(f"{header} = {text}" for header, text in fit.common) + "."] if fit.common else []
    )


def _notes(notes: Sequence[str]) -> list[str]:
    """Below the body of a table, each on a line of its own."""
    if not notes:
        return []
    lines = "\\\\\n".join(breakable(note) for note in notes)
    return [
        r"\par\smallskip\noindent",
        r"\begin{minipage}{\linewidth}\raggedright\footnotesize",
        lines,
        r"\end{minipage}",
    ]
