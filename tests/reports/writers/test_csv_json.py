import csv
import json
from dataclasses import replace
from io import StringIO

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Facts, Format, Line, Report
from saformer.reports.document.table import Column, Row, Table, number
from saformer.reports.tables.energy import energy_report, energy_table
from saformer.reports.tables.neurons import neuron_table
from saformer.reports.writers.csv_json import csv_text, json_text, notes_of, report_data
from saformer.reports.writers.text import report_text


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
        *("layer", "block", "op", "class", "unit", "levels"),
        *("flops_per_image", "input_elements_per_image", "input_nonzero_per_image"),
        *("firing_rate", "firing_rate_ci95", "input_is_binary", "sops_per_image", "sops_exact_per_image"),
        *("macs_per_image", "acs_per_image", "energy_mj_per_image", "accounting", "hardware"),
    ]
    assert rows[0]["flops_per_image"] == "5308416"
    assert (rows[0]["input_is_binary"], rows[0]["class"], rows[0]["unit"]) == ("False", "real", "")
    assert (rows[1]["class"], rows[1]["unit"], rows[1]["levels"]) == ("spikes", "1", "1")
    assert rows[3]["block"] == "block.0"
    assert {(row["accounting"], row["hardware"]) for row in rows} == {("paper", "45nm-fp32")}


def test_csv_adds_up_to_the_total_by_block_and_by_operation(account: Account) -> None:
    for layers in (False, True):
        rows = csv.DictReader(StringIO(csv_text(Report([energy_table(account, layers)]))))
        assert sum(float(row["energy_mj_per_image"]) for row in rows) == pytest.approx(account.energy_mj, rel=1e-12)


def test_tables_of_one_report_are_told_apart_in_csv(account: Account) -> None:
    first, second = csv_text(Report([energy_table(account), Line("x"), neuron_table(account)])).split("\n\n")
    assert first.startswith("block,") and second.startswith("layer,neurons,")


def test_csv_holds_no_formula_and_numbers_stay_numbers() -> None:
    cells = [
        "=1+2",
        "+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "-1.5e-3",
        "+7",
        "-",
        "name",
        "a\nb",
        -0.5,
        3,
    ]
    table = Table("", [Column("=evil()"), *(Column(f"c{i}") for i in range(1, len(cells)))], [cells])
    header, row = csv.reader(StringIO(csv_text(Report([table]))))
    assert header[0] == "evil"
    assert row == [
        *("'=1+2", "'+cmd|' /C calc'!A0", "'-2+3", "'@SUM(A1)", "\\t=1", "\\r=1"),
        *("-1.5e-3", "+7", "-", "name", "a\\nb", "-0.5", "3"),
    ]
