"""`--fold`: what is run is the network with its chains of linear layers merged."""

import json

import numpy as np
import pytest
import torch

from saformer.models import build


@pytest.fixture
def images(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype("float32"))
    return str(tmp_path / "x.npz")


@pytest.fixture
def awake(tmp_path):
    """A checkpoint of a small Meta-SpikeFormer whose neurons fire."""
    torch.manual_seed(0)
    model = build("metaspikeformer-15m", widths=(4, 8, 8, 16), blocks=(1, 1), num_classes=5, image_size=32)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, 0, 2)
    torch.save({"model": model.state_dict()}, tmp_path / "x.pth")
    return ["--ckpt", str(tmp_path / "x.pth"), "-T", "2", "--image-size", "32"]


def test_energy_and_flops_of_the_folded_network(saformer, awake, images):
    plain, folded = (
        json.loads(saformer("energy", *awake, "--input", images, "--json", "-", *also).out) for also in ([], ["--fold"])
    )
    assert any("(--fold)" in note for note in plain["notes"])
    assert any(note.startswith("folded: ") for note in folded["notes"])
    assert len(folded["layers"]) < len(plain["layers"])
    assert "folded: " in saformer("flops", *awake, "--fold").out


FOREIGN = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3), nn.ReLU())

def alone():
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
"""


def test_a_model_of_ones_own(saformer, tmp_path, monkeypatch):
    (tmp_path / "folded_net.py").write_text(FOREIGN)
    monkeypatch.syspath_prepend(tmp_path)
    for factory, said in (("net", "folded: 3 layers"), ("alone", "nothing is folded: no layer")):
        arguments = ["--model", f"folded_net:{factory}", "--input-shape", "3,8,8", "--fold"]
        assert said in " ".join(saformer("energy", *arguments).out.split())
        assert said in " ".join(saformer("flops", *arguments).out.split())


def test_what_could_not_be_folded_is_not_recommended_again(saformer, tmp_path):
    frames = np.random.default_rng(0).poisson(0.5, (1, 2, 2, 32, 32)).astype("float32")
    np.savez(tmp_path / "events.npz", x=frames)
    name = "rollout-densenet-dvs+width=8+blocks=3+image_size=32"
    notes = {}
    for also in ("", "--fold"):
        arguments = ["--model", name, "--input", tmp_path / "events.npz", "--json", "-", *filter(None, [also])]
        notes[also] = " ".join(json.loads(saformer("energy", *arguments).out)["notes"])
        text = saformer("audit", *[a for a in arguments if a not in ("--json", "-")]).out
        assert ("folding (--fold) left these as they are" in " ".join(text.split())) == bool(also)
    assert "folding (--fold) makes one layer" in notes[""]
    assert "(--fold) makes" not in notes["--fold"] and "(--fold) left these as they are" in notes["--fold"]
