"""`saformer summary`."""

import json

import pytest


def test_the_network_of_the_package_is_summed_up_on_its_own_data(saformer, few_digits):
    result = saformer("summary", "--limit", 8, "--depth", 1, "--dt", 0.001, "--format", "json")
    found = json.loads(result.out)
    whole, *parts = found["tables"][0]["rows"]
    assert [row["path"] for row in parts] == ["patch_embed", "block.0", "block.1", "head_lif", "head"]
    assert whole["parameters"] == sum(row["parameters"] for row in parts) == 156738
    for key in ("dense_per_image", "effective_acs_per_image", "membrane_updates_per_image", "bytes"):
        assert whole[key] == pytest.approx(sum(row[key] or 0 for row in parts))
    effective = whole["effective_acs_per_image"] + whole["effective_macs_per_image"]
    assert whole["effective_operations_per_second"] == pytest.approx(effective / 4 / 0.001)


def test_operations_are_those_of_the_accounting_neurobench(saformer, few_digits):
    account = json.loads(saformer("energy", "--limit", 8, "--accounting", "neurobench", "--format", "json").out)
    whole = json.loads(saformer("summary", "--limit", 8, "--format", "json").out)["tables"][0]["rows"][0]
    assert whole["effective_acs_per_image"] == pytest.approx(account["totals"]["acs"])
    assert whole["effective_macs_per_image"] == pytest.approx(account["totals"]["macs"])
    assert whole["dense_per_image"] == account["totals"]["flops"]


def test_without_data_there_are_shapes_and_what_modules_hold(saformer):
    lines = saformer("summary", "--model", "sdt-1-32", "--depth", 0, "--format", "csv").out.splitlines()
    rows = {line.split(",")[0]: dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]}
    assert rows["block.0.attn"]["depth"] == "2" and rows["head"]["output_shape"] == "4x1x10"
    assert all(row["effective_acs_per_image"] == "" for row in rows.values())
    folded = saformer("summary", "--model", "sdt-1-32", "--depth", 0, "--fold", "--format", "csv").out
    assert "BatchNorm" in "".join(lines) and "BatchNorm" not in folded


def test_a_model_of_ones_own(saformer, tmp_path, monkeypatch):
    (tmp_path / "sumnet.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "def net():\n    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))\n"
    )
    monkeypatch.chdir(tmp_path)
    result = saformer("summary", "sumnet:net", "--input-shape", "3")
    assert result.code == 0 and "24 parameters" in result.out and "random" in result.out
    assert "--input-shape" in saformer("summary", "sumnet:net").complaint


def test_seconds_need_a_run_and_its_steps(saformer):
    assert "--dt counts operations of a run" in saformer("summary", "--model", "sdt-1-32", "--dt", 1).complaint
    assert "--dt is the seconds" in saformer("summary", "--dt", 0).complaint


def test_a_saved_profile_holds_no_modules(saformer, tmp_path, few_digits):
    saformer("energy", "--limit", 4, "--save-profile", tmp_path / "p.json")
    assert "holds no network to run" in saformer("summary", tmp_path / "p.json").complaint
