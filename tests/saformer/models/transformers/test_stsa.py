import pytest
import torch

import saformer
from saformer.errors import InputError
from tests.helpers.oracles import Oracle


def test_the_published_code_counts_the_same():
    oracle = Oracle("stsa_48_gesture")
    model = oracle.load()
    products = {"block.0.attn.qk", "block.0.attn.av"}
    oracle.check(model, products=products)
    assert model.config.name == "stsa-1-48+heads=2"
    assert (model.config.time_steps, model.config.heads, model.config.image_size) == (3, 2, 128)
    # The second projection of q, k and v, which the published forward pass never calls.
    assert {name.split(".")[3] for name in model.origin.unused} == {"to_qkv_proj", "to_qkv_bn"}


def test_an_image_has_the_same_scores_in_any_batch():
    oracle = Oracle("stsa_48_gesture")
    model = oracle.load()
    with torch.inference_mode():
        assert torch.equal(model(oracle.x)[1], model(oracle.x[1:])[0])


def test_the_size_published_for_gestures():
    with torch.device("meta"):
        model = saformer.build("stsa-2-256-gesture")
    # 396,288 of the published 1,963,633 parameters belong to layers that its forward pass never calls.
    assert sum(p.numel() for p in model.parameters()) == 1_567_345
    assert (model.config.num_classes, model.config.time_steps, model.config.input_shape) == (11, 10, (10, 2, 128, 128))


def test_every_parameter_learns():
    model = saformer.build("stsa-1-16", in_channels=1, image_size=8, time_steps=2, pooling="0011").train()
    model(2 * torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_width_that_the_stem_cannot_halve_is_refused():
    with pytest.raises(InputError, match="dim must be a multiple of 16"):
        saformer.build("stsa-1-24")
