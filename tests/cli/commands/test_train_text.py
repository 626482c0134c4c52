"""A language model learns from a text, byte by byte, and what it learned is tested and charged."""

import json
import math

import pytest

SIZE = ("--model", "spikegpt-1-16", "-T", "8", "--epochs", "2", "--batch-size", "4")


@pytest.fixture
def text(tmp_path):
    (path := tmp_path / "text.txt").write_text("to be or not to be, that is the question. " * 9)
    return path


def test_trained_tested_and_charged(saformer, text, tmp_path) -> None:
    data = ("--dataset", "text", "--data-dir", text)
    trained = saformer("train", *data, *SIZE, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    assert "42 training sequences" in trained.out and "of 16 test positions right" in trained.out
    best = tmp_path / "run" / "best.safetensors"
    found = json.loads(saformer("eval", "--ckpt", best, "--data-dir", text, "--json", "-").out)
    assert (found["data"]["images"], found["labelled"]) == (2, 16)
    assert found["bits_per_character"] == found["loss"] / math.log(2)
    assert "bits per character" in saformer("eval", "--ckpt", best, "--data-dir", text).out
    kept = ("--json", "-", "--save-profile", profile := tmp_path / "profile.json")
    charged = json.loads(saformer("energy", "--ckpt", best, "--data-dir", text, *kept).out)
    assert charged["accuracy"] == found["accuracy"]
    assert charged["model"]["time_steps"] == 8
    again = json.loads(saformer("energy", "--from-profile", profile, "--json", "-").out)
    assert again["accuracy"] == found["accuracy"]
    assert saformer("card", "--ckpt", best, *data, "--out", tmp_path / "card.safetensors").code == 0


def test_an_untrained_network_takes_the_length_and_the_vocabulary_of_the_data(saformer, text) -> None:
    found = json.loads(
        saformer(
            "energy", "--model", "spikegpt-1-16", "-T", "5", "--dataset", "text", "--data-dir", text, "--json", "-"
        ).out
    )
    assert (found["model"]["time_steps"], found["data"]["images"], found["data"]["taken_for"]) == (5, 3, "tokens")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("energy", "--model", "sdt-1-16", "-T", "4"), "takes images, and text holds tokens: choose a language model"),
        (("energy", "--model", "spikegpt-1-16+num_classes=20", "-T", "4"), "has 20 classes, text has 256"),
        (("energy", "--model", "spikegpt-1-16", "--input-shape", "8:int64"), "leave it out where --input or --dataset"),
        (("train", "--model", "sdt-1-16", "--out", "run"), "reads images, and text holds tokens"),
        (("train", "--mixup", "0.5", *SIZE, "--out", "run"), "mixup does not apply to text, which holds tokens"),
        (("train", "--shift", "4", *SIZE, "--out", "run"), "shift does not apply to text, which holds tokens"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(saformer, text, tmp_path, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in saformer(*arguments, "--dataset", "text", "--data-dir", text).complaint
