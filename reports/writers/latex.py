"""LaTeX: what a reader of the terminal sees, in tables with the rules of booktabs."""

import re
import textwrap
from collections.abc import Sequence

from saformer.reports.document.blocks import Facts, Heading, Picture, Report, Verbatim
from saformer.reports.document.table import Align, Column, Table
from saformer.reports.document.tex import tex
from saformer.reports.writers.common import PICTURES, cell_texts, indented, sentence, shown_columns
from saformer.text import printable

# Rows after which a table may break over pages, and characters after which a cell is a paragraph.
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


def latex_text(report: Report, facts: bool = False) -> str:
    """Tables with the rules of booktabs; what was run stands above them as a comment, and the notes below.

    Args:
        report: what to write.
        facts: set them as text, not as comments.
    """
    blocks = [f"% needs: \\usepackage{{{', '.join(_packages(report))}}}"]
    for part in report.parts:
        if isinstance(part, Table):
            blocks.append(_table(part))
        elif isinstance(part, Facts) and facts:
            rows = [rf"\item[{tex(label)}] {_breakable(text)}" for label, text in part.facts]
            blocks.append("\n".join([r"\begin{description}\setlength{\itemsep}{0pt}", *rows, r"\end{description}"]))
        elif isinstance(part, Facts):
            blocks.append("\n".join(f"% {printable(label)}: {printable(text)}" for label, text in part.facts))
        elif isinstance(part, Heading):
            blocks.append(rf"\{'sub' * max(part.level - 2, 0)}section*{{{tex(part.text)}}}")
        elif isinstance(part, Verbatim):
            blocks.append(f"\\begin{{verbatim}}\n{_verbatim(part)}\n\\end{{verbatim}}")
        elif isinstance(part, Picture):
            blocks.append(_picture(part))
        elif part.text:
            text = _breakable(sentence(part))
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
        rf"\title{{{tex(title)}}}",
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


def _picture(picture: Picture) -> str:
    lines = [
        r"\begin{figure}[htbp]",
        r"\centering",
        rf"\includegraphics[width=\linewidth,height=0.85\textheight,keepaspectratio]{{{PICTURES}/{picture.name}.pdf}}",
        rf"\caption{{{tex(picture.caption)}}}",
        r"\end{figure}",
    ]
    return "\n".join(lines)


def _table(table: Table) -> str:
    shown, rows = shown_columns(table), table.every_row
    columns = [table.columns[i] for i in shown]
    texts = [[indented(text, r"\quad ", tex) for text in cell_texts(table, row)] for row in rows]
    longest = [
        max((len(cell_texts(table, row)[i]) for row in rows if row.role != "heading"), default=0)
        for i in range(len(columns))
    ]
    wide = sum(length > _ONE_LINE for length in longest)
    spec = "".join(
        f"p{{{0.55 / wide:.2f}\\linewidth}}" if length > _ONE_LINE else "l" if column.align is Align.left else "r"
        for column, length in zip(columns, longest, strict=True)
    )
    header = " & ".join(tex(column.header) for column in columns) + r" \\"
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
    notes = [rf"\par\smallskip\footnotesize {' '.join(map(tex, table.notes))}"] if table.notes else []
    caption = [rf"\caption{{{tex(table.title)}}}"] if table.title else []
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


def _tex_size(longest: Sequence[int], columns: Sequence[Column]) -> str:
    """The largest size in which a table fits the text, or the smallest."""
    characters = sum(max(length, len(c.header)) for length, c in zip(longest, columns, strict=True))
    fitting = [s for s in _TEX_SIZES if characters * s[1] + 2 * s[2] * len(columns) <= _TEX_WIDTH]
    name, _, gap = fitting[0] if fitting else _TEX_SIZES[-1]
    return rf"{name}\setlength{{\tabcolsep}}{{{gap}pt}}"


def _breakable(text: str) -> str:
    """Text in which the path of a module, else one long word, and a hash may go on in the next line."""
    broken = re.sub(_BREAKS, r"\g<0>\\allowbreak{}", tex(text))
    return re.sub(r"\b[0-9a-f]{40,}\b", lambda found: r"\allowbreak{}".join(re.findall(".{1,8}", found[0])), broken)


def _verbatim(part: Verbatim) -> str:
    """Text for a verbatim environment: ASCII, in lines that fit the page."""
    ascii_only = [line.encode("ascii", "backslashreplace").decode("ascii") for line in part.lines]
    return "\n".join(textwrap.fill(line, 88, subsequent_indent="    ") for line in ascii_only)
