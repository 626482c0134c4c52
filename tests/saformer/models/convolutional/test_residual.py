"""The residual networks: published sizes, published names, and what each family computes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import saformer
from saformer.checkpoints import load
from saformer.errors import InputError
from saformer.models import PRESETS
from saformer.models.convolutional.vgg_parts import DelayedIF

# Parameters, and dense multiply-accumulates of one image in all T steps.
# The heads of MS-ResNet and SEW-ResNet run once, on the mean over time; so does the first convolution of SEW-ResNet.
SIZES = {
    "ann-resnet-19": (12_630_858, 2_216_495_616),
    "tdbn-resnet-19": (12_630_858, 6 * 2_216_495_616),
    "tdbn-resnet-19-dvs": (12_630_858 - 576, 10 * 4_985_620_992),
    "tdbn-resnet-19-gesture": (12_630_858 - 576 + 257, 40 * (35_452_488_192 + 256)),
    "tet-resnet-19": (12_630_858, 4 * 2_216_495_616),
    "dspike-resnet-18": (11_247_946 + 90 * 513, 6 * (215_684_096 + 90 * 512)),
    "dspike-resnet-18-dvs": (11_247_946 - 576, 10 * 483_955_712),
    "ms-resnet-18": (11_173_962 + 90 * 513, 6 * (555_422_720 - 5_120) + 51_200),
    "ms-resnet-21": (11_173_962, 16 * (555_422_720 - 5_120) + 5_120),
    "ms-resnet-18-imagenet": (11_693_736, 10_958_950_400),
    "ms-resnet-34-imagenet": (21_801_896, 22_057_078_784),
    "ms-resnet-104-imagenet": (77_350_504, 75_582_427_136),
    "sew-resnet-18": (11_173_962 + 90 * 513, 6 * (555_422_720 - 1_769_472 - 5_120) + 1_769_472 + 51_200),
    "sew-resnet-21": (11_173_962, 16 * (555_422_720 - 1_769_472 - 5_120) + 1_769_472 + 5_120),
    "sew-resnet-18-imagenet": (11_689_512, 4 * 1_814_073_344 - 3 * (118_013_952 + 512_000)),
    "sew-resnet-50-imagenet": (25_557_032, 4 * 4_089_184_256 - 3 * (118_013_952 + 2_048_000)),
    "spiking-resnet-18-imagenet": (11_689_512, 4 * 1_814_073_344 - 3 * (118_013_952 + 512_000)),
    "sew-7b-net-gesture": (130_426, 16 * (403_677_536 - 352) + 352),
    "wide-7b-net-dvs": (1_192_218, 16 * (1_631_716_608 - 1_280) + 1_280),
    "dsr-preact-resnet-18": (11_176_945, 20 * 555_422_720),
    "sltt-preact-resnet-18": (11_176_906, 6 * 555_422_720),
    "diet-resnet-20": (11_253_478, 5 * 215_699_456),
    "hybrid-resnet-20": (11_253_440, 250 * 215_699_456),
}

NARROW = {"widths": (4, 6, 8, 12), "blocks": (2, 1, 1, 1), "image_size": 16, "time_steps": 3, "num_classes": 5}
RESNET = {**NARROW, "widths": (6, 8, 12), "blocks": (2, 1, 1)}
SMALL: dict[str, dict[str, Any]] = {
    "ann-resnet-19": {**RESNET, "time_steps": 1},
    "tdbn-resnet-19": {**RESNET, "stem_width": 4, "hidden": 7},
    "tet-resnet-19": {**RESNET, "stem_width": 4, "hidden": 7},
    "dspike-resnet-18": NARROW,
    "ms-resnet-18": NARROW,
    "ms-resnet-18-imagenet": NARROW,
    "ms-resnet-104-imagenet": {**NARROW, "image_size": 64},
    "sew-resnet-18": NARROW,
    "sew-resnet-18-imagenet": NARROW,
    "sew-resnet-50-imagenet": NARROW,
    "spiking-resnet-18-imagenet": NARROW,
    "wide-7b-net-dvs": {"widths": (4, 4, 6), "image_size": 16, "time_steps": 3},
    "dsr-preact-resnet-18": NARROW,
    "dsr-preact-resnet-18-if": NARROW,
    "sltt-preact-resnet-18": NARROW,
    "diet-resnet-20": NARROW,
    "hybrid-resnet-20": {**NARROW, "time_steps": 20},  # 13 layers of neurons, each a step later
}


def batch(model: saformer.models.Model, images: int = 2) -> Tensor:
    config = model.config
    shape = (config.in_channels, config.image_size, config.image_size)
    frames = (config.time_steps,) if config.in_channels == 2 else ()
    return torch.rand(images, *frames, *shape, generator=torch.Generator().manual_seed(1)) * 2


def small(name: str) -> saformer.models.Model:
    """A narrow network whose neurons fire."""
    torch.manual_seed(0)
    model = saformer.build(name, **SMALL[name])
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d) and model.config.family == "dietresnet":
            torch.nn.init.normal_(module.weight, 0.1, 0.3)
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.6, 1.2)
            torch.nn.init.uniform_(module.bias, 0.0, 0.6)
            if name.endswith("-if"):  # V_th is 6
                module.weight.data, module.bias.data = module.weight * 6, module.bias * 6
    with torch.no_grad():
        model.train()(batch(model))
    return model.eval()


# --- Sizes ---


@pytest.mark.parametrize("name", SIZES)
def test_parameters_and_dense_operations_are_those_of_the_published_network(name):
    with torch.device("meta"):
        model = saformer.build(name)
        config = model.config
        shape = (config.in_channels, config.image_size, config.image_size)
        x = torch.empty(1, *((config.time_steps,) if config.in_channels == 2 else ()), *shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert (sum(p.numel() for p in model.parameters()), counter.get_total_flops()) == (
        SIZES[name][0],
        2 * SIZES[name][1],
    )


def test_every_preset_says_its_input_classes_and_steps():
    families = ("resnet", "msresnet", "sewresnet", "sew7b", "preactresnet", "dietresnet")
    for family in families:
        for name, settings in saformer.models.registry.MODELS[family].presets.items():
            assert {"in_channels", "image_size", "num_classes", "time_steps"} <= settings.keys(), name
            assert PRESETS[name] == settings and saformer.models.configure(name).name == name


# --- Published checkpoints ---


def published(name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict under the names that the published code gives it."""
    if name.startswith("diet"):
        layers = [key.removesuffix(".threshold") for key in weights if key.endswith(".threshold")]
        places = (0, 3, 6, *range(9, 9 + len(layers) - 3))
        for place, layer in zip(places, layers, strict=True):
            weights[f"threshold.t{place}"] = weights.pop(f"{layer}.threshold")
            weights[f"leak.l{place}"] = weights.pop(f"{layer}.leak")
    if name.startswith("tdbn"):  # each layer has a second name
        again = {key.replace("conv1.", "conv1_s.layer."): t for key, t in weights.items() if "conv1." in key}
        weights |= again | {"fc1_s.layer.bias": weights["fc1.bias"]}
    if name.startswith("tet"):
        weights |= {key.replace(".bn.", ".seqbn.module."): t for key, t in weights.items() if ".bn." in key}
    if name.startswith(("sew", "spiking")):  # as the container of SpikingJelly 0.0.0.0.4 has it
        weights = {
            key.replace("conv1.", "conv1.module.").replace("conv2.", "conv2.module.").replace("conv3.", "conv3.module.")
            if key.startswith("layer")
            else key: tensor
            for key, tensor in weights.items()
        }
    return {f"module.{key}": tensor for key, tensor in weights.items()}


@pytest.mark.parametrize("name", [name for name in SMALL if not name.startswith(("ann", "dspike"))])
def test_a_published_checkpoint_gives_the_network_of_its_preset(tmp_path, name):
    model, given = small(name), {key: SMALL[name][key] for key in ("image_size", "time_steps")}
    torch.save({"state_dict": published(name, dict(model.state_dict()))}, tmp_path / "x.pth")
    found = load(tmp_path / "x.pth", **given)
    assert found.config == model.config
    assert found.origin is not None and found.origin.unused_parameters == 0
    x = batch(model)
    with torch.inference_mode():
        logits = model(x)
        assert torch.equal(found(x), logits)
    assert logits.std(1).min() > 0


def test_connection_and_thresholds_come_from_what_is_stored(tmp_path):
    weights = small("sew-resnet-18").state_dict()
    torch.save({"model": weights, "args": {"connect_f": "IAND", "T": 2}}, tmp_path / "x.pth")
    sew = load(tmp_path / "x.pth").config
    assert (sew.connect, sew.time_steps, sew.image_size) == ("IAND", 2, 32)
    thresholds = [0.5 + n / 8 for n in range(13)]
    weights = small("hybrid-resnet-20").state_dict()
    torch.save({"state_dict": weights, "thresholds": thresholds, "timesteps": 9, "leak": 1.0}, tmp_path / "x.pth")
    hybrid = load(tmp_path / "x.pth").config
    assert (hybrid.thresholds, hybrid.time_steps, hybrid.image_size) == (tuple(thresholds), 9, 16)
    torch.save({"state_dict": weights, "thresholds": thresholds, "leak": 0.95}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="its neurons leak"):
        load(tmp_path / "x.pth")


# --- What they compute ---


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name):
    model = saformer.build(name, **SMALL[name]).train()
    model(batch(model)).square().sum().backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", ["sew-resnet-18", "tdbn-resnet-19", "dsr-preact-resnet-18", "hybrid-resnet-20"])
def test_an_image_is_the_same_as_equal_frames_and_does_not_depend_on_its_batch(name):
    model = small(name).double()
    x = batch(model).double()
    with torch.inference_mode():
        logits = model(x)
        frames = x[:, None].expand(-1, model.config.time_steps, -1, -1, -1)
        assert torch.allclose(model(frames), logits, rtol=0, atol=1e-12)
        assert torch.allclose(torch.cat([model(x[:1]), model(x[1:])]), logits, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("connect", "join"), [("ADD", lambda a, s: a + s), ("IAND", lambda a, s: s * (1 - a))])
def test_spikes_of_a_block_and_its_shortcut_are_joined(connect, join):
    block = saformer.build("sew-resnet-18", **NARROW, connect=connect).layer1[0].eval()
    x = (torch.rand(3, 2, 4, 8, 8) < 0.5).float()
    spikes = block.sn2(block.conv2(block.sn1(block.conv1(x))))
    assert torch.equal(block(x), join(spikes, x))


@pytest.mark.parametrize("kind", ["dsr-if", "dsr-lif"])
def test_neurons_of_dsr_lower_the_membrane_by_more_than_the_threshold_they_fire_at(kind):
    config = saformer.models.configure("dsr-preact-resnet-18", neuron=kind, threshold=0.7, fires_at=0.4, delta=0.5)
    x = torch.rand(9, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 0.4
    found = config.make_neuron().double()(x)
    membrane, keep, wanted = torch.zeros(50, dtype=torch.float64), math.exp(-0.5), []
    height = float(torch.tensor(0.7))  # the parameter is float32
    for current in x:
        charged = membrane + current if kind == "dsr-if" else keep * membrane + (1 - keep) * current
        spikes = (charged >= 0.4 * height).double() * height
        membrane = charged - spikes
        wanted.append(spikes if kind == "dsr-if" else spikes / 0.5)
    assert torch.allclose(found, torch.stack(wanted), rtol=1e-12) and 0.05 < (found > 0).double().mean() < 0.95


def test_spikes_of_hybrid_neurons_come_a_step_later():
    x = torch.tensor([[0.6], [0.6], [1.5], [0.0]])
    assert DelayedIF(1.0)(x).flatten().tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ms-resnet-18", {"blocks": (2, 2)}, "blocks and widths give one number for each stage"),
        ("ms-resnet-18", {"tau": 1.0}, "tau must be"),
        ("ms-resnet-104-imagenet", {"image_size": 16}, "need images of 32 pixels"),
        ("sew-resnet-18", {"connect": "OR"}, "connect must be one of ADD, AND, IAND, MEMBRANE"),
        ("sew-resnet-18", {"bottleneck": 1}, "bottleneck must be true or false"),
        ("sew-7b-net-gesture", {"image_size": 32}, "7 pools leave nothing of 32 pixels"),
        ("sew-7b-net-gesture", {"widths": ()}, "widths takes whole numbers"),
        ("tdbn-resnet-19", {"norm": "none"}, "norm must be one of"),
        ("dsr-preact-resnet-18", {"tau": 0}, "tau must be a number"),
        ("hybrid-resnet-20", {"thresholds": (1.0, 2.0)}, "thresholds takes 1 or 19 numbers"),
    ],
)
def test_settings_that_do_not_fit(name, settings, message):
    with pytest.raises(InputError, match=message) as caught:
        saformer.build(name, **settings)
    assert "\n" not in str(caught.value)
