"""A document as one HTML page that needs no network: style, script and figures are inside it."""

import base64
import math
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING

from saformer.reports.document.blocks import Facts, Heading, Line, Part, Picture, Report, Verbatim
from saformer.reports.document.table import Align, Cell, Row, Table
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureBytes = Callable[["Figure", str], bytes]
# Shorter tables need no buttons.
_INTERACTIVE_ROWS = 6


def html_text(report: Report, title: str, figure_bytes: FigureBytes) -> str:
    """The page. Its tables sort and fold with a short script; without it everything is shown, in order.

    Args:
        report: what to write.
        title: of the page.
        figure_bytes: makes a figure's file in a format, as `saformer.reports.figures.saving.figure_bytes` does.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    import saformer

    parts = list(report.parts)
    starts = [i for i, part in enumerate(parts) if isinstance(part, Heading) and part.level == 2]
    first = starts[0] if starts else len(parts)
    sections = [
        {"heading": parts[start], "parts": parts[start + 1 : end]}
        for start, end in zip(starts, [*starts[1:], len(parts)], strict=True)
    ]
    here = resources.files("saformer.reports.writers.html")
    read = lambda name: here.joinpath(name).read_text(encoding="utf-8")  # noqa: E731
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(read("page.html.jinja"))
    return template.render(
        title=title,
        opening=list(report.parts[:first]),
        sections=sections,
        version=saformer.__version__,
        css=Markup(read("page.css")),
        js=Markup(read("page.js")),
        show=lambda part: Markup(_part(part, figure_bytes)),
    )


def _part(part: Part, figure_bytes: FigureBytes) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Picture):
        return _picture(part, figure_bytes)
    if isinstance(part, Heading):
        return f"<h3>{_text(part.text)}</h3>"
    if isinstance(part, Verbatim):
        return f'<pre tabindex="0"><code>{_escaped(part.lines)}</code></pre>'
    if isinstance(part, Facts):
        pairs = "".join(f"<dt>{_text(label)}</dt><dd>{_text(text)}</dd>" for label, text in part.facts)
        return f'<dl class="facts">{pairs}</dl>'
    return _line(part)


def _text(text: str) -> str:
    from markupsafe import escape

    return str(escape(printable(text)))


def _escaped(lines: list[str]) -> str:
    from markupsafe import escape

    return "\n".join(str(escape(line)) for line in lines)


def _line(line: Line) -> str:
    if not line.text:
        return ""
    text = _text(line.text)
    if line.style in ("strong", "warning"):
        text = f"<strong>{text}</strong>"
    label = f"{_text(line.label.strip())} " if line.label else ""
    kind = ' class="note"' if line.style in ("dim", "note") else ""
    return f"<p{kind}>{label}{text}{_text(line.after)}</p>"


def _picture(picture: Picture, figure_bytes: FigureBytes) -> str:
    data = base64.b64encode(figure_bytes(picture.figure, "svg")).decode("ascii")
    alt = _text(picture.alt).replace("\n", " ")
    return (
        f'<figure><img src="data:image/svg+xml;base64,{data}" alt="{alt}">'
        f"<figcaption>{_text(picture.caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    columns = [i for i, column in enumerate(table.columns) if column.shown]
    rows = table.every_row
    # Where a name stands for the rows below it, too, sorting would part them from it.
    named = all(table.cell(0, row.cells[0]).text.strip() for row in rows)
    kind = ' class="interactive"' if named and len(rows) >= _INTERACTIVE_ROWS else ""
    head = "".join(
        f'<th scope="col"{_class(_number(table, i))}>{_text(table.columns[i].header) or "&nbsp;"}</th>' for i in columns
    )
    body: list[str] = []
    group = 0
    for row in rows:
        name = table.cell(0, row.cells[0]).text if row.cells else ""
        opens, inside = row.role in ("heading", "subtotal"), name.startswith(" ") and group > 0
        group += opens
        attributes = f' data-block="{group}"' if opens else f' data-group="{group}"' if inside and not opens else ""
        classes = [*(["group"] if opens else []), *(["child"] if inside and not opens else [])]
        classes += ["total"] if row.role in ("total", "sum") else []
        classes += ["strong"] if row.strong else []
        body.append(f"<tr{_class(*classes)}{attributes}>{_cells(table, row, columns)}</tr>")
    notes = "".join(f'<p class="note">{_text(note)}</p>' for note in table.notes)
    title = _text(table.title or "table")
    caption = f"<caption>{title}</caption>" if table.title else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}"><table{kind}>{caption}'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>{notes}"
    )


def _cells(table: Table, row: Row, columns: list[int]) -> str:
    cells = []
    for place, i in enumerate(columns):
        if i >= len(row.cells):
            cells.append("<td></td>")
            continue
        cell = table.cell(i, row.cells[i])
        if table.columns[i].bar:
            share = min(max(_finite(cell) or 0.0, 0.0), 1.0)
            cells.append(f'<td class="bar" style="--share:{share:.2%}" data-value="{_value(cell)}"></td>')
            continue
        text = _text((cell.text + cell.after).strip().replace("\n", " "))
        if place == 0:
            value = f' data-value="{_value(cell)}"' if _number(table, i) else ""
            cells.append(f'<th scope="row"{_class(_number(table, i))}{value}>{text}</th>')
        elif _number(table, i):
            cells.append(f'<td class="number" data-value="{_value(cell)}">{text}</td>')
        else:
            cells.append(f"<td{_class('text' if len(text) > 40 else '')}>{text}</td>")
    return "".join(cells)


def _number(table: Table, column: int) -> str:
    return "" if table.columns[column].align is Align.left else "number"


def _class(*names: str) -> str:
    used = " ".join(name for name in names if name)
    return f' class="{used}"' if used else ""


def _finite(cell: Cell) -> float | None:
    value = cell.value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _value(cell: Cell) -> str:
    value = _finite(cell)
    return "" if value is None else repr(value)
