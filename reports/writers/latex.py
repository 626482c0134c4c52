"""LaTeX: what a reader of the terminal sees, in tables with the rules of booktabs."""

import re
import textwrap
from collections.abc import Sequence

from saformer.reports.document.blocks import Facts, Heading, Line, Picture, Report, Verbatim
from saformer.reports.document.table import Align, Column, Table
from saformer.reports.document.tex import formula, tex
from saformer.reports.writers.common import PICTURES, cell_texts, indented, sentence, shown_columns
from saformer.reports.writers.siunitx import SETUP, Numbers, numbers_of
from saformer.text import printable

# Rows after which a table may break over pages, and characters after which a cell is a paragraph.
_ONE_PAGE, _ONE_LINE = 40, 36
_BREAKS = r"(?<=\w)(\\_(?=\w)|\.(?=[A-Za-z]))|(?<=[A-Za-z])\.(?=\d)"  # not the point of a number
# Sizes of LaTeX's article class at 10 pt, by how wide their letters are (Computer Modern's small sizes are wider than
# their heights say), and points between two columns. A text is 345 points wide.
_TEX_WIDTH = 345
_LEAST_PARAGRAPH, _MOST_PARAGRAPH = 0.28, 0.55  # shares of the text for cells that are paragraphs
_TEX_SIZES = (
    ("", 1.0, 6),
    (r"\small", 0.93, 5),
    (r"\footnotesize", 0.86, 4),
    (r"\scriptsize", 0.8, 3),
    (r"\tiny", 0.69, 2),
)


def latex_text(report: Report, facts: bool = False) -> str:
    """Tables with the rules of booktabs and numbers aligned by siunitx.

    What was run stands above a table as a comment, and what is to be known of its numbers in small letters below it,
    in the same float.

    Args:
        report: what to write.
        facts: set what was run as text, not as comments.
    """
    blocks = [f"% needs: \\usepackage{{{', '.join(_packages(report))}}}"]
    parts = list(report.parts)
    while parts:
        part = parts.pop(0)
        if isinstance(part, Table):
            below = []
            while parts and isinstance(parts[0], Line):
                line = parts.pop(0)
                below += [sentence(line)] if isinstance(line, Line) and line.text else []
            blocks.append(_table(part, below))
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
        elif part.text and facts:
            text = _breakable(sentence(part))
            blocks.append(f"\\noindent {text}" if not part.label else f"\\noindent\\hangindent=1em {text}")
        elif part.text:
            blocks.append(f"% {sentence(part)}")
    return "\n\n".join(blocks) + "\n"


# Where siunitx is not installed its columns are set to the right: a document of ours compiles all the same.
_WITHOUT_SIUNITX = (
    r"\makeatletter\IfFileExists{siunitx.sty}{\usepackage{siunitx}}{\usepackage{array}\newcolumntype{S}{r}"
    r"\def\NC@rewrite@S[##1]{\NC@find r}\newcommand\sisetup[1]{}}\makeatother"
)


def latex_preamble(report: Report) -> list[str]:
    """The packages of `latex_text`, for a document of its own."""
    return [rf"\usepackage{{{','.join(name for name in _packages(report) if name != 'siunitx')}}}", _WITHOUT_SIUNITX]


def latex_document(report: Report, title: str) -> str:
    """`latex_text` as a document that compiles by itself."""
    preamble = [
        r"\documentclass[10pt]{article}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[margin=2cm]{geometry}",
        *latex_preamble(report),
        rf"\title{{{tex(title)}}}",
        r"\date{}",
        r"\begin{document}",
        r"\maketitle",
    ]
    return "\n".join(preamble) + "\n\n" + latex_text(report, facts=True) + "\n\\end{document}\n"


def _packages(report: Report) -> list[str]:
    packages = ["booktabs", "siunitx"]
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


def _table(table: Table, below: Sequence[str]) -> str:
    shown, rows = shown_columns(table), table.every_row
    columns = [table.columns[i] for i in shown]
    texts = [cell_texts(table, row) for row in rows]
    strong = [bool(row.role) or row.strong for row in rows]
    values = [
        [(cells[i], bold) for row, cells, bold in zip(rows, texts, strong, strict=True) if row.role != "heading"]
        for i in range(len(columns))
    ]
    numbers = [
        numbers_of([text for text, _ in cells]) if column.align is not Align.left else None
        for column, cells in zip(columns, values, strict=True)
    ]
    wide = [max((len(text) for text, _ in cells), default=0) > _ONE_LINE for cells in values]
    widths = [
        0.0
        if paragraph
        else max((_points(found.cell(text) if found else text, bold) for text, bold in cells), default=0.0)
        for cells, found, paragraph in zip(values, numbers, wide, strict=True)
    ]
    titles = [
        column.header + (" (%)" if found and found.percent and not column.unit else "")
        for column, found in zip(columns, numbers, strict=True)
    ]
    heads = [
        [title] if paragraph else _stacked(title, width)
        for title, width, paragraph in zip(titles, widths, wide, strict=True)
    ]
    widths = [
        max([width, *map(_points, lines)])
        for width, lines, paragraph in zip(widths, heads, wide, strict=True)
        if not paragraph
    ]
    size, share = _size(widths, sum(wide), len(columns))
    spec = "".join(
        found.column
        if found is not None
        else f"p{{{share:.2f}\\linewidth}}"
        if paragraph
        else "l"
        if column.align is Align.left
        else "r"
        for column, paragraph, found in zip(columns, wide, numbers, strict=True)
    )
    header = " & ".join(
        _head(lines, column, found is not None) for lines, column, found in zip(heads, columns, numbers, strict=True)
    )
    header += r" \\"
    body: list[str] = []
    for row, cells, bold in zip(rows, texts, strong, strict=True):
        if row.role == "heading":
            words = indented(cells[0], r"\quad ", tex)
            body.append(rf"\multicolumn{{{len(columns)}}}{{l}}{{\textit{{{words}}}}} \\")
        else:
            written = [
                _cell(text, bold, column, found) for text, column, found in zip(cells, columns, numbers, strict=True)
            ]
            body.append(" & ".join(written) + r" \\")
        if row.rule and row is not rows[-1]:
            body.append(r"\midrule")
    setup = [SETUP] if any(numbers) else []
    notes = _notes([*table.notes, *below])
    caption = [rf"\caption{{{tex(table.title)}}}"] if table.title else []
    if len(rows) > _ONE_PAGE:
        head = [r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot"]
        title = [caption[0] + r" \\"] if caption else []
        lines = [
            "{" + size,
            *setup,
            rf"\begin{{longtable}}{{{spec}}}",
            *title,
            *head,
            *body,
            r"\end{longtable}",
            *notes,
            "}",
        ]
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
        lines = [r"\begin{table}[htbp]", r"\centering" + size, *setup, *caption, *inside, *notes, r"\end{table}"]
    return "\n".join(lines)


def _cell(text: str, strong: bool, column: Column, numbers: Numbers | None) -> str:
    if not text:
        return ""
    if numbers is not None:
        return (r"\bfseries " if strong else "") + numbers.cell(text)
    if column.formula:
        return formula(text)  # mathematics has no bold of its own
    made = indented(text, r"\quad ", tex)
    return rf"\textbf{{{made}}}" if strong else made


def _notes(notes: Sequence[str]) -> list[str]:
    """Below the body of a table, each on a line of its own."""
    if not notes:
        return []
    lines = "\\\\\n".join(_breakable(note) for note in notes)
    return [
        r"\par\smallskip\noindent",
        r"\begin{minipage}{\linewidth}\raggedright\footnotesize",
        lines,
        r"\end{minipage}",
    ]


def _size(widths: Sequence[float], paragraphs: int, columns: int) -> tuple[str, float]:
    """The largest size in which a table fits the text, or the smallest; and the share of the text of a paragraph.

    Args:
        widths: points at 10 pt of the columns that are no paragraphs.
        paragraphs: how many columns are.
        columns: all of them.
    """
    least = _LEAST_PARAGRAPH * _TEX_WIDTH if paragraphs else 0.0
    tried = [(name, gap, _TEX_WIDTH - scale * sum(widths) - 2 * gap * columns) for name, scale, gap in _TEX_SIZES]
    name, gap, rest = next((one for one in tried if one[2] >= least), tried[-1])
    share = min(max(rest / _TEX_WIDTH, 0.15), _MOST_PARAGRAPH) / max(paragraphs, 1)
    return rf"{name}\setlength{{\tabcolsep}}{{{gap}pt}}" if name else "", share


def _points(text: str, bold: bool = False) -> float:
    """How wide Computer Modern sets a text at 10 pt, a little generously."""
    letters = sum(
        3.0
        if c in "ijltfr.,:;|()[]' "
        else 5.1
        if c.isdigit()
        else 8.2
        if c in "mwMW%+±"
        else 7.4
        if c.isupper()
        else 5.2
        for c in text
    )
    return letters * (1.15 if bold else 1.0)


def _stacked(title: str, width: float) -> list[str]:
    """A header in as many lines as make it no wider than its column, or than its longest word."""
    words = title.split()
    most = max([width, *map(_points, words)])
    lines: list[str] = []
    for word in words:
        if lines and _points(f"{lines[-1]} {word}") <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _head(lines: Sequence[str], column: Column, number: bool) -> str:
    """A header, in a tabular of its own where it has several lines, and in braces where numbers stand below it."""
    text = tex(lines[0]) if len(lines) == 1 else ""
    if not text:
        place = "l" if column.align is Align.left else "c" if number else "r"
        text = rf"\begin{{tabular}}[b]{{@{{}}{place}@{{}}}}" + r"\\".join(map(tex, lines)) + r"\end{tabular}"
    return f"{{{text}}}" if number else text


def _breakable(text: str) -> str:
    """Text in which the path of a module, else one long word, and a hash may go on in the next line."""
    broken = re.sub(_BREAKS, r"\g<0>\\allowbreak{}", tex(text))
    return re.sub(r"\b[0-9a-f]{40,}\b", lambda found: r"\allowbreak{}".join(re.findall(".{1,8}", found[0])), broken)


def _verbatim(part: Verbatim) -> str:
    """Text for a verbatim environment: ASCII, in lines that fit the page."""
    ascii_only = [line.encode("ascii", "backslashreplace").decode("ascii") for line in part.lines]
    return "\n".join(textwrap.fill(line, 88, subsequent_indent="    ") for line in ascii_only)
