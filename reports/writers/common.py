"""What the writers of Markdown, LaTeX, CSV and JSON share: which cells a reader sees, and what they say."""

from collections.abc import Callable

from saformer.reports.document.blocks import Line
from saformer.reports.document.table import Cell, Row, Table
from saformer.text import printable

#: Where a page in Markdown or LaTeX looks for its figures, from its own folder.
PICTURES = "figures"


def sentence(line: Line) -> str:
    """Label and text in one; that a note is one goes without saying."""
    label = line.label.strip()
    return printable(" ".join(part for part in ("" if label == "note:" else label, line.text) if part) + line.after)


def shown_columns(table: Table) -> list[int]:
    """The indices of the columns that a text can show: no bars, and nothing that is for programs alone."""
    return [i for i, column in enumerate(table.columns) if column.shown and not column.bar]


def cell_texts(table: Table, row: Row) -> list[str]:
    """What the cells of a row say; a cell that continues on a further line is put on one."""
    cells = [table.cell(i, row.cells[i]) if i < len(row.cells) else Cell(None, "") for i in shown_columns(table)]
    return [printable(cell.text.rstrip() + cell.after) for cell in cells]


def indented(text: str, blank: str, escape: Callable[[str], str]) -> str:
    """The text escaped, with `blank` where it begins with blanks."""
    inner = text.lstrip(" ")
    return (blank if len(inner) < len(text) else "") + escape(inner)
