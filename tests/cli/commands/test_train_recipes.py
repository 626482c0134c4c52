"""Each recipe, followed for an epoch on a few samples in a real format, ends in a checkpoint that `energy` reads."""

import json

import numpy as np
import pytest
from small_data import write_cifar10, write_cifar10dvs, write_cifar100, write_dvs128gesture


@pytest.mark.parametrize(
    ("data", "write", "kind"),
    [
        ("cifar10", write_cifar10, "static"),
        ("cifar100", write_cifar100, "static"),
        ("cifar10dvs", write_cifar10dvs, "events"),
        ("dvs128gesture", write_dvs128gesture, "events"),
    ],
)
def test_a_recipe_ends_in_a_checkpoint_that_energy_reads(saformer, tmp_path, data, write, kind) -> None:
    write(tmp_path / "data", np.random.default_rng(0))
    options = ("--dataset", data, "--data-dir", tmp_path / "data")
    size = ("--model", "saformer-1-16", "-T", "2", "--epochs", "1", "--batch-size", "16")
    trained = saformer("train", *options, *size, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    best = tmp_path / "run" / "best.safetensors"
    result = saformer("energy", "--ckpt", best, *options, "--limit", "0", "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["model"]["time_steps"], found["data"]["kind"]) == (2, kind)
    assert (found["totals"]["macs"] > 0) is (kind == "static")  # Eq. 19 against Eq. 20
    evaluated = json.loads(saformer("eval", "--ckpt", best, *options, "--json", "-").out)
    assert evaluated["accuracy"] == found["accuracy"]
