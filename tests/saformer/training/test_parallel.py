import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def outcomes(forked_in, tmp_path_factory) -> dict[str, dict[str, Any]]:
    """What one process and two processes come to; two_processes.py says what they do."""
    folder = tmp_path_factory.mktemp("two")
    (done,) = forked_in(folder, Path(__file__).with_name("two_processes.py"), folder)
    assert done.code == 0, done.err
    assert done.err == ""  # no warning of PyTorch's reaches the user
    return json.loads(done.out)


def test_batch_norm_over_two_processes_is_that_of_one(outcomes) -> None:
    assert len(outcomes["one"]["batch_norm"]) == 5
    for two, one in zip(outcomes["two"]["batch_norm"], outcomes["one"]["batch_norm"], strict=True):
        assert two == pytest.approx(one, rel=1e-11, abs=1e-11)


def test_two_processes_have_the_losses_of_one(outcomes) -> None:
    # Without neurons rounding stays rounding, until it decides a ReLU or a max pool.
    two, one = outcomes["two"]["vit"], outcomes["one"]["vit"]
    assert len(one) == 8
    assert two[:4] == pytest.approx(one[:4], rel=1e-5)
    assert two == pytest.approx(one, rel=5e-4)


@pytest.mark.parametrize("run", ["saformer", "accumulated"])
def test_two_processes_have_the_losses_of_one_but_for_spikes_at_the_threshold(outcomes, run: str) -> None:
    # A membrane that rounding moves across its threshold fires, or not: from then on the runs differ a little.
    two, one = outcomes["two"][run], outcomes["one"][run]
    assert two[0] == pytest.approx(one[0], rel=1e-5)
    assert two == pytest.approx(one, rel=5e-3)


def test_an_evaluation_in_two_parts_counts_every_image_once(outcomes) -> None:
    assert outcomes["one"]["evaluation"][0] == 33
    assert outcomes["two"]["evaluation"] == outcomes["one"]["evaluation"]


def test_one_process_writes_and_all_go_on_from_it(outcomes) -> None:
    expected = ["best.safetensors", "last-00000001.safetensors", "last-00000002.safetensors"]
    assert outcomes["two"]["kept"] == [*expected, "metrics.csv", "recipe.toml", "1"]
    assert outcomes["two"]["kept"] == outcomes["one"]["kept"]
