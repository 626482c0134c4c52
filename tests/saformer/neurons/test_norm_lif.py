"""BatchNorm and the neurons behind it as one operator: the same spikes bit for bit, where nobody looks between."""

import shutil

import pytest
import torch
from torch import nn

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.neurons import IF, LIF, after_norm, norm_lif_
from saformer.neurons.after_norm import spikes_of
from saformer.steps import per_step

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
SHAPES = [((4, 3, 7, 5, 3), 2), ((2, 3, 6, 1, 1), 2), ((3, 2, 4, 40, 40), 2), ((4, 2, 5, 300), -1), ((3, 2, 24, 9), 2)]


def layers(shape, channel, affine=True):
    """The neurons, the normalisation and the layer before it, for T x B x ..."""
    generator = torch.Generator().manual_seed(0)
    width, image = shape[channel], len(shape) == 5
    norm = (nn.BatchNorm2d if image else nn.BatchNorm1d)(width, affine=affine).eval()
    layer = nn.Linear(width, width) if channel == -1 else (nn.Conv2d if image else nn.Conv1d)(width, width, 1)
    for tensor in (*layer.parameters(), *norm.parameters(), norm.running_mean):
        tensor.data.normal_(generator=generator)
    norm.running_var.uniform_(0.1, 2.0, generator=generator)
    return LIF(tau=1.5, threshold=0.6, reset=-0.125), norm, layer


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "channel"), SHAPES)
def test_spikes_are_those_of_both_layers(shape, channel, affine):
    neuron, norm, layer = layers(shape, channel, affine)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = per_step(layer, x)
        expected = neuron(norm(y.flatten(0, 1 if channel == 2 else -2)).view_as(y))
        assert torch.equal(spikes_of(neuron, norm, layer, x, channel), expected) and 0 < expected.mean() < 1
        settings = (norm.eps, channel, 1.5, 0.6, -0.125)
        assert norm_lif_(y, norm.weight, norm.bias, norm.running_mean, norm.running_var, *settings) is y
        assert torch.equal(y, expected)


@pytest.fixture
def calls(monkeypatch):
    """How often the operator ran."""
    seen = []
    monkeypatch.setattr("saformer.neurons.layers.norm_lif_", lambda *args: (seen.append(1), norm_lif_(*args))[1])
    return seen


@needs_compiler
@pytest.mark.parametrize(
    "other",
    [
        *("hook on the neurons", "hook on the norm", "hook on the layer", "training", "gradient", "float64", "traced"),
        *("other neurons", "other layer", "no statistics", "channels last"),
    ],
)
def test_all_run_one_by_one_where_somebody_looks_or_the_operator_does_not_fit(calls, other):
    shape = (4, 2, 5, 3, 3)
    neuron, norm, layer = layers(shape, 2)
    x = torch.randn(shape)
    with torch.no_grad():
        spikes_of(neuron, norm, layer, x)
    assert len(calls) == 1
    seen = []
    if other.startswith("hook"):
        watched = {"neurons": neuron, "norm": norm, "layer": layer}[other.split()[-1]]
        watched.register_forward_hook(lambda *_: seen.append(1))
    elif other == "training":
        norm.train()
    elif other == "float64":
        norm, layer, x = norm.double(), layer.double(), x.double()
    elif other == "other neurons":
        neuron = IF()
    elif other == "other layer":  # it may put out what somebody else holds
        layer = nn.Identity()
    elif other == "no statistics":
        norm = nn.BatchNorm2d(5, track_running_stats=False)
    elif other == "channels last":
        layer.to(memory_format=torch.channels_last)
        x = x.flatten(0, 1).to(memory_format=torch.channels_last).unflatten(0, shape[:2])
    kept = x.clone()
    with torch.set_grad_enabled(other == "gradient"):
        if other == "traced":
            for module in (norm, layer):
                module.requires_grad_(False)
            torch.jit.trace(lambda x: spikes_of(neuron, norm, layer, x), x, check_trace=False)
        else:
            result = spikes_of(neuron, norm, layer, x)
            assert result.requires_grad == (other == "gradient") and torch.equal(x, kept)
    assert len(calls) == 1 and len(seen) == other.startswith("hook")


@needs_compiler
@pytest.mark.parametrize(
    "name", ["spikformer-1-24", "saformer-1-24", "spikformer-1-24+projection=conv1d+mlp_projection=conv2d"]
)
def test_a_network_and_its_profile_are_the_same(calls, monkeypatch, name):
    torch.manual_seed(0)
    model, x = saformer.build(name, image_size=16), torch.randn(2, 3, 16, 16)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data.uniform_(1.0, 4.0)
    with torch.inference_mode():
        logits, found = model(x), profile(model, [x], check_flops=False)
    assert len(calls) >= 6
    monkeypatch.setattr(after_norm, "_as_one", lambda *_: False)
    with torch.inference_mode():
        assert torch.equal(model(x), logits)
    assert profile(model, [x], check_flops=False) == found
    assert any(0 < layer.spikes < layer.elements for layer in found.neurons)


@needs_compiler
def test_a_profile_names_infinite_currents(calls):
    model, x = saformer.build("saformer-1-24", image_size=16), torch.randn(2, 3, 16, 16)
    model.patch_embed.proj_bn.bias.data[0] = float("nan")
    with pytest.raises(InputError, match=r"input of the neurons patch_embed\.proj_lif holds"):
        profile(model, [x], check_flops=False)
    assert calls


def test_without_the_library_all_run_one_by_one(calls, monkeypatch):
    monkeypatch.setattr(after_norm, "native", lambda: None)
    neuron, norm, layer = layers((4, 2, 5, 3, 3), 2)
    with torch.no_grad():
        spikes_of(neuron, norm, layer, torch.randn(4, 2, 5, 3, 3))
    assert not calls


def test_where_roundings_are_unknown_the_operators_run(monkeypatch):
    monkeypatch.setattr("saformer.neurons.norm_lif.rounded_once", lambda: None)
    model, x = saformer.build("saformer-1-24", image_size=16), torch.randn(2, 3, 16, 16)
    with torch.inference_mode():
        logits, found = model(x), profile(model, [x], check_flops=False)
    monkeypatch.setattr(after_norm, "_as_one", lambda *_: False)
    with torch.inference_mode():
        assert torch.equal(model(x), logits)
    assert profile(model, [x], check_flops=False) == found
