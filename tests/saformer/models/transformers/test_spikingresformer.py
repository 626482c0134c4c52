import pytest
import torch

import saformer
from saformer.errors import InputError
from tests.helpers.oracles import Oracle

SMALL = {"widths": (8, 16), "blocks": (1, 1), "heads": (1, 2), "patches": (2, 1), "group": 8, "image_size": 8}


def test_it_computes_what_the_published_code_does():
    oracle = Oracle("spikingresformer_32_cifar")
    model = oracle.load()
    assert (model.config.heads, model.config.patches, model.config.group) == ((1, 2, 3), (4, 2, 1), 16)
    oracle.check(model)


@pytest.mark.parametrize(
    ("name", "parameters", "of_norms"),
    [
        ("spikingresformer-ti", 11_180_992, 39_680),
        ("spikingresformer-s", 17_813_824, 52_352),
        ("spikingresformer-m", 35_601_472, 35_601_472 - 35_523_776),
        ("spikingresformer-l", 60_375_680, 104_704),
        ("spikingresformer-cifar", 10_793_152, 39_680),
    ],
)
def test_published_sizes(name, parameters, of_norms):
    with torch.device("meta"):
        model = saformer.build(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert sum(p.numel() for m in norms for p in m.parameters()) == of_norms
    assert model.config.name == name


@pytest.mark.parametrize("name", ["spikingresformer-gesture", "spikingresformer-cifar"])
def test_a_checkpoint_gives_the_settings_back(tmp_path, name):
    model = saformer.build(name, widths=(8, 16), blocks=(1, 2), heads=(1, 2), patches=(2, 1), group=8)
    torch.save({"model": model.state_dict()}, tmp_path / "x.pth")
    assert saformer.load(tmp_path / "x.pth").config == model.config


def test_events_get_the_sum_of_both_polarities():
    model = saformer.build("spikingresformer-dvs", **SMALL, time_steps=2)
    read = []
    model.prologue[0].register_forward_pre_hook(lambda module, args: read.append(args[0]))
    frames = torch.rand(3, 2, 2, 8, 8)
    model(frames)
    (seen,) = read
    assert torch.equal(seen[:, 2], frames.transpose(0, 1).flatten(0, 1).sum(1))


def test_training_measures_the_rates_and_every_parameter_learns():
    torch.manual_seed(0)
    model = saformer.build("spikingresformer-cifar", **SMALL).train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.bias += 1
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert 0 < float(model.layers[0][0].firing_rate_x) <= 1


def test_it_runs_before_any_rate_was_measured():
    assert saformer.build("spikingresformer-cifar", **SMALL)(torch.randn(1, 3, 8, 8)).isfinite().all()


@pytest.mark.parametrize(
    "settings",
    [{"heads": (1,)}, {"heads": (1, 3)}, {"group": 7}, {"stem": "none"}, {"neuron": "if"}, {"summed": True}],
)
def test_settings_that_do_not_fit(settings):
    with pytest.raises(InputError) as caught:
        saformer.build("spikingresformer-cifar", **{**SMALL, **settings})
    assert "\n" not in str(caught.value)
