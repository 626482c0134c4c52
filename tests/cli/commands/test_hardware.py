"""`saformer hardware`, and `--hardware` in the commands that take it."""

import csv
import json

import pytest

from saformer.analysis.accounting.hardware import hardware_names

SHOWN = {"45nm-fp32": ("4.6", "0.9"), "45nm-int8": ("0.23", "0.03"), "loihi": ("-", "23.6"), "spinnaker": ("-", "45")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A profile of the shipped SAFormer."""
    from saformer.analysis import profile
    from saformer.checkpoints import load
    from saformer.data import open_dataset

    path = tmp_path_factory.mktemp("profile") / "p.json"
    profile(load("digits/saformer"), open_dataset("digits").batches(10, limit=20)).save(path)
    return path


def test_the_list_has_every_hardware_with_its_picojoules(saformer, monkeypatch):
    for columns in ("100", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        result = saformer("hardware")
        assert result.code == 0
        rows = {line.split()[0]: line.split() for line in result.out.splitlines() if line.strip()}
        assert rows.keys() >= set(hardware_names())
        for name, energies in SHOWN.items():
            assert tuple(rows[name][-2:]) == energies
        assert max(map(len, result.out.splitlines())) <= int(columns)


def test_one_hardware_says_its_source_and_what_it_leaves_out(saformer):
    text = " ".join(saformer("hardware", "truenorth").out.split())
    assert "2.5 pJ" in text and "26 pJ" in text
    assert "Frontiers in Neuroscience 2023, table 3" in text
    assert "leaves out multiply-accumulates" in text


def test_a_file_of_ones_own_is_shown_and_checked(saformer, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("source = 'our bench [7]'\n[energy_pj]\nac = 0.5\n")
    text = saformer("hardware", path).out
    assert "mine" in text and "our bench [7]" in text and "0.5 pJ" in text
    path.write_text("[energy_pj]\nac = 0.5\nmacs = 1\n")
    assert "line 3: unknown key energy_pj.macs" in saformer("hardware", path).complaint
    assert "loihi" in saformer("hardware", "abacus").complaint


def test_energy_on_a_chip_names_the_macs_it_lacks(saformer, saved, tmp_path):
    table = tmp_path / "o.csv"
    figure = tmp_path / "o.png"
    result = saformer("energy", "--from-profile", saved, "--hardware", "loihi", "--layers", "--csv", table)
    text = " ".join(result.out.split())
    assert "MAC -, AC 23.6 pJ" in text
    assert "without 18.4k MACs" in text
    assert "loihi has no multiply-accumulate in its table: the 18,432 MACs per image of patch_embed.proj_conv" in text
    rows = {row["layer"]: row["energy_mj_per_image"] for row in csv.DictReader(table.read_text().splitlines())}
    assert rows.pop("patch_embed.proj_conv") == ""
    assert all(float(energy) >= 0 for energy in rows.values())
    assert saformer("energy", "--from-profile", saved, "--hardware", "loihi", "--plot", figure).code == 0

    found = json.loads(saformer("energy", "--from-profile", saved, "--hardware", "loihi", "--json", "-").out)
    assert found["hardware"] == {"name": "loihi", "mac_pj": None, "ac_pj": 23.6}
    assert found["layers"][0]["energy_mj"] is None
    assert found["totals"]["macs_not_covered"] == 18432
    assert found["totals"]["energy_mj"] == pytest.approx(23.6e-9 * found["totals"]["acs"], rel=1e-12)


def test_all_hardware_in_one_table(saformer, saved, monkeypatch):
    for columns in ("100", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        result = saformer("energy", "--from-profile", saved, "--hardware", "all")
        assert result.code == 0, result.err
        rows = {line.split()[0]: line.split() for line in result.out.splitlines() if line.strip()}
        assert rows.keys() >= set(hardware_names())
        assert rows["loihi"][-1] == "18.4k" and rows["45nm-fp32"][-1] == "-"
        assert rows["loihi"][-3] == rows["45nm-fp32"][-3] == "±"
        assert max(map(len, result.out.splitlines())) <= int(columns)


def test_all_hardware_as_json_agrees_with_one_at_a_time(saformer, saved, tmp_path):
    question = ("energy", "--from-profile", saved)
    found = json.loads(saformer(*question, "--hardware", "all", "--json", "-").out)
    assert found["schema"] == 1
    assert [entry["hardware"]["name"] for entry in found["accounts"]] == hardware_names()
    for entry in found["accounts"]:
        alone = json.loads(saformer(*question, "--hardware", entry["hardware"]["name"], "--json", "-").out)
        assert all(alone[key] == value for key, value in entry.items())
    assert saformer(*question, "--hardware", "all", "--json", tmp_path / "all.json").code == 0
    assert json.loads((tmp_path / "all.json").read_text()) == found


@pytest.mark.parametrize("option", [("--csv", "o.csv"), ("--plot", "o.png"), ("--layers",)])
def test_outputs_for_one_hardware_refuse_all(saformer, saved, tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    complaint = saformer("energy", "--from-profile", saved, "--hardware", "all", *option).complaint
    assert option[0] in complaint and "--hardware all" in complaint
    assert not list(tmp_path.iterdir())


def test_compare_copes_with_a_model_that_has_no_energy_on_the_chip(saformer, saved, oracle, tmp_path):
    vit = tmp_path / "vit.json"
    source = oracle("spikformer_2_64_cifar.input.npz")
    assert saformer("energy", "--model", "vit-2-64", "--input", source, "--save-profile", vit).code == 0
    alone = saformer("energy", "--from-profile", vit, "--hardware", "loihi", "--plot", tmp_path / "e.png")
    assert alone.code == 0, alone.err
    assert "energy - per image" in alone.out
    result = saformer("compare", saved, vit, "--hardware", "loihi", "--plot", tmp_path / "c.png")
    assert result.code == 0, result.err
    assert "vit.json: loihi has no multiply-accumulate" in " ".join(result.out.split())
    assert saformer("energy", "--from-profile", vit, "--hardware", "all").code == 0
