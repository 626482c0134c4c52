"""What holds for a network of every family, at a small size."""

import copy
import itertools

import pytest
import torch

import saformer
from saformer.checkpoints import read_checkpoint
from saformer.errors import InputError
from saformer.folding import folded
from saformer.models import PRESETS, Model
from saformer.models.config import example_input
from saformer.models.registry import MODELS
from saformer.models.transformer_config import TransformerConfig
from tests.helpers.oracles import ORACLES
from tests.helpers.small_networks import SMALL

# Whose code is not public, or saves a list without names, so that no other file has names of these.
OWN_FILES_ALONE = {"neunorm-cifarnet", "dspike-resnet", "salt-vgg", "tssl-bp-cifarnet"}


def active(model: Model) -> Model:
    """The network with norms that let spikes through, in float64."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in ((module.weight, 0.5, 1.5), (module.running_var, 0.1, 0.3), (module.bias, 0, 1)):
                tensor.data = torch.empty_like(tensor).uniform_(low, high, generator=generator)
    return model.double()


def test_there_is_a_small_network_of_each():
    assert SMALL.keys() == MODELS.keys()


@pytest.mark.parametrize("family", SMALL)
def test_calls_images_files_and_folding_change_nothing(family, tmp_path):
    torch.manual_seed(0)
    name, settings = SMALL[family]
    model = active(saformer.build(name, **settings))
    x = example_input(model, random=True)
    x = torch.cat([x, x.flip(-1)])
    x = x.double() if x.is_floating_point() else x
    saformer.save(model, tmp_path / "x.safetensors")
    read = saformer.load(tmp_path / "x.safetensors")
    merged = folded(copy.deepcopy(model)).model
    with torch.inference_mode():
        y = model(x)
        assert torch.equal(model(x), y)
        assert torch.allclose(model(x[1:]), y[1:], rtol=0, atol=1e-9)
        assert read.config == model.config and torch.equal(read.double()(x), y)
        assert torch.allclose(merged(x), y, rtol=0, atol=1e-6)
    inputs = {key: getattr(model.config, key) for key in model.config.input_settings}
    assert saformer.build(model.config.name, **inputs).config == model.config


def claims(weights: dict[str, torch.Tensor]) -> list[str]:
    return [family.name for family in MODELS.values() if family.model.recognise(weights, {}) is not None]


@pytest.mark.parametrize("path", sorted(ORACLES.glob("*.pth*")), ids=lambda path: path.name)
def test_one_family_claims_a_published_checkpoint(path):
    assert len(claims(read_checkpoint(path).weights)) == 1


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_one_family_claims_its_weights(name):
    with torch.device("meta"):
        model = saformer.build(name)
    assert model.config.name == name
    assert not model.training
    if isinstance(model.config, TransformerConfig):
        family, depth, dim = name.removeprefix("cml-").split("-")
        assert (model.config.family, model.config.depth, model.config.dim) == (family, int(depth), int(dim))
        assert len(model.block) == int(depth)
    weights = {key: torch.ones((), dtype=w.dtype).expand(w.shape) for key, w in model.state_dict().items()}
    own_alone = any(name.startswith(begin) for begin in OWN_FILES_ALONE)
    assert claims(weights) == ([] if own_alone else [model.config.family])


def test_other_plain_networks_are_nobodys():
    def layers(norm: bool) -> list[torch.nn.Module]:
        widths = [3, 64, 128, 256, 512, 512, 512, 512, 512]
        return [
            layer
            for i, o in itertools.pairwise(widths)
            for layer in (torch.nn.Conv2d(i, o, 3, bias=not norm), torch.nn.BatchNorm2d(o), torch.nn.ReLU())
        ]

    for names, first in ((("features", "classifier"), 0), (("conv", "fc"), 1)):
        flat = [torch.nn.Flatten()] * first
        linear = [*flat, torch.nn.Linear(512, 64), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(64, 10)]
        for norm in (True, False):
            model = torch.nn.ModuleDict(
                dict(zip(names, (torch.nn.Sequential(*layers(norm)), torch.nn.Sequential(*linear)), strict=True))
            )
            assert claims(model.state_dict()) == []


@pytest.mark.parametrize(
    ("name", "settings", "shown"),
    [
        ("spikingresformer-dvs", SMALL["spikingresformer"][1], {"summed": True}),
        ("ann-resnet-19", SMALL["resnet"][1], {"neuron": "relu"}),
        ("liaf-net-gesture", SMALL["tasnn"][1], {"analog": True}),
    ],
)
def test_what_weights_cannot_show_is_named_and_can_be_given(name, settings, shown, tmp_path):
    model = saformer.build(name, **settings)
    torch.save({"model": model.state_dict()}, tmp_path / "x.pth")
    (key,) = shown
    (taken,) = [a for a in saformer.load(tmp_path / "x.pth").origin.assumptions if a.setting == key]
    assert taken.source == "default" and f"--set {key}=" in taken.note
    found = saformer.load(
        tmp_path / "x.pth", **shown, time_steps=model.config.time_steps, image_size=model.config.image_size
    )
    assert found.config == model.config


def test_event_frames_show_that_polarities_are_summed(tmp_path):
    model = saformer.build("spikingresformer-dvs", **SMALL["spikingresformer"][1])
    torch.save({"model": model.state_dict()}, tmp_path / "x.pth")
    assert saformer.load(tmp_path / "x.pth", in_channels=2, image_size=8).config == model.config
    with pytest.raises(InputError, match=r"prologue\.0\.weight"):
        saformer.load(tmp_path / "x.pth", in_channels=1)
