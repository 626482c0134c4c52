import re
import shutil
import subprocess
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Line, Report
from saformer.reports.document.table import Column, Table, number
from saformer.reports.document.tex import tex
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


@pytest.mark.parametrize("name", ["energy_blocks", "energy_layers", "comparison", "comparison_several_data"])
def test_wide_tables_have_the_size_of_footnotes_at_least_and_of_the_text_over_two_columns(
    reports: dict[str, Report], name: str
) -> None:
    text = latex_text(reports[name])
    assert not re.search(r"\\(scriptsize|tiny)", text)
    assert [float(points) <= 505 for points in re.findall(r"\\ifdim\\linewidth<(\d+)pt", text)] == [True]


def test_what_all_rows_share_is_a_note_where_the_columns_do_not_fit() -> None:
    names = [Column("model"), Column("from", common=True), *(number(f"number {i}", write=str) for i in range(8))]
    rows = [[f"network {i}", "measured", *(123456 + i for i in range(8))] for i in range(3)]
    text = latex_text(Report([Table("Energy", names, rows)]))
    body, _, notes = text.partition(r"\end{tabular}")
    assert "measured" not in body and "In all rows: from = measured." in notes
    narrow = latex_text(Report([Table("Energy", names[:3], [row[:3] for row in rows])]))
    assert "from &" in narrow and "In all rows" not in narrow


def test_columns_without_room_are_named_and_those_without_a_number_are_not_set() -> None:
    names = [Column("model"), *(number(f"number {i}", rank=i, write=str) for i in range(12)), number("unknown")]
    rows = [[f"network {i}", *(1234567 + i for i in range(12)), None] for i in range(3)]
    text = latex_text(Report([Table("Energy", names, rows)]))
    assert "% no room in 345 pt for: number 11, number 10" in text and "unknown" not in text
    assert r"\footnotesize" in text


def test_symbols_of_equations_are_mathematics_in_notes() -> None:
    assert tex("(M_current - M_ours) / M_current (Eq. 21)") == (
        r"$(M_{\mathrm{current}} - M_{\mathrm{ours}})\,/\,M_{\mathrm{current}}$ (Eq. 21)"
    )
    assert tex("E_MAC 4.6 pJ, T = 4, block_E_AC") == r"$E_{\mathrm{MAC}}$ 4.6 pJ, $T = 4$, block\_E\_AC"


def test_what_is_to_be_known_stands_below_the_numbers_in_the_same_float() -> None:
    table = Table("Energy", [Column("model"), number("energy", "mJ")], [["a", 1.5]], ["a note of the table"])
    text = latex_text(Report([Line("before"), table, Line("a remark", "note", "note: ")]))
    body, _, notes = text.partition(r"\end{tabular}")
    assert "% before" in body and "remark" not in body
    assert notes.index("a note of the table") < notes.index("a remark") < notes.index(r"\end{table}")


def test_a_table_that_fits_has_the_size_of_the_text() -> None:
    table = Table("Energy", [Column("model"), number("energy", "mJ")], [["a", 1.5]])
    assert not re.search(r"\\(small|footnotesize|scriptsize|tiny)", latex_text(Report([table])))
