"""Any attention in any model: the body stays, the operations of the attention are those of its formulas."""

import re
import sys
from pathlib import Path

import pytest
import torch
from awake_models import awake

import saformer
from saformer.analysis import profile
from saformer.analysis.complexity.formulas import SYNAPTIC, Sizes, attentions
from saformer.attention import DSSA
from saformer.attention.hosted import Hosted
from saformer.attention.registry import ATTENTIONS
from saformer.errors import InputError
from saformer.models import configure
from saformer.models.config import example_input
from saformer.models.registry import MODELS
from saformer.plugins import faults_located
from tests.helpers.small_networks import SMALL

HOSTS = ["saformer-1-32", "sdt-1-32", "spikformer-1-32", "spikingformer-1-32", "vit-1-32"]
CONVOLUTIONS = {"projection": "conv1d", "mlp_projection": "conv2d"}


@pytest.mark.parametrize("attention", list(ATTENTIONS))
@pytest.mark.parametrize("host", HOSTS)
def test_every_attention_stands_in_every_body(host: str, attention: str) -> None:
    model, x = awake(host, batch=2, attention=attention, image_size=16, pooling="0011")
    found = profile(model, [x], check_flops=False)
    inside = {
        name.removeprefix("inner.").removesuffix("_linear").removesuffix("_conv"): o.dense
        for o in found.operations
        if (name := o.name.removeprefix("block.0.attn.")) != o.name
    }
    sizes = Sizes(tokens=16, dim=32, aggregated=16, heads=1, time_steps=model.config.time_steps)
    entry = attentions()[attention]
    expected = {t.name: model.config.time_steps * t.at(sizes.values()) for t in entry.terms if t.part in SYNAPTIC}
    assert {name: count // 2 for name, count in inside.items()} == expected


ATTENTIVE = [family for family in SMALL if "attention" in MODELS[family].config.types()]


@pytest.mark.parametrize("attention", ["ssa", "sasa", "vsa", "dssa", "my_attention:Mean"])
@pytest.mark.parametrize("family", ATTENTIVE)
def test_every_transformer_takes_another_attention(family: str, attention: str, mine: None, tmp_path: Path) -> None:
    name, settings = SMALL[family]
    own, model = (saformer.build(name, **settings, **more) for more in ({}, {"attention": attention}))
    x = example_input(model, random=True)
    assert model(x).isfinite().all()
    inputs = {key: getattr(model.config, key) for key in model.config.input_settings}
    assert configure(model.config.name, **inputs) == model.config
    kinds = [module.inner if isinstance(module, Hosted) else module for module in model.modules()]
    expected = ATTENTIONS[attention].module.__name__ if attention in ATTENTIONS else "Mean"
    assert sum(type(kind).__name__ == expected for kind in kinds) >= 1
    rest, stayed = (
        {key: w.shape for key, w in network.named_parameters() if not _of_attention(key)} for network in (own, model)
    )
    assert stayed == rest
    saformer.save(model, tmp_path / "x.safetensors")
    loaded = saformer.load(tmp_path / "x.safetensors", attention=attention)
    with torch.inference_mode():
        assert loaded.config == model.config and torch.equal(loaded(x), model(x))


def _of_attention(key: str) -> bool:
    """Whether a parameter lies in an attention, by the names of the families; blocks of SpikingResformer are one."""
    return any(part in ("attn", "tssa", "ssa", "mixing") for part in key.split(".")) or bool(
        re.match(r"layers\.\d+\.\d+\.(inner|W|norm|Wproj|norm_proj|activation\w*)\b", key)
    )


def test_why_a_network_takes_none_is_said() -> None:
    for name, said in (("spikegpt-1-32", "a recurrence over the tokens"), ("ms-resnet-18", "it has no attention that")):
        with pytest.raises(InputError, match=f"has no setting 'attention': {said}"):
            saformer.build(name, attention="ssa")


@pytest.mark.parametrize(("image", "patch"), [(32, (2, 2)), (16, (1, 1)), (28, (1, 7)), (56, (2, 7))])
def test_dssa_cuts_any_grid_into_at_most_sixteen_patches(image: int, patch: tuple[int, int]) -> None:
    model, x = awake("sdt-1-32", batch=1, attention="dssa", image_size=image, pooling="0011")
    (inner,) = (m for m in model.modules() if isinstance(m, DSSA))
    assert (inner.patch, inner.length) == (patch, (image // 4) ** 2 // (patch[0] * patch[1]))
    assert model(x).isfinite().all()


@pytest.mark.parametrize("attention", ["sdsa", "sasa", "spikingformer"])
def test_a_body_that_adds_spikes_gets_spikes(attention: str) -> None:
    for settings in ({}, CONVOLUTIONS):
        model, x = awake("spikformer-2-32", batch=2, attention=attention, **settings)
        found = profile(model, [x], check_flops=False)
        assert "block.0.attn.out_lif" in [layer.name for layer in found.neurons]
        read = {o.name: o.operands[0].kind for o in found.operations}
        assert str(read[next(name for name in read if "mlp.fc1" in name)]) in ("graded", "spikes")


def test_a_body_of_membranes_hands_spikes_to_an_attention_that_reads_them() -> None:
    model, x = awake("saformer-1-32", batch=2, attention="ssa")
    found = profile(model, [x])
    assert "block.0.attn.in_lif" in [layer.name for layer in found.neurons]
    query = next(o for o in found.operations if o.name.endswith("q_linear"))
    assert str(query.operands[0].kind) == "spikes"


def test_the_familys_own_attention_by_name_is_the_same_network() -> None:
    own, other = saformer.build("saformer-1-32"), saformer.build("saformer-1-32", attention="sasa")
    assert list(own.state_dict()) == list(other.state_dict())
    other.load_state_dict(own.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(own(x), other(x))
    assert other.config.name == "saformer-1-32+attention=sasa"
    assert configure(other.config.name) == other.config


OWN = """
import torch
from torch import nn

class Mean(nn.Module):
    layout, reads, gives = "conv1d", "spikes", "membranes"

    def __init__(self, dim, heads):
        super().__init__()
        self.proj = nn.Conv1d(dim, dim, 1)

    def forward(self, x):
        return self.proj(x.flatten(0, 1)).unflatten(0, x.shape[:2])

class Short(Mean):
    def forward(self, x):
        return x[..., :1]

class Crash(Mean):
    def forward(self, x):
        return x @ x

class Needs(nn.Module):
    def __init__(self, colour):
        super().__init__()

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_attention.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_attention", raising=False)


def test_an_attention_of_ones_own_is_one_class(mine: None, tmp_path: Path) -> None:
    model, x = awake("saformer-2-32", batch=2, attention="my_attention:Mean")
    found = profile(model, [x])
    assert [o.name for o in found.operations if ".attn." in o.name] == [
        "block.0.attn.inner.proj",
        "block.1.attn.inner.proj",
    ]
    path = tmp_path / "own.safetensors"
    saformer.save(model, path)
    with pytest.raises(InputError, match="say --set attention=my_attention:Mean, or FILE"):
        saformer.load(path)  # a file does not decide what is imported
    loaded = saformer.load(path, attention="my_attention:Mean")
    assert torch.equal(loaded(x.float()), model.float()(x.float()))


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        ("sas", r"unknown attention 'sas' \(did you mean sasa\?\)"),
        ("nowhere:Class", "cannot import nowhere"),
        ("my_attention:Missing", "has no 'Missing'"),
        ("my_attention:number", "is no class of torch.nn.Module"),
        ("my_attention:Needs", "cannot be built: TypeError"),
    ],
)
def test_a_wrong_attention_is_said(mine: None, attention: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        saformer.build("saformer-1-32", attention=attention)


def test_an_attention_must_keep_the_shape(mine: None) -> None:
    model = saformer.build("sdt-1-32", attention="my_attention:Short")
    with pytest.raises(InputError, match="returned 4 x 1 x 32 x 1 for an input of 4 x 1 x 32 x 64"):
        model(torch.randn(1, 3, 32, 32))


def test_what_fails_in_an_attention_of_ones_own_is_said_with_its_line(mine: None, tmp_path: Path) -> None:
    model = saformer.build("saformer-1-32", attention="my_attention:Crash")
    line = next(i for i, text in enumerate(OWN.splitlines(), 1) if "x @ x" in text)
    with pytest.raises(InputError, match=rf"my_attention\.py, line {line}: RuntimeError: "), faults_located():
        model(torch.randn(1, 3, 32, 32))
