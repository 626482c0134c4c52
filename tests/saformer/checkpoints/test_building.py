"""A file whose settings describe a network far larger than its weights is refused before the network is built."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

import saformer
from saformer.checkpoints import building, model_from, read_checkpoint
from saformer.checkpoints.writing import save_safetensors
from saformer.errors import InputError
from tests.helpers.small_networks import SMALL


def edited(path: Path, **settings: object) -> Path:
    """A checkpoint of a small network that says it is another."""
    model = saformer.build("sdt-1-16")
    config = {**model.config.to_dict(), **settings}
    save_safetensors(path, model.state_dict(), {"saformer": json.dumps({"config": config, "version": "0"})})
    return path


@pytest.mark.parametrize("settings", [{"depth": 10**9}, {"dim": 2**20}, {"depth": 10**6, "dim": 64}])
def test_a_network_far_larger_than_its_weights(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(InputError, match="its settings describe a network far larger than its weights"):
        saformer.load(edited(tmp_path / "m.safetensors", **settings))
    saformer.build("sdt-1-16")  # the next network is built as ever


def test_a_network_that_no_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: object) -> None:
        raise MemoryError

    monkeypatch.setattr(building, "from_config", build)
    with pytest.raises(InputError, match="the network that its settings describe does not fit into memory"):
        saformer.load(edited(tmp_path / "m.safetensors"))


def test_a_network_a_little_larger_is_compared_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"parameter block\.1\..* is missing from the checkpoint"):
        saformer.load(edited(tmp_path / "m.safetensors", depth=2))


def test_more_tensors_than_any_network_has(tmp_path: Path) -> None:
    import torch

    save_safetensors(tmp_path / "m.safetensors", {f"block.{i}.x": torch.zeros(1) for i in range(10_001)}, {})
    with pytest.raises(InputError, match="it holds 10,001 tensors, and no network has more than 10,000"):
        saformer.load(tmp_path / "m.safetensors")


HOSTILE = (10**9, 10**30, 0, -1, 1.5, math.nan, "x", None, True, {})


@pytest.mark.parametrize("family", SMALL)
def test_any_value_in_any_setting_of_a_file_is_refused_or_harmless(tmp_path: Path, family: str) -> None:
    name, settings = SMALL[family]
    saformer.save(saformer.build(name, **settings), tmp_path / "m.safetensors")
    raw = read_checkpoint(tmp_path / "m.safetensors")
    stored = json.loads(raw.metadata["saformer"])
    begun = time.process_time()
    for key, value in stored["config"].items():
        several = ([bad] * len(value) for bad in HOSTILE) if isinstance(value, list) else ()
        for bad in (*HOSTILE, *several):
            config = json.dumps({**stored, "config": {**stored["config"], key: bad}})
            try:
                made = model_from(replace(raw, metadata={**raw.metadata, "saformer": config})).config
            except InputError as error:
                assert "\n" not in str(error)
            else:
                assert math.prod(made.input_shape) <= 2**27, key  # what it would be run on fits
    assert time.process_time() - begun < 10
