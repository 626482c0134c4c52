import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.checkpoints import load, read_checkpoint
from saformer.errors import InputError
from saformer.models import configure

ORACLE = Path(__file__).resolve().parents[3] / "data" / "oracles" / "spikingformer_1_48_cifar"


def oracle(suffix: str) -> Path:
    return ORACLE.with_name(f"{ORACLE.name}.{suffix}")


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return json.loads(oracle("expected.json").read_text())


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.from_numpy(np.load(oracle("input.npz"))["x"]).double()


def published() -> dict[str, torch.Tensor]:
    return read_checkpoint(oracle("pth.tar")).weights


# --- What the published implementation computes ---


def test_logits_are_those_of_the_published_code(expected, x):
    with torch.inference_mode():
        found = load(oracle("pth.tar")).double()(x)
    assert torch.allclose(found, torch.tensor(expected["logits"], dtype=torch.float64), rtol=0, atol=1e-9)


def test_the_profile_has_the_integers_of_the_published_code(expected, x):
    found = profile(load(oracle("pth.tar")).double(), [x[:3], x[3:]])
    assert found.images == expected["batch"] and found.uncounted == () and found.notes == ()
    operations = {operation.name: operation for operation in found.operations}
    products = {"block.0.attn.qk", "block.0.attn.qkv"}
    assert operations.keys() == expected["layers"].keys() | products
    for path, layer in expected["layers"].items():
        (operand,) = operations[path].operands
        assert (operand.elements, operand.nonzero, operand.binary) == (
            layer["numel"],
            layer["nonzero"],
            layer["binary"],
        )
        assert operations[path].events == expected["exact_sops"][path]
    neurons = {neuron.name: neuron for neuron in found.neurons}
    assert neurons.keys() == expected["neurons"].keys()
    for path, neuron in expected["neurons"].items():
        assert (neurons[path].elements, neurons[path].spikes) == (neuron["numel"], neuron["spikes"])
        assert list(neurons[path].per_step) == neuron["per_step"]


def test_parameters_keep_their_published_names(expected):
    model, weights = load(oracle("pth.tar")), published()
    assert model.origin is not None
    assert set(model.origin.unused) == {f"block.0.norm{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    assert set(model.state_dict()) == set(weights) - set(model.origin.unused)
    used = sum(p.numel() for p in model.parameters())
    assert used + model.origin.unused_parameters == expected["params"]


def test_forming_k_v_first_changes_no_spike(x):
    straight, turned = load(oracle("pth.tar")).double(), load(oracle("pth.tar"), keys_first=True).double()
    with torch.inference_mode():
        assert torch.equal(straight(x), turned(x))


# --- The published variants ---


def test_settings_come_from_the_names_and_the_stored_arguments():
    model = load(oracle("pth.tar"))
    assert model.origin is not None
    assert model.config == configure("spikingformer-1-48", heads=3)
    assert {a.setting: (a.value, a.source) for a in model.origin.assumptions} == {
        "time_steps": (4, "stored"),
        "heads": (3, "stored"),
        "image_size": (32, "stored"),
        "tau": (2.0, "default"),
        "pooling": ("0011", "stored"),
    }


@pytest.mark.parametrize("name", ["spikingformer-8-512", "spikingformer-2-256", "spikingformer-4-384"])
def test_a_checkpoint_of_a_published_variant_gives_the_settings_of_its_preset(tmp_path, name):
    model = saformer.build(name)
    weights = {**model.state_dict(), "block.0.norm1.weight": torch.zeros(model.config.dim)}
    torch.save({"state_dict": weights}, tmp_path / "x.pth.tar")
    assert load(tmp_path / "x.pth.tar").config == model.config


def test_the_imagenet_network_has_the_published_parameters_less_the_unused():
    with torch.device("meta"):
        model = saformer.build("spikingformer-8-512")
    assert sum(p.numel() for p in model.parameters()) == 29_705_768 - 8 * 4 * 512
    assert (model.config.image_size, model.config.tokens) == (224, 14 * 14)


def test_names_of_the_patch_embedding_are_those_of_each_variant():
    def names(**settings: Any) -> list[str]:
        return [name for name, _ in saformer.build("spikingformer-1-16", **settings).patch_embed.named_children()]

    assert names(pooling="0011") == [
        *("block0_conv", "block0_bn", "block1_lif", "block1_conv", "block1_bn", "block2_lif", "block2_conv"),
        *("block2_bn", "block3_lif", "block3_mp", "block3_conv", "block3_bn"),
        *("block4_lif", "block4_mp", "block4_conv", "block4_bn"),
    ]
    assert names(embedding="proj", pooling="1000") == [
        *("proj_conv", "proj_bn", "proj1_lif", "maxpool1", "proj1_conv", "proj1_bn", "proj2_lif", "proj2_conv"),
        *("proj2_bn", "proj3_lif", "proj3_conv", "proj3_bn", "proj4_lif", "proj4_conv", "proj4_bn"),
    ]


def test_the_time_constant_reaches_every_neuron():
    model = saformer.build("spikingformer-2-256")
    taus = {module.tau for module in model.modules() if isinstance(module, saformer.neurons.LIF)}
    assert taus == {1.5}


def test_every_layer_between_the_first_and_the_head_sees_spikes(x):
    first, *between, head = (o for o in profile(load(oracle("pth.tar")), [x.float()]).operations)
    assert not first.gate.binary and not head.gate.binary
    assert all(operation.gate.binary and operation.gate.nonzero for operation in between)


@pytest.mark.parametrize(
    "settings", [{"heads": 5}, {"tau": 1}, {"tau": "2"}, {"scale": 0}, {"embedding": "conv"}, {"embedding": None}]
)
def test_settings_that_do_not_fit(settings):
    with pytest.raises(InputError, match=next(iter(settings))) as caught:
        saformer.build("spikingformer-1-48", **settings)
    assert "\n" not in str(caught.value)


def test_events_take_frames():
    model = saformer.build("spikingformer-1-16", in_channels=2, image_size=32, time_steps=3, embedding="proj")
    assert model(torch.ones(2, 3, 2, 32, 32)).shape == (2, 10)
