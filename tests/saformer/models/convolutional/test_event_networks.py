"""TCJA-SNN, TA-SNN, LIAF-Net and DECOLLE: sizes, published checkpoints, attention to time and filtered spikes."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.models import Model

# Parameters, and operations of all steps together: counted by running the public code, T given. Attention of TA-SNN and
# TCJA is once per image. DECOLLE less the six constants that its code holds as parameters.
SIZES = {
    "tcja-snn-gesture": (20, 1_832_576, 20 * 841_165_824),
    "ta-snn-gesture": (20, 2_324_985, 20 * 116_525_824 + 5 * 160),
    "liaf-net-gesture": (1, 2_324_065, 116_525_824),
    "liaf-net-dvs": (10, 2_097_918, 10 * 311_953_920),
    "decolle": (1, 1_841_639 - 6, 315_334_656),
}

TINY = {"in_channels": 2, "image_size": 8, "num_classes": 3, "time_steps": 4}
NARROW: dict[str, tuple[str, dict[str, Any]]] = {
    "tcja": ("tcja-snn-gesture", {"width": 8, "blocks": 2, "attended": 1}),
    "ta": ("ta-snn-gesture", {"widths": (4, 6), "hidden": 8, "reduction": 2}),
    "ta, mean and maximum": (
        "ta-snn-gesture",
        {"widths": (4, 6), "hidden": 8, "reduction": 2, "temporal": "mean-max"},
    ),
    "liaf": ("liaf-net-gesture", {"widths": (4, 6), "hidden": 8}),
    "decolle": ("decolle", {"widths": (4, 6), "pools": (2, 1), "kernel": 3}),
}


def narrow(kind: str) -> Model:
    torch.manual_seed(0)
    name, settings = NARROW[kind]
    model = saformer.build(name, **TINY, **settings)
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1 and "readout" not in name:
            tensor.mul_(4)
    return model


X = (torch.rand(2, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.4).float()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_operations_are_those_of_the_published_code(name: str) -> None:
    steps, parameters, operations = SIZES[name]
    with torch.device("meta"):
        model = saformer.build(name, time_steps=steps)
        x = torch.empty(1, 2, model.config.image_size, model.config.image_size)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(x)
    assert model.config.name == name
    assert (sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2) == (parameters, operations)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", NARROW)
def test_a_published_checkpoint_gives_settings_and_weights(tmp_path: Path, kind: str) -> None:
    model = narrow(kind)
    weights = dict(model.state_dict())
    if kind == "decolle":
        weights |= {f"LIF_layers.{i}.tau_{letter}": torch.tensor(9.0) for i in range(2) for letter in "ms"}
    torch.save({"net": weights}, tmp_path / "x.pth")
    said = {"analog": True} if kind == "liaf" else {}
    found = saformer.load(tmp_path / "x.pth", time_steps=4, image_size=8, **said)
    assert found.config == model.config
    with torch.inference_mode():
        assert torch.equal(found(X), model(X))


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("kind", NARROW)
def test_every_parameter_that_is_trained_learns(kind: str) -> None:
    model = narrow(kind)
    with torch.inference_mode():
        assert torch.equal(model(X), model(X)) and torch.allclose(model(X)[:1], model(X[:1]), atol=1e-6)
    model.train()
    model(X).square().sum().backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert [name for name in trained if model.get_parameter(name).grad is None] == []
    assert all(name.startswith("readout_layers.") for name, _ in model.named_parameters() if name not in trained)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_attention_is_a_product_and_its_result_no_spikes() -> None:
    operations = {o.name: o for o in profile(narrow("tcja"), [X]).operations}
    assert {"conv.5.joint", "conv.5.attended"} <= operations.keys()
    assert not operations["fc.2.0"].gate.binary and operations["conv.3.0"].gate.binary
    assert operations["conv.5.attended"].dense == X.shape[0] * TINY["time_steps"] * 8 * 4 * 4


def test_attention_to_time_is_none_where_its_weights_are_none() -> None:
    model = narrow("ta")
    plain = saformer.build("ta-snn-gesture", **TINY, **{**NARROW["ta"][1], "temporal": "none"})
    weights = model.state_dict()
    for name, tensor in weights.items():
        if "temporal_excitation.2" in name:
            tensor.fill_(0.0 if name.endswith("weight") else 50.0)  # sigmoid(50) = 1
    plain.load_state_dict({name: tensor for name, tensor in weights.items() if ".attention." not in name})
    with torch.inference_mode():
        assert torch.equal(model(X), plain(X))


def test_neurons_of_decolle_fire_less_after_a_spike() -> None:
    layer = narrow("decolle").LIF_layers[0].double()
    x = torch.rand(12, 1, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    layer.base_layer.weight.data.abs_()
    layer.base_layer.bias.data.fill_(-0.05)
    with torch.inference_mode():
        found = layer(x)
        synapse = membrane = torch.zeros_like(x[0])
        own = spikes = torch.zeros(1, 4, 8, 8, dtype=torch.float64)
        for current, fired in zip(x, found, strict=True):
            membrane, synapse = 0.97 * membrane + 0.03 * synapse, 0.92 * synapse + 0.08 * current
            own = 0.65 * own - 0.35 * spikes
            spikes = (layer.base_layer(membrane) + own > 0).double()
            assert torch.equal(fired, spikes)
    assert 0.05 < float(found.mean()) < 0.95


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("tcja-snn-gesture", {"attended": 6}, "attended must be at most blocks"),
        ("tcja-snn-gesture", {"image_size": 16}, "too small for 5 pools"),
        ("ta-snn-gesture", {"time_steps": 3}, "reduction must be at most time_steps"),
        ("ta-snn-gesture", {"widths": ()}, "widths takes whole numbers"),
        ("ta-snn-gesture", {"image_size": 2}, "too small"),
        ("decolle", {"pools": (2,)}, "a pool for each width"),
        ("decolle", {"kernel": 4}, "an odd kernel"),
    ],
)
def test_settings_that_do_not_fit(name: str, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        saformer.build(name, **settings)
