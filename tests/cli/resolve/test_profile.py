"""An answer without a run: from a saved profile, or from firing rates."""

import json
from pathlib import Path

import pytest

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published" / "spikingformer_8_512_imagenet.csv"

SMALL = ("--model", "spikingformer-1-32")


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
    result = saformer("energy", "--model", "saformer-1-16", "--uniform-rate", "0.2", "--spikes")
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


def test_a_row_with_more_fields_than_columns_is_named(saformer, tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("layer,input_firing_rate\n*,0.2\nhead,0,5\n")
    complaint = saformer("energy", *SMALL, "--rates", path).complaint
    assert "line 3" in complaint and "1 more fields" in complaint


@pytest.mark.parametrize("option", [("--seed", "1"), ("--batch-size", "4"), ("--device", "cpu")])
def test_rates_take_no_option_of_a_run(saformer, rates, option):
    assert option[0] in saformer("energy", *SMALL, "--rates", rates, *option).complaint


def test_profiles_that_are_cut_edited_or_of_another_kind(saformer, tmp_path):
    saved = tmp_path / "p.json"
    assert saformer("energy", "--limit", "16", "--save-profile", saved).code == 0
    text = saved.read_text()
    for name, content in {
        "cut": text[: len(text) // 2],
        "other": '{"kind": "something"}',
        "schema": text.replace('"schema":1', '"schema":99'),
        "edited": text.replace('"images":16', '"images":17'),
        "list": "[]",
    }.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content)
        assert f"{name}.json" in saformer("energy", "--from-profile", path).complaint
    assert "leave out --dataset" in saformer("energy", "--from-profile", saved, "--dataset", "digits").complaint


@pytest.mark.parametrize(
    "option",
    [
        ("--limit", "4"),
        ("--precision", "5%"),
        ("--time-steps", "2"),
        ("--seed", "0"),
        ("--batch-size", "16"),
        ("--dtype", "float32"),
        ("--device", "cpu"),
        ("--split", "test"),
        ("--data-dir", "."),
        ("--weights", "model"),
        ("-T", "2"),
    ],
)
def test_a_saved_profile_takes_no_option_of_a_run(saformer, tmp_path, option):
    complaint = saformer("energy", "--from-profile", tmp_path / "p.json", *option).complaint
    flag = {"-T": "--time-steps"}.get(option[0], option[0])
    assert complaint.endswith(f"leave out {flag}")
    if option[0] != "--precision":
        for command in ("audit", "sensitivity"):
            assert flag in saformer(command, "--from-profile", tmp_path / "p.json", *option).complaint


def test_a_saved_profile_answers_without_the_model(saformer, tmp_path, monkeypatch):
    saved = tmp_path / "p.json"
    live = json.loads(saformer("energy", "--limit", "30", "--save-profile", saved, "--json", "-").out)

    def never(*args, **kwargs):
        raise AssertionError("the model was run")

    monkeypatch.setattr("saformer.analysis.recording.run.profile", never)
    again = json.loads(saformer("energy", "--from-profile", saved, "--json", "-").out)
    assert again == live
    once = json.loads(saformer("energy", "--from-profile", saved, "--first-layer", "once", "--json", "-").out)
    assert once["layers"][0]["macs"] * 4 == live["layers"][0]["macs"]


MINE = """
import torch
from torch import nn

class Spikes(nn.Module):
    def forward(self, x):
        return (x > 0).to(x)

def net():
    first = (nn.Conv2d(3, 4, 3), Spikes(), nn.MaxPool2d(2))
    return nn.Sequential(*first, nn.Conv2d(4, 4, 3), Spikes(), nn.Flatten(), nn.Linear(64, 5))
"""


def test_rates_of_a_model_of_ones_own(saformer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rates_mine.py").write_text(MINE)
    path = Path("r.csv")
    own = ("--model", "rates_mine:net", "--input-shape", "3,14,14", "--rates", path)
    path.write_text("layer,input_firing_rate\n0,1\n1,0.25\n6,0.5\n")
    assert "pooled before 3 reads them" in saformer("energy", *own).complaint
    found = json.loads(saformer("energy", *own, "--rate-at", "output", "--json", "-").out)
    acs = {layer["name"]: layer["acs"] for layer in found["layers"]}
    assert acs == pytest.approx({"0": 0, "3": 0.25 * 4 * 4 * 9 * 16, "6": 0.5 * 64 * 5})
    path.write_text("layer,input_firing_rate,acs\n0,1,1\n")
    assert "say the same twice" in saformer("energy", *own).complaint
    assert "--input-shape" in saformer("energy", "--model", "rates_mine:net", "--rates", path).complaint
