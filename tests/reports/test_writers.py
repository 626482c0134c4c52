import csv
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from saformer.analysis.account import Account
from saformer.errors import InputError
from saformer.reports.writers import csv_text, json_text, write_csv, write_json


def test_json_is_the_documented_object(account: Account) -> None:
    assert json.loads(json_text(account)) == account.to_json()
    assert list(json.loads(json_text(account))) == list(account.to_json())


def test_whole_numbers_read_as_counts(account: Account) -> None:
    layer = replace(account.layers[0], flops=5308416.0, input_nonzero=0.1 + 0.2, sops=2.0**70)
    text = json_text(replace(account, layers=(layer,)))
    assert '"flops": 5308416,' in text
    assert '"input_nonzero": 0.30000000000000004,' in text
    assert '"sops": 1.1805916207174113e+21,' in text
    assert '"binary": false,' in text


def test_json_stays_json_without_a_rate(account: Account) -> None:
    layer = replace(account.layers[0], firing_rate=float("nan"))
    assert json.loads(json_text(replace(account, layers=(layer,))))["layers"][0]["firing_rate"] is None


def test_json_survives_a_file_name_that_is_not_text(account: Account) -> None:
    model = replace(account.model, checkpoint="model\udcff.pth")
    text = json_text(replace(account, model=model))
    assert text.isascii()
    assert json.loads(text)["model"]["checkpoint"] == "model\udcff.pth"


def test_csv_has_one_row_for_each_operation_and_units_in_the_names(account: Account) -> None:
    rows = list(csv.DictReader(StringIO(csv_text(account))))
    assert [row["layer"] for row in rows] == [layer.name for layer in account.layers]
    assert [float(row["energy_mj_per_image"]) for row in rows] == [layer.energy_mj for layer in account.layers]
    assert rows[0]["flops_per_image"] == "5308416"
    assert rows[0]["input_is_binary"] == "False"
    assert rows[3]["block"] == "block.0"
    assert {(row["accounting"], row["hardware"]) for row in rows} == {("paper", "45nm-fp32")}


def test_files_hold_the_text(account: Account, tmp_path: Path) -> None:
    write_json(account, tmp_path / "account.json")
    write_csv(account, tmp_path / "account.csv")
    assert (tmp_path / "account.json").read_text(encoding="utf-8") == json_text(account)
    assert (tmp_path / "account.csv").read_bytes().decode() == csv_text(account)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["account.csv", "account.json"]


def test_folder_that_does_not_exist_is_the_users_input(account: Account, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        write_json(account, tmp_path / "missing" / "account.json")
