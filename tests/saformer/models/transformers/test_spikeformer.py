import pytest
import torch

import saformer
from saformer.errors import InputError
from saformer.models import configure, from_config
from saformer.models.transformers.spikeformer import PLIAF
from tests.helpers.oracles import Oracle


def test_the_published_code_counts_the_same():
    oracle = Oracle("spikeformer_li_2_48_cifar10dvs")
    model = oracle.load()
    attentions = (f"model.blocks.{i}.{kind}attn" for i in (0, 1) for kind in ("", "temporal_"))
    products = {f"{attention}.{name}" for attention in attentions for name in ("qk", "av")} | {"model.pool"}
    first = {f"model.blocks.0.temporal_attn.{name}": "real" for name in ("qkv",)}
    oracle.check(model, products=products, reads_otherwise=first)
    assert model.config.name == "spikeformer-2-48+strides=2,1,2,1"
    assert (model.config.neuron, model.config.time_steps, model.config.image_size) == ("plif", 3, 32)


def test_one_size_and_its_settings_say_the_same_network():
    config = configure("spikeformer-2-48+strides=2,1,2,1")
    assert configure(config.name) == config


@pytest.mark.parametrize(
    ("name", "parameters", "tokens"),
    [
        ("spikeformer-7-256-dvs", 8_792_993, 256),
        ("spikeformer-7-256-gesture", 9_279_900, 256),
        ("spikeformer-7-512", 39_320_836, 196),
    ],
)
def test_the_published_sizes(name, parameters, tokens):
    config = configure(name)
    with torch.device("meta"):
        assert sum(p.numel() for p in from_config(config).parameters()) == parameters
    assert config.tokens == tokens and config.name == name


def test_an_analog_neuron_puts_out_its_membrane_and_resets_where_it_would_fire():
    x = torch.tensor([[1.0], [3.0], [-4.0], [1.0]], dtype=torch.float64)
    # tau = 2: U = 0.5; 1.75, which resets; -2; -0.5
    assert PLIAF()(x).flatten().tolist() == [0.5, 1.75, 0.0, 0.0]


def test_every_parameter_learns():
    for neuron in ("plif", "pliaf"):
        model = saformer.build("spikeformer-1-16", image_size=8, strides=(2, 1), time_steps=2, neuron=neuron).train()
        model(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())


def test_settings_that_fit_no_image_are_refused():
    for settings, message in (
        ({"strides": (3,)}, "strides are 1 or 2"),
        ({"image_size": 30}, "image_size must be a multiple of 8 with strides 2,1,2,1,2,1, got 30"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"neuron": "lif"}, "neuron must be one of plif, pliaf"),
    ):
        with pytest.raises(InputError, match=message):
            saformer.build("spikeformer-1-16", **settings)
