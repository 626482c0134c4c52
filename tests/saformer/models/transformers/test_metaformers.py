import pytest
import torch

import saformer
from saformer.errors import InputError
from tests.helpers.oracles import Oracle


def test_meta_spikeformer_computes_what_the_published_code_does():
    oracle = Oracle("metaspikeformer_24_imagenet")
    model = oracle.load()
    assert model.config.time_steps == 3 and model.config.heads == 8 and not model.config.distilled
    oracle.check(model)


def test_e_spikeformer_computes_what_the_published_code_does():
    oracle = Oracle("espikeformer_24_imagenet")
    model = oracle.load()
    assert (model.config.levels, model.config.heads, model.config.expansion) == (4, 8, 4)
    oracle.check(model)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("metaspikeformer-15m", 15_112_208),
        ("metaspikeformer-31m", 31_333_864),
        ("metaspikeformer-55m", 55_350_248),
        ("espikeformer-3m", 2_702_048),
        ("espikeformer-5m", 5_105_608),
        ("espikeformer-10m", 10_023_112),
        ("espikeformer-19m", 18_987_504),
        ("espikeformer-83m", 83_015_952),
        ("espikeformer-173m", 171_740_714),
    ],
)
def test_published_sizes(name, parameters):
    with torch.device("meta"):
        model = saformer.build(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert (model.config.name, model.config.tokens) == (name, 14 * 14)


@pytest.mark.parametrize("family", ["metaspikeformer", "espikeformer"])
def test_a_checkpoint_gives_the_settings_back(tmp_path, family):
    size = {"widths": (8, 16, 16, 24), "blocks": (1, 2), "num_classes": 5, "image_size": 32}
    model = saformer.build(f"{family}-{'15m' if family == 'metaspikeformer' else '5m'}", **size)
    torch.save({"model": model.state_dict()}, tmp_path / "x.pth")
    found = saformer.load(tmp_path / "x.pth", time_steps=model.config.time_steps, image_size=32)
    assert found.config == model.config


def small(family: str, **settings: object) -> torch.nn.Module:
    size = {"widths": (4, 8, 8, 16), "blocks": (1, 1), "num_classes": 5, "image_size": 32, "heads": 4}
    return saformer.build("metaspikeformer-15m" if family == "v2" else "espikeformer-5m", **{**size, **settings})


def test_two_heads_are_averaged():
    model = small("v2", distilled=True, time_steps=1)
    model.head_kd.load_state_dict({k: v + 1 for k, v in model.head.state_dict().items()})
    seen = []
    model.head.register_forward_hook(lambda m, args, out: seen.append((args[0], out)))
    with torch.no_grad():
        scores = model(torch.randn(1, 3, 32, 32))
    ((spikes, first),) = seen
    assert torch.allclose(scores, ((first + model.head_kd(spikes)) / 2).mean(0))


@pytest.mark.parametrize("family", ["v2", "v3"])
def test_every_parameter_learns(family):
    torch.manual_seed(0)
    model = small(family).train()
    with torch.no_grad():  # thresholds within reach
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
                module.bias += 0.5
    model(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("v2", {"widths": (4, 8, 8)}),
        ("v2", {"widths": (5, 8, 8, 8)}),
        ("v2", {"heads": 3}),
        ("v2", {"blocks": (1, 0)}),
        ("v3", {"time_steps": 2}),
        ("v3", {"levels": 0}),
    ],
)
def test_settings_that_do_not_fit(family, settings):
    with pytest.raises(InputError) as caught:
        small(family, **settings)
    assert "\n" not in str(caught.value)
