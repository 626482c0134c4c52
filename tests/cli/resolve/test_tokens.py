import json

import numpy as np
import pytest

MODEL = ("--model", "spikegpt-1-16", "--set", "num_classes=20")


def test_random_tokens_are_drawn_from_the_vocabulary_and_said_to_be_random(saformer):
    result = saformer("energy", *MODEL, "--input-shape", "6:int64", "--json", "-")
    found = json.loads(result.out)
    assert found["model"]["time_steps"] == 6
    assert found["data"]["taken_for"] == "tokens"
    assert "the inputs are random" in saformer("energy", *MODEL, "--input-shape", "6").out


def test_token_ids_of_a_file(saformer, tmp_path):
    np.savez(path := tmp_path / "ids.npz", x=np.arange(12).reshape(2, 6))
    found = json.loads(saformer("energy", *MODEL, "--input", path, "--json", "-").out)
    assert (found["data"]["images"], found["model"]["time_steps"]) == (2, 6)
    assert "spikegpt-1-16" in saformer("compare", MODEL[1] + "+num_classes=20", "--input", path).out


def test_dense_operations_need_no_tokens(saformer):
    assert "one sequence of 6 tokens, T = 6" in saformer("flops", *MODEL, "-T", 6).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "a language model reads tokens: give --dataset text, --input"),
        (("--dataset", "digits"), "--dataset digits holds no tokens"),
        (("--input-shape", "3,8,8"), "reads samples x tokens of whole numbers; random 3x8x8 has 3 x 8 x 8 of int64"),
        (("--input-shape", "6:float32"), "has 6 of float32"),
        (("--input-shape", "64:int64", "--high", "1000"), "has tokens from 0 to 19; random 64 holds 9"),
    ],
)
def test_other_inputs_are_refused_in_one_line(saformer, arguments, message):
    result = saformer("energy", *MODEL, *arguments)
    assert result.code == 1 and message in result.err and len(result.err.splitlines()) == 1


def test_networks_for_images_take_no_random_inputs(saformer):
    assert "goes with a model of your own" in saformer("energy", "--model", "sdt-1-16", "--input-shape", "3,32,32").err


def test_training_needs_tokens(saformer, tmp_path):
    result = saformer("train", "--model", "spikegpt-1-16", "--dataset", "digits", "--out", tmp_path / "run")
    assert result.code == 1 and "reads tokens, and the data has images" in result.err
