"""Every table in every format: golden texts from a small fixed account, and what each format promises."""

import csv
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Facts, Format, Line, Report
from saformer.reports.document.table import Align, Cell, Column, Row, Table, number
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.tables.comparison import comparison_table
from saformer.reports.tables.energy import energy_report, energy_table
from saformer.reports.tables.neurons import neuron_table
from saformer.reports.writers.csv_json import csv_text, json_text, notes_of, report_data
from saformer.reports.writers.latex import latex_text
from saformer.reports.writers.markdown import markdown_text
from saformer.reports.writers.terminal import Renderable
from saformer.reports.writers.text import report_text

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SUFFIX = {Format.markdown: "md", Format.latex: "tex", Format.csv: "csv", Format.json: "json"}


@pytest.fixture
def reports(account: Account, comparison_rows: list[ComparisonRow]) -> dict[str, Report]:
    """The layouts there are: subtotals and marks, a plain table with an error bar, groups, a series of columns."""
    several = [*comparison_rows, replace(comparison_rows[0], data="cifar100, test", reference=True)]
    return {
        "energy_blocks": energy_report(account),
        "energy_layers": energy_report(account, layers=True),
        "comparison": Report([comparison_table(comparison_rows)]),
        "comparison_several_data": Report([comparison_table(several)]),
        "neurons": Report([neuron_table(account)]),
    }


@pytest.mark.parametrize("format", SUFFIX)
@pytest.mark.parametrize("name", ["energy_blocks", "energy_layers", "comparison", "comparison_several_data", "neurons"])
def test_the_text_is_the_one_that_was_looked_at(reports: dict[str, Report], name: str, format: Format) -> None:
    path = GOLDEN / f"{name}.{SUFFIX[format]}"
    text = report_text(reports[name], format)
    if os.environ.get("SAFORMER_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8"), f"differs from {path.name}"
    assert not [line for line in text.splitlines() if line != line.rstrip()]


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
    source = "\\documentclass{article}\n\\usepackage{booktabs, longtable}\n\\begin{document}\n" + body
    (tmp_path / "t.tex").write_text(source + "\n\\end{document}\n", encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-3000:]
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", done.stdout)]
    assert not [points for points in wide if points > 1], done.stdout[-3000:]


def test_markdown_shows_what_a_name_says(account: Account) -> None:
    table = Table("a|b", [Column("x|y")], [["c|d"], ["*e* `f` [g](h) _i_ j_k \\ <b>&amp;"], ["two\nlines"]])
    text = markdown_text(Report([table]))
    assert r"| c\|d |" in text and r"| x\|y |" in text and r"**a\|b**" in text
    assert r"\*e\* \`f\` \[g\](h) \_i\_ j_k \\ \<b>&amp;amp;" in text
    unescaped = [re.sub(r"\\.", "", line).count("|") for line in text.splitlines() if line.startswith("|")]
    assert unescaped == [2] * 5


def test_json_is_the_documented_object(account: Account) -> None:
    assert json.loads(report_text(energy_report(account), Format.json)) == account.to_json()
    assert list(json.loads(report_text(energy_report(account), Format.json))) == list(account.to_json())


def test_json_of_other_tables_is_a_list_of_records_with_title_and_notes() -> None:
    table = Table(
        "Speed",
        [Column("model"), number("time", "ms"), number("share", data=False), Column("unknown")],
        [["a", 0.1 + 0.2, 0.5, float("nan")], Row(["sum", 1, 1, None], "total")],
        ["a caption"],
    )
    report = Report([Facts([("data", "digits")]), table, Line("true"), Line("a remark", "note", label="note: ")])
    assert json.loads(json_text(report_data(report))) == {
        "schema": 1,
        "facts": {"data": "digits"},
        "tables": [
            {
                "title": "Speed",
                "rows": [{"model": "a", "time_ms": 0.30000000000000004, "unknown": None}],
                "notes": ["a caption"],
            }
        ],
        "notes": ["true", "a remark"],
    }
    assert notes_of(report) == ["a remark"]


def test_whole_numbers_read_as_counts(account: Account) -> None:
    layer = replace(account.layers[0], flops=5308416.0, input_nonzero=0.1 + 0.2, sops=2.0**70)
    text = json_text(replace(account, layers=(layer,)).to_json())
    assert '"flops": 5308416,' in text
    assert '"input_nonzero": 0.30000000000000004,' in text
    assert '"sops": 1.1805916207174113e+21,' in text
    assert '"binary": false,' in text


def test_json_stays_json_without_a_rate(account: Account) -> None:
    layer = replace(account.layers[0], firing_rate=float("nan"))
    assert json.loads(json_text(replace(account, layers=(layer,)).to_json()))["layers"][0]["firing_rate"] is None


def test_json_survives_a_file_name_that_is_not_text(account: Account) -> None:
    model = replace(account.model, checkpoint="model\udcff.pth")
    text = json_text(replace(account, model=model).to_json())
    assert text.isascii()
    assert json.loads(text)["model"]["checkpoint"] == "model\udcff.pth"


def test_csv_has_one_row_for_each_operation_and_units_in_the_names(account: Account) -> None:
    rows = list(csv.DictReader(StringIO(csv_text(Report([energy_table(account, layers=True)])))))
    assert [row["layer"] for row in rows] == [layer.name for layer in account.layers]
    assert [float(row["energy_mj_per_image"]) for row in rows] == [layer.energy_mj for layer in account.layers]
    assert list(rows[0]) == [
        *("layer", "block", "op", "flops_per_image", "input_elements_per_image", "input_nonzero_per_image"),
        *("firing_rate", "firing_rate_ci95", "input_is_binary", "sops_per_image", "sops_exact_per_image"),
        *("macs_per_image", "acs_per_image", "energy_mj_per_image", "accounting", "hardware"),
    ]
    assert rows[0]["flops_per_image"] == "5308416"
    assert rows[0]["input_is_binary"] == "False"
    assert rows[3]["block"] == "block.0"
    assert {(row["accounting"], row["hardware"]) for row in rows} == {("paper", "45nm-fp32")}


def test_csv_adds_up_to_the_total_by_block_and_by_operation(account: Account) -> None:
    for layers in (False, True):
        rows = csv.DictReader(StringIO(csv_text(Report([energy_table(account, layers)]))))
        assert sum(float(row["energy_mj_per_image"]) for row in rows) == pytest.approx(account.energy_mj, rel=1e-12)


def test_tables_of_one_report_are_told_apart_in_csv(account: Account) -> None:
    first, second = csv_text(Report([energy_table(account), Line("x"), neuron_table(account)])).split("\n\n")
    assert first.startswith("block,") and second.startswith("layer,neurons,")


@pytest.mark.parametrize("format", Format)
def test_what_could_steer_a_terminal_is_written_out(
    account: Account, render: Callable[[Report, int], str], format: Format
) -> None:
    layer = replace(account.layers[-1], name="head\x1b]0;owned\x07\u202e\r")
    report = energy_report(replace(account, layers=(layer,), notes=("\x1b[2J",), uncounted=("\x9b1m",)), layers=True)
    text = render(report, 100) if format is Format.rich else report_text(report, format)
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "owned" in text


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_number_is_cut_at_any_width(
    reports: dict[str, Report], render: Callable[[Report, int], str], width: int
) -> None:
    for report in reports.values():
        text = render(report, width)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
    found = re.sub(r"\s+", "", render(reports["energy_blocks"], width))
    for number_shown in ("94.13", "58.30", "11.42", "163.85"):
        assert number_shown in found


def test_what_has_no_room_is_named(reports: dict[str, Report], render: Callable[[Report, int], str]) -> None:
    text = render(reports["neurons"], 66)
    assert "no room here for: neurons, spikes" in text
    assert "no room" not in render(reports["neurons"], 100)


def test_an_output_without_the_characters_gets_others(reports: dict[str, Report]) -> None:
    from rich.console import Console

    raw = type("Ascii", (StringIO,), {"encoding": "ascii"})()
    console = Console(file=raw, width=100, color_system=None, legacy_windows=False)
    console.print(Renderable(reports["energy_blocks"]))
    console.print(Renderable(reports["comparison"]))
    text = raw.getvalue()
    assert text.isascii() and "?" not in text
    assert "16.1%*" in text and "* not binary" in text and "0.1638 +/- 0.0005 mJ" in text and " uJ" in text
    assert "0.4900 +/- 0.0014" in text


def test_a_row_of_another_length_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="2 cells in a table of 1"):
        markdown_text(Report([Table("", [Column("a")], [[1, 2]])]))


def test_cells_show_their_text_and_keep_their_value() -> None:
    table = Table("", [Column("x", "mJ", align=Align.decimal)], [[Cell(0.123456, "0.12", " ± 0.01")]])
    assert "0.12 ± 0.01" in markdown_text(Report([table]))
    assert csv_text(Report([table])) == "x_mj\n0.123456\n"
