"""Lists of what there is: models, data sets."""

from collections.abc import Iterable, Sequence
from typing import Any

from saformer.reports.document.table import Align, Column, Table


def catalogue_table(
    title: str, columns: Sequence[str | Column], rows: Iterable[Sequence[Any]], notes: Sequence[str] = ()
) -> Table:
    """A list of things with one line each; columns named by text that hold nothing but numbers are set to the right."""
    rows = [tuple(row) for row in rows]
    made = []
    for i, column in enumerate(columns):
        if isinstance(column, Column):
            made.append(column)
            continue
        cells = [row[i] for row in rows if row[i] is not None]
        numbers = cells and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)
        made.append(Column(column, align=Align.right if numbers else Align.left))
    return Table(title, made, rows, notes)
