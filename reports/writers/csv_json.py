"""Reports as text, one writer for each format; `drawing.py` is the one for terminals.

CSV and JSON hold plain numbers in full, with units in the names, and no sums: whoever adds up a column should not
count twice. Markdown and LaTeX hold what a reader of the terminal sees.
"""

import csv
import json
import math
import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from saformer.reports.document.blocks import Facts, Format, Heading, Line, Picture, Report, Verbatim
from saformer.reports.document.table import Align, Cell, Column, Row, Table
from saformer.text import printable

SCHEMA = 1
#: Where a page in Markdown or LaTeX looks for its figures, from its own folder.
PICTURES = "figures"
# Beyond this a float does not tell neighbouring whole numbers apart: writing it out would invent digits.
_LARGEST_EXACT = 2**53
# In LaTeX: rows after which a table may break over pages, and characters after which a cell is a paragraph.
_ONE_PAGE, _ONE_LINE = 40, 36
_BREAKS = r"(?<=\w)(\\_(?=\w)|\.(?=[A-Za-z]))|(?<=[A-Za-z])\.(?=\d)"  # not the point of a number
# Sizes of LaTeX's article class at 10 pt: points that a character takes, and between two columns. A text is 345 wide.
_TEX_WIDTH = 345
_TEX_SIZES = (
    (r"\small", 5.3, 6),
    (r"\footnotesize", 4.9, 4),
    (r"\scriptsize", 4.3, 3),
    (r"\tiny", 3.5, 2),
)


def report_text(report: Report, format: Format) -> str:
    """The report in one of the text formats.

    Raises:
        KeyError: the format is not one of text (`Format.rich` is for terminals).
    """
    if not report.tables and format is not Format.json:
        # Facts are the answer then, not what stands above it.
        parts = [_tabulated(part) if isinstance(part, Facts) else part for part in report.parts]
        report = Report(parts, report.data)
    return _WRITERS[format](report)


def _tabulated(facts: Facts) -> Table:
    return Table("", [Column("property"), Column("value")], list(facts.facts))


def json_text(data: Mapping[str, Any]) -> str:
    """An object as JSON. Counts that are whole read as integers; NaN and infinity as null."""
    # ASCII only (the default of `json`): the text survives any terminal and any file name in it.
    return json.dumps(_plain(data), indent=2, allow_nan=False) + "\n"


def report_data(report: Report) -> Mapping[str, Any]:
    """The report's own object, or its tables as lists of records, with facts and notes."""
    if report.data is not None:
        return report.data
    return {
        "schema": SCHEMA,
        "facts": {label: text for part in report.parts if isinstance(part, Facts) for label, text in part.facts},
        "tables": [
            {
                "title": table.title,
                "rows": [dict(zip(_names(table), values, strict=True)) for values in _values(table)],
                "notes": list(table.notes),
            }
            for table in report.tables
        ],
        "notes": [_sentence(part) for part in report.parts if isinstance(part, Line) and part.text],
    }


def csv_text(report: Report) -> str:
    """The tables, an empty line between two; an unknown number is an empty field."""
    output = StringIO()
    writer = csv.writer(output, lineterminator="\n")
    for i, table in enumerate(report.tables):
        if i:
            output.write("\n")
        writer.writerow(_names(table))
        writer.writerows([printable(v) if isinstance(v, str) else v for v in values] for values in _values(table))
    return output.getvalue()


def notes_of(report: Report) -> list[str]:
    """What a reader of the numbers should know, where the format has no place for it."""
    return [_sentence(part) for part in report.parts if isinstance(part, Line) and part.style in ("note", "warning")]


def markdown_text(report: Report) -> str:
    """Tables of GitHub's Markdown, everything else as paragraphs and lists."""
    blocks: list[str] = []
    in_list = False
    for part in report.parts:
        if isinstance(part, Table):
            blocks.append(_markdown_table(part))
        elif isinstance(part, Facts):
            blocks.append("\n".join(f"- {_md(label)}: {_md(text)}" for label, text in part.facts))
        elif isinstance(part, Heading):
            blocks.append(f"{'#' * part.level} {_md(part.text)}")
        elif isinstance(part, Verbatim):
            blocks.append("\n".join(["```", *part.lines, "```"]))
        elif isinstance(part, Picture):
            blocks.append(f"![{_md(part.alt)}]({PICTURES}/{part.name}.png)\n\n*{_md(part.caption)}*")
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


def latex_text(report: Report, facts: bool = False) -> str:
    """Tables with the rules of booktabs; what was run stands above them as a comment, and the notes below.

    Args:
        report: what to write.
        facts: set them as text, not as comments.
    """
    blocks = [f"% needs: \\usepackage{{{', '.join(_packages(report))}}}"]
    for part in report.parts:
        if isinstance(part, Table):
            blocks.append(_latex_table(part))
        elif isinstance(part, Facts) and facts:
            rows = [rf"\item[{_tex(label)}] {_breakable(text)}" for label, text in part.facts]
            blocks.append("\n".join([r"\begin{description}\setlength{\itemsep}{0pt}", *rows, r"\end{description}"]))
        elif isinstance(part, Facts):
            blocks.append("\n".join(f"% {printable(label)}: {printable(text)}" for label, text in part.facts))
        elif isinstance(part, Heading):
            blocks.append(rf"\{'sub' * max(part.level - 2, 0)}section*{{{_tex(part.text)}}}")
        elif isinstance(part, Verbatim):
            blocks.append(f"\\begin{{verbatim}}\n{_verbatim(part)}\n\\end{{verbatim}}")
        elif isinstance(part, Picture):
            blocks.append(_latex_picture(part))
        elif part.text:
            text = _breakable(_sentence(part))
            blocks.append(f"\\noindent {text}" if not part.label else f"\\noindent\\hangindent=1em {text}")
    return "\n\n".join(blocks) + "\n"


def latex_document(report: Report, title: str) -> str:
    """`latex_text` as a document that compiles by itself."""
    preamble = [
        r"\documentclass[10pt]{article}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[margin=2cm]{geometry}",
        rf"\usepackage{{{','.join(_packages(report))}}}",
        rf"\title{{{_tex(title)}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]
    return "\n".join(preamble) + "\n\n" + latex_text(report, facts=True) + "\n\\end{document}\n"


def _packages(report: Report) -> list[str]:
    packages = ["booktabs"]
    packages += ["longtable"] if any(len(table.rows) > _ONE_PAGE for table in report.tables) else []
    packages += ["graphicx"] if report.pictures else []
    return packages


_WRITERS: dict[Format, Callable[[Report], str]] = {
    Format.markdown: markdown_text,
    Format.latex: latex_text,
    Format.csv: csv_text,
    Format.json: lambda report: json_text(report_data(report)),
}


# --- values, for programs --------------------------------------------------------------------------------


def _names(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.data]


def _values(table: Table) -> Iterable[list[Any]]:
    kept = [i for i, column in enumerate(table.columns) if column.data]
    for row in table.every_row:
        if not row.role:
            values = [row.cells[i].value if isinstance(row.cells[i], Cell) else row.cells[i] for i in kept]
            yield [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        if value.is_integer() and abs(value) <= _LARGEST_EXACT:
            return int(value)
    return value


def _sentence(line: Line) -> str:
    label = line.label.strip()
    return printable(" ".join(part for part in ("" if label == "note:" else label, line.text) if part) + line.after)


# --- texts, for readers ----------------------------------------------------------------------------------


def _shown(table: Table) -> list[int]:
    return [i for i, column in enumerate(table.columns) if column.shown and not column.bar]


def _texts(table: Table, row: Row) -> list[str]:
    """What the cells of a row say; a cell that continues on a further line is put on one."""
    cells = [table.cell(i, row.cells[i]) if i < len(row.cells) else Cell(None, "") for i in _shown(table)]
    return [printable(cell.text.rstrip() + cell.after) for cell in cells]


def _indented(text: str, blank: str, escape: Callable[[str], str]) -> str:
    inner = text.lstrip(" ")
    return (blank if len(inner) < len(text) else "") + escape(inner)


def _markdown_table(table: Table) -> str:
    shown = _shown(table)
    columns = [table.columns[i] for i in shown]
    lines = [f"**{_md(table.title)}**", ""] if table.title else []
    lines.append("| " + " | ".join(_md(column.header) for column in columns) + " |")
    lines.append("|" + "|".join("---" if column.align is Align.left else "---:" for column in columns) + "|")
    for row in table.every_row:
        texts = [_indented(text, "&emsp;", _md) for text in _texts(table, row)]
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


_TEX = {
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


def _tex(text: str) -> str:
    """Text that LaTeX sets as it is; a letter that its fonts lack is named by its number."""
    made = "".join(_TEX.get(c) or (c if c.isascii() or _accented(c) else f"[U+{ord(c):04X}]") for c in printable(text))
    # A minus before a digit is a sign, and a bracket at the start of a row would be read as an option of \\.
    made = re.sub(r"^([+-])(?=\d)", r"$\1$", made)
    return re.sub(r"^\[", "{[}", made)


def _tex_size(longest: Sequence[int], columns: Sequence[Column]) -> str:
    """The largest size in which a table fits the text, or the smallest."""
    characters = sum(max(length, len(c.header)) for length, c in zip(longest, columns, strict=True))
    fitting = [s for s in _TEX_SIZES if characters * s[1] + 2 * s[2] * len(columns) <= _TEX_WIDTH]
    name, _, gap = fitting[0] if fitting else _TEX_SIZES[-1]
    return rf"{name}\setlength{{\tabcolsep}}{{{gap}pt}}"


def _accented(c: str) -> bool:
    """A letter that every installation of LaTeX can set: ASCII with an accent, and a few more."""
    return c in "ßøØæÆ" or (ord(c) < 0x100 and unicodedata.normalize("NFD", c)[0].isascii())


def _breakable(text: str) -> str:
    """Text in which the path of a module, else one long word, and a hash may go on in the next line."""
    broken = re.sub(_BREAKS, r"\g<0>\\allowbreak{}", _tex(text))
    return re.sub(r"\b[0-9a-f]{40,}\b", lambda found: r"\allowbreak{}".join(re.findall(".{1,8}", found[0])), broken)


def _verbatim(part: Verbatim) -> str:
    """Text for a verbatim environment: ASCII, in lines that fit the page."""
    ascii_only = [line.encode("ascii", "backslashreplace").decode("ascii") for line in part.lines]
    return "\n".join(textwrap.fill(line, 88, subsequent_indent="    ") for line in ascii_only)


def _latex_picture(picture: Picture) -> str:
    lines = [
        r"\begin{figure}[htbp]",
        r"\centering",
        rf"\includegraphics[width=\linewidth,height=0.85\textheight,keepaspectratio]{{{PICTURES}/{picture.name}.pdf}}",
        rf"\caption{{{_tex(picture.caption)}}}",
        r"\end{figure}",
    ]
    return "\n".join(lines)


def _latex_table(table: Table) -> str:
    shown, rows = _shown(table), table.every_row
    columns = [table.columns[i] for i in shown]
    texts = [[_indented(text, r"\quad ", _tex) for text in _texts(table, row)] for row in rows]
    longest = [
        max((len(_texts(table, row)[i]) for row in rows if row.role != "heading"), default=0)
        for i in range(len(columns))
    ]
    wide = sum(length > _ONE_LINE for length in longest)
    spec = "".join(
        f"p{{{0.55 / wide:.2f}\\linewidth}}" if length > _ONE_LINE else "l" if column.align is Align.left else "r"
        for column, length in zip(columns, longest, strict=True)
    )
    header = " & ".join(_tex(column.header) for column in columns) + r" \\"
    body: list[str] = []
    for row, cells in zip(rows, texts, strict=True):
        if row.role == "heading":
            body.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{cells[0]}}}}} \\")
        else:
            bold = row.role or row.strong
            body.append(" & ".join(rf"\textbf{{{cell}}}" if bold and cell else cell for cell in cells) + r" \\")
        if row.rule and row is not rows[-1]:
            body.append(r"\midrule")
    size = _tex_size([min(length, _ONE_LINE) for length in longest], columns)
    notes = [rf"\par\smallskip\footnotesize {' '.join(map(_tex, table.notes))}"] if table.notes else []
    caption = [rf"\caption{{{_tex(table.title)}}}"] if table.title else []
    if len(rows) > _ONE_PAGE:
        head = [r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        title = [caption[0] + r" \\"] if caption else []
        lines = ["{" + size, rf"\begin{{longtable}}{{{spec}}}", *title, *head, *body, r"\end{longtable}", *notes, "}"]
    else:
        inside = [
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            header,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
        ]
        lines = [r"\begin{table}[htbp]", r"\centering" + size, *caption, *inside, *notes, r"\end{table}"]
    return "\n".join(lines)
