"""Firing rates instead of data, and `saformer sensitivity`."""

import json
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published" / "spikingformer_8_512_imagenet.csv"
SMALL = ("--model", "spikingformer-1-32")


@pytest.fixture
def rates(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("layer,input_firing_rate\n*,0.2\nhead,1\nblock.0.attn.q,0.1\n")
    return path


def test_energy_from_a_file_of_rates(saformer, rates):
    result = saformer("energy", *SMALL, "--rates", rates)
    assert result.code == 0, result.err
    assert "rates: r.csv" in result.out and "nothing was run" in result.out and "untrained" not in result.out
    found = json.loads(saformer("energy", *SMALL, "--rates", rates, "--json", "-").out)
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["block.0.attn.qk"]["firing_rate"] == pytest.approx(0.1, abs=1e-6)
    assert layers["block.0.mlp.mlp1_conv"]["firing_rate"] == pytest.approx(0.2, abs=1e-6)
    assert found["totals"]["energy_mj_ci95"] is None and found["accuracy"] is None


def test_names_of_the_published_file_are_understood_and_one_rate_fills_its_gaps(saformer):
    # At 32 pixels the layers are the same, and fewer.
    options = ("--model", "spikingformer-8-512", "--image-size", "32", "--rates", PUBLISHED)
    missing = saformer("energy", *options).complaint
    assert "block.0.attn.k" in missing and "uniform" in missing
    found = json.loads(saformer("energy", *options, "--uniform-rate", "0.05", "--json", "-").out)
    layers = {layer["name"]: layer["firing_rate"] for layer in found["layers"]}
    assert layers["patch_embed.proj1_conv"] == pytest.approx(0.258312565, abs=1e-9)
    assert layers["patch_embed.proj4_conv"] == pytest.approx(0.129557331, abs=1e-9)
    assert layers["block.7.mlp.mlp2_conv"] == pytest.approx(0.0137684836, abs=1e-9)
    assert layers["block.7.attn.kv"] == pytest.approx(0.05, abs=1e-9)
    assert found["data"]["name"] == f"rates: {PUBLISHED.name}, uniform rate 0.05"


def test_a_uniform_rate_alone(saformer):
    result = saformer("energy", "--model", "saformer-1-16", "--uniform-rate", "0.2", "--neurons")
    assert result.code == 0, result.err
    assert "20.0%" in result.out and "attn.mix_lif" in result.out


def test_a_profile_from_rates_is_kept_and_compared(saformer, rates, tmp_path):
    saved = tmp_path / "p.json"
    live = saformer("energy", *SMALL, "--rates", rates, "--save-profile", saved, "--json", "-")
    assert saformer("energy", "--from-profile", saved, "--json", "-").out == live.out
    assert saformer("compare", saved, saved).code == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--uniform-rate", "0.2"), "--model"),
        (("--ckpt", "digits/saformer", "--uniform-rate", "0.2"), "--ckpt"),
        ((*SMALL, "--uniform-rate", "0.2", "--weights", "model"), "--weights"),
        ((*SMALL, "--uniform-rate", "0.2", "--dataset", "digits"), "--dataset"),
        ((*SMALL, "--uniform-rate", "0.2", "--limit", "3"), "--limit"),
        ((*SMALL, "--uniform-rate", "1.2"), "0 to 1"),
        ((*SMALL, "--uniform-rate", "nan"), "0 to 1"),
        (("--model", "vit-1-16", "--uniform-rate", "0.2"), "no spiking neurons"),
        (("--from-profile", "p.json", "--uniform-rate", "0.2"), "--from-profile"),
        ((*SMALL, "--rates", "missing.csv"), "missing.csv"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(saformer, options, named):
    for command in ("energy", "sensitivity"):
        assert named in saformer(command, *options).complaint


def test_wrong_rows_are_named(saformer, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("layer,input_firing_rate\n*,0.2\nblock.9.x,0.1\n")
    assert "block.9.x" in saformer("energy", *SMALL, "--rates", path).complaint
    path.write_text("layer,input_firing_rate\n*,2\n")
    assert "line 2" in saformer("energy", *SMALL, "--rates", path).complaint


# --- sensitivity ---


def test_sensitivity_lists_operations_by_what_they_move(saformer, rates):
    result = saformer("sensitivity", *SMALL, "--rates", rates, "--top", "5")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 100
    rows = [line.split() for line in result.out.splitlines() if line.startswith(("block.", "patch_embed."))]
    assert len(rows) == 5
    changes = [float(row[4]) for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert "--top 0" in result.out and "mJ per image" in result.out
    everything = saformer("sensitivity", *SMALL, "--rates", rates, "--top", "0").out
    assert "patch_embed.block0_conv" in everything and "--top 0" not in everything and "-0.0" not in everything


def test_sensitivity_of_a_run_and_of_a_saved_profile(saformer, tmp_path):
    saved = tmp_path / "p.json"
    run = saformer("sensitivity", "--limit", "20")
    assert run.code == 0 and "saformer-2-64 on digits" in run.out
    saformer("energy", "--limit", "20", "--save-profile", saved)
    assert saformer("sensitivity", "--from-profile", saved).out == run.out


def test_sensitivity_refuses_bad_options(saformer):
    assert "--top" in saformer("sensitivity", *SMALL, "--uniform-rate", "0.1", "--top", "-1").complaint
    assert "nobody" in saformer("sensitivity", "--accounting", "nobody").complaint
    assert "nowhere" in saformer("sensitivity", "--hardware", "nowhere").complaint


def test_a_row_with_more_fields_than_columns_is_named(saformer, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("layer,input_firing_rate\n*,0.2\nhead,0,5\n")
    complaint = saformer("energy", *SMALL, "--rates", path).complaint
    assert "line 3" in complaint and "1 more fields" in complaint


@pytest.mark.parametrize("option", [("--seed", "1"), ("--batch-size", "4"), ("--device", "cpu")])
def test_rates_take_no_option_of_a_run(saformer, rates, option):
    assert option[0] in saformer("energy", *SMALL, "--rates", rates, *option).complaint


def test_sensitivity_charges_integers_as_energy_does(saformer):
    question = ("--ckpt", "digits/spikformer", "--limit", "8", "--accounting", "exact", "--graded", "unroll")
    total = json.loads(saformer("energy", *question, "--json", "-").out)["totals"]["energy_mj"]
    assert f"{total:.4g} mJ per image" in saformer("sensitivity", *question).out
