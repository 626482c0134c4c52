import re
import shutil
import subprocess
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Line, Report
from saformer.reports.document.table import Column, Table, number
from saformer.reports.tables.energy import energy_report
from saformer.reports.writers.latex import latex_preamble, latex_text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_as_pasted(reports: dict[str, Report], large_account: Account, tmp_path: Path) -> None:
    hostile = Table(
        r"50 % of $x_1$ & #3 {a}~^\b",
        [Column(r"na|me_[0]"), number("µJ ± ≠ † ≤", key="x")],
        [[r"\input{/etc/passwd}", 1.5], ['[bold] "quoted" <b>', None], ["中文 Ünïcødé \x1b[31m ą Đ", 2]],
        [r"& note_1 % 100 \n", "[1]"],
    )
    long = energy_report(large_account, layers=True)
    body = "\n".join(latex_text(report) for report in (*reports.values(), Report([hostile]), long))
    preamble = "\n".join(latex_preamble(long))
    source = "\\documentclass{article}\n" + preamble + "\n\\begin{document}\n" + body
    (tmp_path / "t.tex").write_text(source + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", done.stdout)]
    assert not [points for points in wide if points > 1], done.stdout[-3000:]


def test_what_is_to_be_known_stands_below_the_numbers_in_the_same_float() -> None:
    table = Table("Energy", [Column("model"), number("energy", "mJ")], [["a", 1.5]], ["a note of the table"])
    text = latex_text(Report([Line("before"), table, Line("a remark", "note", "note: ")]))
    body, _, notes = text.partition(r"\end{tabular}")
    assert "% before" in body and "remark" not in body
    assert notes.index("a note of the table") < notes.index("a remark") < notes.index(r"\end{table}")


def test_a_table_that_fits_has_the_size_of_the_text() -> None:
    table = Table("Energy", [Column("model"), number("energy", "mJ")], [["a", 1.5]])
    assert not re.search(r"\\(small|footnotesize|scriptsize|tiny)", latex_text(Report([table])))
