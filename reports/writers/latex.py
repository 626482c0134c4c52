"""LaTeX: what a reader of the terminal sees, in tables with the rules of booktabs."""

import textwrap

from saformer.reports.document.blocks import Facts, Heading, Line, Picture, Report, Verbatim
from saformer.reports.document.table import Table
from saformer.reports.document.tex import tex
from saformer.reports.writers.common import PICTURES, sentence
from saformer.reports.writers.latex_table import ONE_PAGE, breakable, table_text
from saformer.text import printable


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
            blocks.append(table_text(part, below))
        elif isinstance(part, Facts) and facts:
            rows = [rf"\item[{tex(label)}] {breakable(text)}" for label, text in part.facts]
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
            text = breakable(sentence(part))
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
    packages += ["longtable"] if any(len(table.rows) > ONE_PAGE for table in report.tables) else []
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


def _verbatim(part: Verbatim) -> str:
    """Text for a verbatim environment: ASCII, in lines that fit the page."""
    ascii_only = [line.encode("ascii", "backslashreplace").decode("ascii") for line in part.lines]
    return "\n".join(textwrap.fill(line, 88, subsequent_indent="    ") for line in ascii_only)
