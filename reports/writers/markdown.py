"""Markdown as GitHub reads it: what a reader of the terminal sees."""

import re

from saformer.reports.document.blocks import Facts, Heading, Line, Picture, Report, Verbatim
from saformer.reports.document.table import Align, Table
from saformer.reports.writers.common import PICTURES, cell_texts, indented, shown_columns
from saformer.text import printable


def markdown_text(report: Report) -> str:
    """Tables of GitHub's Markdown, everything else as paragraphs and lists."""
    blocks: list[str] = []
    in_list = False
    for part in report.parts:
        if isinstance(part, Table):
            blocks.append(_table(part))
        elif isinstance(part, Facts):
            blocks.append("\n".join(f"- {_md(label)}: {_md(text)}" for label, text in part.facts))
        elif isinstance(part, Heading):
            blocks.append(f"{'#' * part.level} {_md(part.text)}")
        elif isinstance(part, Verbatim):
            blocks.append("\n".join(["```", *part.lines, "```"]))
        elif isinstance(part, Picture):
            blocks.append(f"![{_md(part.alt)}]({PICTURES}/{part.name}.svg)\n\n*{_md(part.caption)}*")
        elif part.text:
            text = _md_line(part)
            if part.label and in_list:
                blocks[-1] += f"\n- {text}"
            else:
                blocks.append(f"- {text}" if part.label else text)
            in_list = bool(part.label)
            continue
        in_list = False
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    shown = shown_columns(table)
    columns = [table.columns[i] for i in shown]
    lines = [f"**{_md(table.title)}**", ""] if table.title else []
    lines.append("| " + " | ".join(_md(column.header) for column in columns) + " |")
    lines.append("|" + "|".join("---" if column.align is Align.left else "---:" for column in columns) + "|")
    for row in table.every_row:
        texts = [indented(text, "&emsp;", _md) for text in cell_texts(table, row)]
        if row.role or row.strong:
            texts = [f"**{text}**" if text else "" for text in texts]
        lines.append("| " + " | ".join(texts) + " |")
    lines += [part for note in table.notes for part in ("", _md_paragraph(note))]
    return "\n".join(lines)


def _md(text: str) -> str:
    """Text that Markdown shows as it is, also inside a table."""
    text = re.sub(r"[\\`*|\[\]]", r"\\\g<0>", printable(text))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text)


def _md_paragraph(text: str) -> str:
    """The same at the start of a line, where more signs have a meaning."""
    return re.sub(r"^([#>+-])", r"\\\1", _md(text))


def _md_line(line: Line) -> str:
    text = _md_paragraph(line.text)
    if line.style in ("strong", "warning"):
        text = f"**{text}**"
    return " ".join(part for part in (_md(line.label.strip()), text) if part) + _md(line.after)
