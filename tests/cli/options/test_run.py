"""How to run: batches, limits, seeds, `--precision`."""

import json

import numpy as np
import pytest
import torch

from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.run import batch_size_of
from saformer.data import Dataset
from saformer.models import configure_for, from_config


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """400 digits, as arrays: the whole data set of these runs."""
    from saformer.data import open_dataset

    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    ((x, y),) = open_dataset("digits", None, "train").batches(400, 400, 3)
    np.savez(path, x=x.numpy(), y=y.numpy())
    return "--ckpt", "digits/saformer", "--input", path


@pytest.fixture(scope="module")
def whole(prepared, digits, tmp_path_factory):
    """What is printed of all 400."""
    path = tmp_path_factory.mktemp("whole") / "energy.json"
    prepared("energy", *digits, "--json", path)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def stopped(prepared, digits, tmp_path_factory):
    """A run that stops when it knows enough: what is printed, as `energy.json`, and its profile, `p.json`."""
    folder = tmp_path_factory.mktemp("stopped")
    outputs = ("--json", folder / "energy.json", "--save-profile", folder / "p.json")
    prepared("energy", *digits, "--precision", "0.05", *outputs)
    return folder


def test_a_run_stops_when_it_knows_enough_and_says_so(stopped, whole):
    found = json.loads((stopped / "energy.json").read_text())
    totals = found["totals"]
    (note,) = [note for note in found["notes"] if "enough for" in note]
    assert found["data"]["images"] == 384
    assert totals["ci_level"] == 0.995
    assert totals["energy_mj_ci95"] <= 0.05 * totals["energy_mj"]
    reached = totals["energy_mj_ci95"] / totals["energy_mj"]
    assert f"enough for ±{reached:.2%}" in note
    assert "widened for the looks" in note
    assert found["data"]["images"] < whole["data"]["images"]
    assert abs(whole["totals"]["energy_mj"] - totals["energy_mj"]) <= totals["energy_mj_ci95"]


def test_the_interval_stays_widened_in_a_saved_profile(saformer, stopped):
    again = saformer("energy", "--from-profile", stopped / "p.json", "--json", "-")
    assert json.loads((stopped / "energy.json").read_text())["totals"] == json.loads(again.out)["totals"]


def test_a_target_out_of_reach_takes_all_images(saformer, digits, whole):
    found = json.loads(saformer("energy", *digits, "--precision", "0.001%", "--json", "-").out)
    assert found["data"]["images"] == whole["data"]["images"]
    assert not any("enough" in note for note in found["notes"])
    assert found["totals"]["energy_mj"] == pytest.approx(whole["totals"]["energy_mj"], rel=1e-12)


@pytest.mark.parametrize("value", ["", "%", "0", "0%", "-1%", "100%", "1", "5", "abc", "nan", "inf", "1%%", "1e400%"])
def test_precisions_that_are_none(saformer, value):
    complaint = saformer("energy", "--dataset", "digits", f"--precision={value}").complaint
    assert "--precision takes a share such as 1% or 0.01" in complaint
    assert repr(value) in complaint


@pytest.mark.parametrize("limit", ["10", "0"])
def test_a_precision_and_a_limit(saformer, limit):
    complaint = saformer("energy", "--dataset", "digits", "--precision", "5%", "--limit", limit).complaint
    assert "--limit" in complaint


def test_seeds_and_settings_out_of_range(saformer):
    assert "--seed" in saformer("energy", "--seed", 2**70).complaint
    assert "--seed" in saformer("energy", "--seed", "-1").complaint
    assert "heads" in saformer("energy", "--heads", "7").complaint


def test_a_precision_that_could_be_one_per_cent_or_all(saformer):
    assert saformer("energy", "--precision", "1").complaint.endswith("got '1': for 1 per cent write 1%")


def test_the_same_seed_draws_the_same_images(saformer):
    first, again, other = (
        json.loads(saformer("energy", "--limit", "8", "--seed", seed, "--json", "-").out) for seed in (1, 1, 2)
    )
    assert first["layers"] == again["layers"]
    assert first["layers"] != other["layers"]


def test_batch_size_changes_nothing_but_the_speed(saformer):
    small, large = (
        json.loads(saformer("energy", "--limit", "12", "--batch-size", size, "--dtype", "float64", "--json", "-").out)
        for size in (5, 12)
    )
    assert small["layers"] == large["layers"]
    assert small["totals"] == large["totals"]


@pytest.mark.parametrize(
    ("images", "size", "wanted"),
    [(256, 16, 64), (255, 16, 16), (256, 17, 16)],
    ids=["small", "few", "larger"],
)
def test_small_images_go_through_in_larger_batches(images, size, wanted):
    network = from_config(configure_for("saformer-1-16", {"image_size": 16}))
    data = Dataset("mine", None, "static", torch.zeros(images, 3, size, size), None, None, None, None)
    assert batch_size_of(RunOptions(), network, data, images) == wanted
    assert batch_size_of(RunOptions(batch_size=7), network, data, images) == 7
    assert batch_size_of(RunOptions(), torch.nn.Linear(1, 1), data, images) == 16
