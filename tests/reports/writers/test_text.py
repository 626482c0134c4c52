"""Every table in every format: golden texts from a small fixed account, and what all formats promise."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Format, Report
from saformer.reports.document.table import Align, Cell, Column, Table
from saformer.reports.tables.energy import energy_report
from saformer.reports.writers.csv_json import csv_text
from saformer.reports.writers.markdown import markdown_text
from saformer.reports.writers.text import report_text

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SUFFIX = {Format.markdown: "md", Format.latex: "tex", Format.csv: "csv", Format.json: "json"}


@pytest.mark.parametrize("format", SUFFIX)
@pytest.mark.parametrize("name", ["energy_blocks", "energy_layers", "comparison", "comparison_several_data", "neurons"])
def test_the_text_is_the_one_that_was_looked_at(reports: dict[str, Report], name: str, format: Format) -> None:
    path = GOLDEN / f"{name}.{SUFFIX[format]}"
    text = report_text(reports[name], format)
    if os.environ.get("SAFORMER_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8", newline="\n")
    assert text == path.read_text(encoding="utf-8"), f"differs from {path.name}"
    assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize("format", Format)
def test_what_could_steer_a_terminal_is_written_out(
    account: Account, render: Callable[[Report, int], str], format: Format
) -> None:
    layer = replace(account.layers[-1], name="head\x1b]0;owned\x07\u202e\r")
    report = energy_report(replace(account, layers=(layer,), notes=("\x1b[2J",), uncounted=("\x9b1m",)), layers=True)
    text = render(report, 100) if format is Format.rich else report_text(report, format)
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "owned" in text


def test_a_row_of_another_length_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="2 cells in a table of 1"):
        markdown_text(Report([Table("", [Column("a")], [[1, 2]])]))


def test_cells_show_their_text_and_keep_their_value() -> None:
    table = Table("", [Column("x", "mJ", align=Align.decimal)], [[Cell(0.123456, "0.12", " ± 0.01")]])
    assert "0.12 ± 0.01" in markdown_text(Report([table]))
    assert csv_text(Report([table])) == "x_mj\n0.123456\n"
