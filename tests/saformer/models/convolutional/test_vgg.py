"""Plain convolutional networks: their sizes, their published checkpoints and the parts that only they have."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import saformer
from saformer.errors import InputError
from saformer.models.convolutional.vgg import VGG, VGGConfig
from saformer.models.convolutional.vgg_parts import (
    NormOfEachStep,
    PoissonEncoder,
    StandardisedConv2d,
    SteadyDropout,
    Trace,
)
from saformer.models.convolutional.vgg_presets import (
    BNTT,
    DIET,
    DSR,
    DSR_LIF,
    HYBRID,
    OTTT,
    PLIF,
    PRESETS,
    STBP,
    TET,
    TSSL_BP,
    chain,
)
from tests.helpers.oracles import Oracle

# Counted by running the public code once; of neunorm-cifarnet and SALT, by hand from the layers of the papers.
SIZES = {
    "bntt-vgg-11": (11_731_328, 155_271_168),
    "bntt-vgg-9": (5_941_056, 194_717_696),
    "stbp-cifarnet": (45_005_450, 1_245_582_336),
    "neunorm-cifarnet": (44_999_040, 1_245_582_336),
    "diet-vgg-11": (36_194_004, 404_463_616),
    "diet-vgg-16": (39_917_278, 338_403_328),
    "diet-vgg-9": (32_065_234, 281_780_224),
    "dsr-vgg-11": (9_476_327, 342_643_712),
    "dsr-vgg-11-lif": (9_476_327, 342_643_712),
    "hybrid-vgg-11": (21_116_608, 709_660_672),
    "hybrid-vgg-16": (39_917_248, 338_403_328),
    "ottt-vgg-11": (9_228_362, 605_754_368),
    "plif-vgg-6-dvs": (17_427_718, 847_454_208),
    "plif-vgg-7-gesture": (1_698_311, 841_014_272),
    "plif-vgg-8": (36_718_344, 1_701_781_504),
    "salt-vgg-11": (11_729_984, 155_271_168),
    "salt-vgg-16-dvs": (16_856_448, 705_503_232),
    "salt-vgg-9": (5_941_184, 194_717_696),
    "tet-vggsnn": (9_271_498, 1_361_654_784),
    "tssl-bp-cifarnet": (21_156_384, 615_032_832),
}

TINY = {"image_size": 8, "time_steps": 3, "num_classes": 5}
# A narrow network in the layout of each published code.
NARROW: dict[str, dict[str, Any]] = {
    "plif": {**PLIF, "in_channels": 2, "layers": chain("4 p 6 6 p d f8 d")},
    "plif, static": {**PLIF, "once": True, "layers": chain("4 6 p 6 p d f8")},
    "diet": {**DIET, "layers": chain("4 p 6 d 6 p f8 d f8 d")},
    "hybrid": {**HYBRID, "layers": chain("4 p 6 d 6 p f8 d f8 d")},
    "tet": {**TET, "in_channels": 2, "layers": chain("4 6 p 6 p")},
    "dsr": {**DSR, "in_channels": 2, "layers": chain("4 d p 6 d 6 d p a2")},
    "dsr, leaky": {**DSR_LIF, "in_channels": 2, "layers": chain("4 d p 6 d 6 d p a2")},
    "ottt": {**OTTT, "layers": chain("4 6 p 6 a2")},
    "stbp": {**STBP, "layers": chain("4 5 p 6 p 7 6 f8 f9")},
    "bntt": {**BNTT, "layers": chain("4 4 p 5 5 p 6 6 6 p f8")},
    "tsslbp": {**TSSL_BP, "layers": chain("4 d 6 p d 6 p d 6 d 6 d f8 d f9 d")},
}
# Networks whose code saves them in a second way.
PLAIN = {"ottt, without rates": "ottt"}


def narrow(kind: str) -> VGG:
    """A narrow network of a layout, with weights and norms that let its neurons fire."""
    torch.manual_seed(0)
    model = VGG(VGGConfig(**{"in_channels": 3, **TINY, **NARROW[kind]})).eval()
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1 and not name.endswith("gain"):
            tensor.mul_(3)
        elif name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.1, 0.3)
        elif name.endswith(("threshold", "leak")):
            tensor.uniform_(0.5, 1)
        elif name.endswith("Vth"):
            tensor.uniform_(1, 2).mul_(0.1 if "leaky" in kind else 1)
    return model


def pictures(model: VGG) -> Tensor:
    config = model.config
    frames = [config.time_steps] if config.in_channels == 2 else []
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, *frames, config.in_channels, config.image_size, config.image_size, generator=generator)


# --- Published networks ---


def test_every_network_has_a_size_here() -> None:
    assert SIZES.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_operations_are_those_of_the_published_code(name: str) -> None:
    with torch.device("meta"):
        model = saformer.build(name, time_steps=1)
        x = torch.empty(1, model.config.in_channels, model.config.image_size, model.config.image_size)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(x)
    assert model.config.name == name
    assert (sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2) == SIZES[name]


def test_the_published_code_of_plif_gives_the_same_integers() -> None:
    oracle = Oracle("plif_16_gesture")
    model = oracle.load(time_steps=4)
    assert model.config.name == "plif-vgg-7-gesture+layers=c16,p,c16,p,c16,p,c16,p,c16,p,d,f64,d"
    assert model.origin is not None
    assert {a.setting for a in model.origin.assumptions if a.source == "default"} == {"pool", "image_size"}
    oracle.check(model)


# --- Checkpoints ---


def published(model: VGG, plain: bool = False) -> dict[str, Tensor]:
    """Weights under the names of the published code."""
    weights = dict(model.state_dict())
    if plain:
        weights = {name.replace(".op.", "."): tensor for name, tensor in weights.items()}
    if model.config.layout == "tsslbp":  # a list; convolutions slide over time, too
        weights = {f"my_parameters.{i}": w[..., None] if w.ndim == 4 else w for i, w in enumerate(weights.values())}
    if model.config.neuron == "learnable":  # thresholds and leaks are numbered on from the convolutions
        first = 3 * sum(word[0] == "c" for word in model.config.layers)
        for name in [name for name in weights if name.endswith((".threshold", ".leak"))]:
            section, place, kind = name.split(".")
            number = int(place) - 1 + (first if section == "classifier" else 0)
            weights[f"{kind}.{kind[0]}{number}"] = weights.pop(name)
    if model.config.layout == "stbp":  # layers have a second name
        weights |= {f"conv{i}_s.layer.weight": weights[f"conv{i}.weight"].clone() for i in range(5)}
    return weights


@pytest.mark.parametrize("kind", [*NARROW, *PLAIN])
def test_a_published_checkpoint_gives_settings_and_weights(tmp_path: Path, kind: str) -> None:
    model = narrow(PLAIN.get(kind, kind))
    torch.save({"net": published(model, kind in PLAIN)}, tmp_path / "x.pth")
    found = saformer.load(tmp_path / "x.pth", time_steps=TINY["time_steps"], image_size=TINY["image_size"])
    assert found.config == model.config
    x = pictures(model)
    with torch.inference_mode():
        assert torch.equal(found(x), model(x))


def test_whether_neurons_of_dsr_leak_follows_from_v_th_is_said_and_can_be_given(tmp_path: Path) -> None:
    torch.save(narrow("dsr").state_dict(), tmp_path / "x.pth")
    found = saformer.load(tmp_path / "x.pth")
    assert isinstance(found.config, VGGConfig) and found.origin is not None
    assert (found.config.neuron, found.config.readout, found.config.threshold) == ("dsr-if", "mean", 6.0)
    (taken,) = [a for a in found.origin.assumptions if a.setting == "neuron"]
    assert taken.source == "default" and "--set neuron=" in taken.note
    leaky = saformer.load(tmp_path / "x.pth", neuron="dsr-lif").config
    assert isinstance(leaky, VGGConfig)
    assert (leaky.fires_at, leaky.readout, leaky.least_threshold) == (0.3, "recent", 0.0005)


def test_other_networks_of_tssl_bp_than_its_cifarnets_are_named(tmp_path: Path) -> None:
    torch.save(
        {"net": {"my_parameters.0": torch.ones(4, 1, 5, 5, 1), "my_parameters.1": torch.ones(9, 64)}}, tmp_path / "x"
    )
    with pytest.raises(InputError, match=r"as those of TSSL-BP's code.*--model package\.module:factory --ckpt FILE"):
        saformer.load(tmp_path / "x")


def test_thresholds_of_hybrid_conversion_come_from_beside_the_weights(tmp_path: Path) -> None:
    model = narrow("hybrid")
    beside = {"thresholds": [0.5, 0.6, 0.7, 0.8, 0.9], "timesteps": 7, "leak": 1.0}
    torch.save({"state_dict": model.state_dict(), **beside}, tmp_path / "x.pth")
    config = saformer.load(tmp_path / "x.pth").config
    assert isinstance(config, VGGConfig)
    assert (config.thresholds, config.time_steps) == ((0.5, 0.6, 0.7, 0.8, 0.9), 7)
    torch.save({"state_dict": model.state_dict(), **beside, "leak": 0.99}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="its neurons leak"):
        saformer.load(tmp_path / "x.pth")


# --- What they compute ---


@pytest.mark.parametrize("kind", NARROW)
def test_every_parameter_learns_and_a_call_leaves_nothing_behind(kind: str) -> None:
    model = narrow(kind)
    x = pictures(model)
    with torch.inference_mode():
        assert torch.equal(model(x), model(x)) and torch.equal(model(x)[:1], model(x[:1]))
    model.train()
    model(x).square().sum().backward()
    silent = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert silent == []


def test_a_first_layer_computed_once_changes_no_result() -> None:
    once = narrow("plif, static")
    x = pictures(once)
    frames = x[:, None].expand(-1, 3, -1, -1, -1)
    with torch.inference_mode():
        assert torch.allclose(once(x), once(frames), atol=1e-6)


def test_poisson_spikes_have_the_rate_and_sign_of_the_input_and_do_not_depend_on_the_batch() -> None:
    x = torch.tensor([0.8, -0.5, 0.0]).reshape(3, 1, 1).expand(2000, 2, 3, 1, 1)
    spikes = PoissonEncoder(rate=0.5, seed=1)(x)
    assert set(spikes.unique().tolist()) == {-1.0, 0.0, 1.0} and torch.equal(spikes[:, :1], spikes[:, 1:])
    assert torch.allclose(spikes.mean((0, 1)).flatten(), torch.tensor([0.4, -0.25, 0.0]), atol=0.05)
    assert torch.equal(spikes, PoissonEncoder(0.5, 1)(x)) and not torch.equal(spikes, PoissonEncoder(0.5, 2)(x))


def test_a_trace_falls_off_by_its_time_constant() -> None:
    spikes = torch.tensor([1.0, 0.0, 1.0])[:, None]
    kept = 1 - 1 / 3
    wanted = [1 / 3, kept / 3, kept**2 / 3 + 1 / 3]
    assert Trace(3.0)(spikes).flatten().tolist() == pytest.approx(wanted)


def test_norms_through_time_are_those_of_their_step() -> None:
    norms = NormOfEachStep(torch.nn.BatchNorm2d(2) for _ in range(3)).eval()
    for step, norm in enumerate(norms):
        norm.running_mean.fill_(step)
    x = torch.zeros(3, 1, 2, 1, 1)
    assert torch.allclose(norms(x)[:, 0, 0, 0, 0], -torch.arange(3.0), atol=1e-4)
    assert sum(p.numel() for p in norms.parameters()) == 3 * 2


def test_standardised_weights_have_no_mean_and_the_gain_as_norm() -> None:
    layer = StandardisedConv2d(3, 4, bias=False)
    layer.gain.data.fill_(2.0)
    delta = torch.zeros(27, 3, 3, 3)
    delta[range(27), [i // 9 for i in range(27)], [i // 3 % 3 for i in range(27)], [i % 3 for i in range(27)]] = 1
    weights = layer(delta)[:, :, 1, 1]  # of an impulse at each place: the weights themselves
    assert torch.allclose(weights.sum(0), torch.zeros(4), atol=1e-5)
    assert torch.allclose(weights.square().sum(0), torch.tensor(4.0 * 26 / 27), rtol=1e-2)


def test_dropout_leaves_out_the_same_values_at_every_step() -> None:
    x = torch.ones(4, 1, 100)
    dropped = SteadyDropout(0.5).train()(x)
    assert torch.equal(dropped, dropped[:1].expand(4, -1, -1)) and 20 < int((dropped[0] == 0).sum()) < 80
    assert torch.equal(SteadyDropout(0.5).eval()(x), x)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layers": ("c8", "x3")}, "words such as c64"),
        ({"layers": ("c8", "f8", "p")}, "p has no place"),
        ({"layers": ("f8",)}, "needs a convolution"),
        ({"layers": ("c8", *["p"] * 6)}, "too small"),
        ({"thresholds": (1.0, 2.0)}, "thresholds takes none or 8 numbers"),
        ({"dropout": 1.0}, "dropout must be a number from 0"),
        ({"trace": -1.0}, "trace must be a number > 0"),
        ({"neuron": "relu"}, "neuron must be one of"),
        ({"once": True, "layout": "tet"}, "once goes with layout=plif"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        saformer.build("plif-vgg-8", **settings)
