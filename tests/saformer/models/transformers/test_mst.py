import pytest
import torch

import saformer
from saformer.errors import InputError
from saformer.models import configure, from_config
from tests.helpers.oracles import Oracle


def test_the_published_conversion_counts_the_same():
    oracle = Oracle("mst_16_cifar")
    model = oracle.load(time_steps=4)
    attentions = [f"layers.{stage}.blocks.{block}.attn" for stage, block in ((0, 0), (1, 0), (1, 1))]
    products = {f"{attention}.{name}" for attention in attentions for name in ("qk", "av")}
    oracle.check(model, products=products, reads_otherwise={"layers.0.downsample.reduction": "averaged"})
    assert (model.config.blocks, model.config.heads, model.config.image_size) == ((1, 2), (2, 4), 28)
    assert configure(model.config.name, image_size=28, time_steps=4) == model.config


# Swin-T with a BatchNorm in the place of each LayerNorm but the last, and a height for each activation.
@pytest.mark.parametrize(
    ("name", "parameters"), [("mst-imagenet", 28_332_638), ("mst-cifar10", 27_527_168), ("mst-cifar100", 27_596_378)]
)
def test_the_published_sizes(name, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in from_config(configure(name)).parameters()) == parameters


def test_a_neuron_counts_a_constant_as_its_quantised_activation_does():
    from saformer.attention.mst import ScaledIF

    neuron, steps = ScaledIF().double(), 16
    x = torch.linspace(-1, 3, 400, dtype=torch.float64)
    quantised = ((x / 2 * steps + 0.5).floor() / steps).clamp(0, 1) * 2
    assert torch.equal(neuron(x.expand(steps, -1)).mean(0), quantised)


def test_every_parameter_learns():
    settings = {"image_size": 8, "patch_size": 2, "window": 2, "dim": 8, "blocks": (2, 1), "heads": (1, 2)}
    model = saformer.build("mst-imagenet", **settings, time_steps=2).train()
    model(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_sizes_that_do_not_fit_each_other_are_refused():
    for settings, message in (
        ({"image_size": 32}, "stage 0 has 8 x 8 tokens, no multiple of the window of 7"),
        ({"blocks": (2, 2)}, "blocks has 2 stages and needs as many heads, got 4"),
        ({"heads": (2, 6, 12, 0)}, "heads takes whole numbers from 1"),
        ({"image_size": 100}, "image_size must be a multiple of 32"),
    ):
        with pytest.raises(InputError, match=message):
            saformer.build("mst-cifar10", **settings)
