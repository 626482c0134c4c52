import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from saformer.checkpoints.reading import read_checkpoint
from saformer.checkpoints.writing import save_safetensors
from saformer.errors import InputError


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    weights = {
        "b.weight": torch.randn(3, 4),
        "a": torch.tensor(7),
        "half": torch.randn(5).to(torch.bfloat16),
        "mask": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 3),
    }
    metadata = {"z": "1", "family": "größer \n", "a": ""}
    save_safetensors(path, weights, metadata)
    back = load_file(path)
    assert back.keys() == weights.keys()
    for name, tensor in weights.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == metadata
    raw = read_checkpoint(path)
    assert raw.metadata == metadata
    assert raw.weights.keys() == weights.keys()


def test_layouts_that_safetensors_refuses(tmp_path: Path) -> None:
    whole = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4))
    weights = {
        "whole": whole,
        "tied": whole,
        "row": whole[1],
        "turned": whole.t(),
        "wide": whole[:1].expand(5, 4),
    }
    save_safetensors(tmp_path / "m", weights, {})
    back = load_file(tmp_path / "m")
    for name, tensor in weights.items():
        assert torch.equal(back[name], tensor)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    weights = {name: torch.arange(5.0) for name in "gfedcba"}
    metadata = {letter: letter for letter in "qwertyuiop"}
    written = set()
    for i in range(8):
        save_safetensors(tmp_path / str(i), weights, metadata)
        written.add((tmp_path / str(i)).read_bytes())
    assert len(written) == 1


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; create it first"):
        save_safetensors(tmp_path / "no" / "m.safetensors", {"a": torch.ones(1)}, {})
    assert os.listdir(tmp_path) == []
