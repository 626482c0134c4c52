"""BatchNorm and the neurons behind it as one operator: the same spikes bit for bit, where nobody looks between."""

import shutil

import pytest
import torch
from torch import nn

import saformer
from saformer.analysis import profile
from saformer.neurons import IF, LIF, after_norm, norm_lif
from saformer.neurons.after_norm import spikes_of

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
SHAPES = [((4, 3, 7, 5, 3), 2), ((2, 3, 6, 1, 1), 2), ((3, 2, 4, 40, 40), 2), ((4, 2, 5, 300), -1), ((3, 2, 24, 9), 2)]


def layers(channels, kind, affine=True):
    generator = torch.Generator().manual_seed(0)
    norm = kind(channels, affine=affine).eval()
    for tensor in (*norm.parameters(), norm.running_mean):
        tensor.data.normal_(generator=generator)
    norm.running_var.uniform_(0.1, 2.0, generator=generator)
    return norm, LIF(tau=1.5, threshold=0.6, reset=-0.125)


def apart(norm, neuron, x, channel):
    rows = x.flatten(0, 1 if channel == 2 else -2)
    return neuron(norm(rows).view_as(x))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(("shape", "channel"), SHAPES)
def test_spikes_are_those_of_both_layers(shape, channel, affine):
    norm, neuron = layers(shape[channel], nn.BatchNorm2d if len(shape) == 5 else nn.BatchNorm1d, affine)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3
    with torch.no_grad():
        assert torch.equal(spikes_of(neuron, norm, x, channel), apart(norm, neuron, x, channel))
        one = norm_lif(
            x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps, channel, 1.5, 0.6, -0.125
        )
        assert torch.equal(one, apart(norm, neuron, x, channel)) and 0 < one.mean() < 1


@pytest.fixture
def calls(monkeypatch):
    """How often the operator ran."""
    seen = []
    monkeypatch.setattr("saformer.neurons.layers.norm_lif", lambda *args: (seen.append(1), norm_lif(*args))[1])
    return seen


@needs_compiler
@pytest.mark.parametrize(
    "other",
    ["hook", "hook on the neurons", "training", "gradient", "float64", "other neurons", "no statistics", "traced"],
)
def test_both_layers_run_where_somebody_looks_or_the_operator_does_not_fit(calls, other):
    norm, neuron = layers(5, nn.BatchNorm2d)
    x = torch.randn(4, 2, 5, 3, 3)
    with torch.no_grad():
        spikes_of(neuron, norm, x)
    assert len(calls) == 1
    seen = []
    if other.startswith("hook"):
        (neuron if "neurons" in other else norm).register_forward_hook(lambda *_: seen.append(1))
    elif other == "training":
        norm.train()
    elif other == "float64":
        norm, x = norm.double(), x.double()
    elif other == "other neurons":
        neuron = IF()
    elif other == "no statistics":
        norm = nn.BatchNorm2d(5, track_running_stats=False)
    with torch.set_grad_enabled(other == "gradient"):
        if other == "traced":
            torch.jit.trace(lambda x: spikes_of(neuron, norm.requires_grad_(False), x), x, check_trace=False)
        else:
            result = spikes_of(neuron, norm, x)
            assert result.requires_grad == (other == "gradient")
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
    with pytest.raises(saformer.InputError, match=r"input of the neurons patch_embed\.proj_lif holds"):
        profile(model, [x], check_flops=False)
    assert calls


def test_without_the_library_both_layers_run(calls, monkeypatch):
    monkeypatch.setattr(after_norm, "native", lambda: None)
    norm, neuron = layers(5, nn.BatchNorm2d)
    with torch.no_grad():
        spikes_of(neuron, norm, torch.randn(4, 2, 5, 3, 3))
    assert not calls
