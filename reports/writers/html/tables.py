"""A table in HTML: rows that fold by block and sort, bars of shares, and rows that are cards on a phone."""

import math
import re
from collections.abc import Callable

from saformer.reports.document.table import Align, Cell, Row, Table
from saformer.reports.writers.html.text import attributes, escaped

# Shorter tables need no buttons.
_INTERACTIVE_ROWS = 6
# Longer ones begin with their blocks folded.
_LONG_ROWS = 24
_SEGMENTS = 6
# Characters after which a text has several lines, and a name may have.
_LONG_TEXT, _LONG_NAME = 40, 24

Link = Callable[[str], str | None]


def table_html(table: Table, link: Link) -> str:
    """The table in a frame that scrolls sideways by itself, and its notes.

    Args:
        table: what to write.
        link: the identifier of the section with a heading, or None where there is none.
    """
    columns = [i for i, column in enumerate(table.columns) if column.shown]
    rows = table.every_row
    # Where a name stands for the rows below it, too, sorting would part them from it.
    named = all(table.cell(0, row.cells[0]).text.strip() for row in rows)
    interactive = named and len(rows) >= _INTERACTIVE_ROWS
    kinds = [
        *(["interactive"] if interactive else []),
        *(["long"] if interactive and len(rows) > _LONG_ROWS else []),
        *(["cards"] if table.cards else []),
    ]
    head = "".join(
        f"<th{attributes(scope='col', kind=_number(table, i))}>{escaped(table.columns[i].header) or '&nbsp;'}</th>"
        for i in columns
    )
    body: list[str] = []
    group = 0
    for row in rows:
        name = table.cell(0, row.cells[0]).text if row.cells else ""
        opens, inside = row.role in ("heading", "subtotal"), name.startswith(" ") and group > 0
        group += opens
        block = f' data-block="{group}"' if opens else f' data-group="{group}"' if inside and not opens else ""
        classes = [*(["group"] if opens else []), *(["child"] if inside and not opens else [])]
        classes += ["total"] if row.role in ("total", "sum") else []
        classes += ["strong"] if row.strong else []
        body.append(f"<tr{attributes(kind=' '.join(classes))}{block}>{_cells(table, row, columns, link)}</tr>")
    notes = "".join(f'<p class="note">{escaped(note)}</p>' for note in table.notes)
    title = escaped(table.title or "table")
    caption = f"<caption>{title}</caption>" if table.title else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table{attributes(kind=' '.join(kinds))}>{caption}"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{notes}"
    )


def _cells(table: Table, row: Row, columns: list[int], link: Link) -> str:
    cells = []
    for place, i in enumerate(columns):
        if i >= len(row.cells):
            cells.append("<td></td>")
            continue
        cell, column = table.cell(i, row.cells[i]), table.columns[i]
        if column.bar:
            share = min(max(_finite(cell) or 0.0, 0.0), 1.0)
            bar = f'<svg><rect width="{share:.2%}" height="100%"/></svg>'
            cells.append(f'<td class="bar" data-value="{_value(cell)}">{bar}</td>')
            continue
        text = escaped((cell.text + cell.after).strip().replace("\n", " "))
        long = len(text) > _LONG_TEXT
        if place == 0:
            text = _breakable(text)
        if cell.link and (target := link(cell.link)):
            text = f'<a href="#{target}">{text}</a>'
        text = _segments(cell) + text
        label = column.header if table.cards and place else ""
        if place == 0:
            value = _value(cell) if _number(table, i) else None
            cells.append(f"<th{attributes(scope='row', kind=_number(table, i), value=value)}>{text}</th>")
        elif _number(table, i):
            cells.append(f"<td{attributes(kind='number', value=_value(cell), label=label)}>{text}</td>")
        else:
            cells.append(f"<td{attributes(kind='text' if long else '', label=label)}>{text}</td>")
    return "".join(cells)


def _breakable(name: str) -> str:
    """An escaped name which, where it is long, may go on in the next line behind its signs."""
    return re.sub(r"(?<=\w)[_./:+-](?=\w)", r"\g<0><wbr>", name) if len(name) > _LONG_NAME else name


def _segments(cell: Cell) -> str:
    """Shares of a whole as one bar, the largest first; what is beyond the sixth in one."""
    if not cell.shares:
        return ""
    shares = list(cell.shares[:_SEGMENTS])
    if rest := cell.shares[_SEGMENTS:]:
        shares.append((f"{len(rest)} more", sum(share for _, share in rest)))
    left, drawn = 0.0, []
    for i, (name, share) in enumerate(shares):
        title = f"<title>{escaped(name)}: {share:.1%}</title>"
        drawn.append(f'<rect class="s{i}" x="{left:.2%}" width="{share:.2%}" height="100%">{title}</rect>')
        left += share
    return f'<svg class="shares" role="presentation">{"".join(drawn)}</svg>'


def _number(table: Table, column: int) -> str:
    return "" if table.columns[column].align is Align.left else "number"


def _finite(cell: Cell) -> float | None:
    value = cell.value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _value(cell: Cell) -> str:
    value = _finite(cell)
    return "" if value is None else repr(value)
