"""Attention maps and spike trains of one image, against what the modules compute."""

import math

import pytest
import torch

import saformer
from saformer.analysis.diagnostics.attention_maps import AttentionMap, inspect_image
from saformer.attention.dssa import DSSA
from saformer.errors import InputError
from saformer.neurons import LIF


def spiking(name, size=8, **settings):
    """Random weights whose BatchNorm statistics fit the images, so that every layer fires."""
    torch.manual_seed(0)
    model = saformer.build(name, image_size=size, in_channels=1, **settings)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.randn(8, 1, size, size))
    return model.eval()


CONVOLUTIONS = {"projection": "conv1d", "mlp_projection": "conv1d"}
IMAGE = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "settings", "kind", "heads"),
    [
        ("saformer-2-16", {}, "SASA", 1),
        ("sdt-2-16", {"heads": 2}, "SDSA", 2),
        ("spikformer-2-16", {"heads": 2}, "SSA", 2),
        (
            "spikformer-1-16",
            {"heads": 2, "keys_first": True, **CONVOLUTIONS},
            "SSA",
            2,
        ),
        ("spikingformer-1-16", {"heads": 2}, "SSA", 2),
        ("vit-1-16", {"heads": 2, "time_steps": 2}, "VSA", 2),
    ],
)
def test_each_attention_has_a_map_for_each_step_and_head(name, settings, kind, heads):
    model = spiking(name, **settings)
    found = inspect_image(model, IMAGE)
    assert [one.kind for one in found.maps] == [kind] * model.config.depth
    grid = model.config.grid
    for one in found.maps:
        assert one.values.shape == (model.config.time_steps, heads, grid, grid)
        assert one.values.min() >= 0
    torch.testing.assert_close(found.scores, model(IMAGE)[0].detach())


STAGES = {"widths": (8, 16, 16, 32), "blocks": (1, 1), "heads": 4}


@pytest.mark.parametrize(
    ("name", "settings", "kind", "product"),
    [
        ("metaspikeformer-15m", STAGES, "SDSA3", lambda q, k: q @ k.transpose(-1, -2) * 0.125),
        ("espikeformer-5m", STAGES, "ESDSA", lambda q, k: q @ k.transpose(-1, -2) * 2 / 4**0.5),
    ],
)
def test_maps_of_four_stages_are_column_means(name, settings, kind, product):
    model, image = spiking(name, size=32, **settings), torch.randn(1, 1, 32, 32)
    word = {"SDSA3": "lif", "ESDSA": "spike"}[kind]
    seen = {}
    for part in "qk":
        layer = model.get_submodule(f"block3.0.attn.{part}_{word}")
        layer.register_forward_hook(lambda m, args, out, part=part: seen.update({part: out.detach()}))
    first, second = inspect_image(model, image).maps
    assert (first.kind, second.kind, second.name) == (kind, kind, "block4.0.attn")
    q, k = (seen[part][:, 0].flatten(2).unflatten(1, (4, 4)).transpose(2, 3) for part in "qk")
    assert q.any() and k.any()
    torch.testing.assert_close(first.values.flatten(2), product(q, k).mean(-2))


def test_dssa_maps_give_each_token_what_its_patch_gets():
    settings = {"widths": (8, 16), "blocks": (1, 1), "heads": (1, 2), "patches": (2, 1), "group": 8, "time_steps": 2}
    model = spiking("spikingresformer-cifar", **settings)
    first, second = inspect_image(model, IMAGE).maps
    assert (first.values.shape, second.values.shape) == ((2, 1, 8, 8), (2, 2, 4, 4))
    assert first.values.any() and first.values.max() <= 1
    patches = first.values.unflatten(-1, (4, 2)).unflatten(-3, (4, 2))
    assert torch.equal(patches, patches[..., :1, :, :1].expand_as(patches))


def test_pixels_beyond_the_last_patch_get_nothing():
    attention = DSSA(4, 1, 4, (2, 2), LIF)
    values = attention.attention_map(torch.ones(1, 1, 4, 5, 5), torch.ones(1, 1, 1, 4, 25)).view(5, 5)
    assert values[:4, :4].eq(1).all() and not values[4].any() and not values[:, 4].any()


def test_an_attention_that_is_not_registered_has_maps():
    found = inspect_image(spiking("dista-1-16", heads=2, time_steps=2), IMAGE)
    assert [one.kind for one in found.maps] == ["SpatiotemporalAttention"] and "noise" in found.maps[0].meaning


def watched(model, product):
    """Inputs of the named product, written down while the model runs: what its map is made of."""
    import saformer.attention.sasa as sasa
    import saformer.attention.sdsa as sdsa

    module = {"ka": sasa, "qg": sdsa}[product]
    found = []
    outer = module.project

    def project(owner, name, kind, x):
        if name == "proj":
            found.append(x.detach())
        return outer(owner, name, kind, x)

    module.project = project
    try:
        with torch.inference_mode():
            model(IMAGE)
    finally:
        module.project = outer
    return found


def test_sdsa_maps_are_the_input_of_its_output_layer():
    """Q * g is what the last layer reads: averaged over channels it is the map averaged over equal heads."""
    model = spiking("sdt-2-16", heads=2)
    for one, gated in zip(inspect_image(model, IMAGE).maps, watched(model, "qg"), strict=True):
        torch.testing.assert_close(one.per_step, gated[:, 0].mean(1))


def test_sasa_maps_are_the_input_of_its_last_neurons_without_the_convolution():
    model = spiking("saformer-2-16", depthwise=False)
    found = inspect_image(model, IMAGE)
    # Without F, the neurons of threshold 0.5 before the output layer fire on every spike of A * S(k).
    for one, mixed in zip(found.maps, watched(model, "ka"), strict=True):
        first = mixed[0, 0].mean(-1).unflatten(0, one.values.shape[-2:])
        torch.testing.assert_close(one.per_step[0], first)
    assert found.maps[0].per_step.sum() > 0


def test_ssa_maps_are_column_means_of_the_attention_matrix():
    model = spiking("spikformer-1-16", heads=2)
    found = inspect_image(model, IMAGE)
    trains = {train.name: train.spikes for train in found.trains}
    q, k = (trains[f"block.0.attn.{name}_lif"].unflatten(1, (-1, 2, 8)).transpose(1, 2) for name in "qk")
    matrix = q @ k.transpose(-1, -2) * 0.125
    torch.testing.assert_close(found.maps[0].values.flatten(2), matrix.mean(-2))


def test_softmax_maps_share_one_among_the_tokens():
    found = inspect_image(spiking("vit-1-16", heads=2), IMAGE)
    torch.testing.assert_close(found.maps[0].values.sum((-1, -2)), torch.ones(1, 2))


def test_softmax_maps_share_one_in_each_window_and_over_the_steps_of_a_token():
    windows = {"dim": 8, "blocks": (2,), "heads": (2,), "window": 2, "patch_size": 2, "time_steps": 2}
    plain, shifted = inspect_image(spiking("mst-cifar10", **windows), IMAGE).maps
    torch.testing.assert_close(plain.values.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2)), torch.ones(2, 2, 2, 2))
    back = shifted.values.roll((-1, -1), (2, 3))
    torch.testing.assert_close(back.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2)), torch.ones(2, 2, 2, 2))
    # No weight crosses the edge of the image: the window of the four corners has four maps of one token.
    assert shifted.values[..., [0, 0, -1, -1], [0, -1, 0, -1]].allclose(torch.tensor(0.25))

    found = inspect_image(spiking("spikeformer-1-16", heads=2, strides=(2, 1), time_steps=3), IMAGE).maps
    space, time = (next(one for one in found if one.kind == kind) for kind in ("SpaceAttention", "TimeAttention"))
    torch.testing.assert_close(space.values.sum((-1, -2)), torch.ones(3, 2))
    torch.testing.assert_close(time.values.sum(0), torch.ones(2, 4, 4))


def test_stsa_maps_are_column_means_over_the_queries_that_may_see_a_token():
    model = spiking("stsa-1-16", heads=2, time_steps=3, pooling="0001")
    found = inspect_image(model, IMAGE)
    spikes = next(train.spikes for train in found.trains if train.name.endswith("qkv_lif")).unflatten(1, (3, 2, 8, 16))
    q, k = spikes[:, 0], spikes[:, 1]  # T x heads x d x N
    assert q.any() and k.any()
    for step, values in enumerate(found.maps[0].values):
        later = torch.stack([one.transpose(1, 2) @ k[step] for one in q[step:]])
        torch.testing.assert_close(values.flatten(1), later.mean((0, 2)) / 8)


def test_spike_trains_are_those_of_every_layer_of_neurons():
    model = spiking("saformer-1-16")
    found = inspect_image(model, IMAGE)
    layers = {name for name, module in model.named_modules() if isinstance(module, LIF)}
    assert {train.name for train in found.trains} == layers
    assert found.trains[0].name == "patch_embed.proj_lif" and found.trains[-1].name == "head_lif"
    for train in found.trains:
        assert len(train.spikes) == 4 and set(train.spikes.unique().tolist()) <= {0.0, 1.0}


def test_no_hook_stays_behind():
    model = spiking("saformer-1-16")
    inspect_image(model, IMAGE)
    assert not any(module._forward_hooks for module in model.modules())


def test_spread_and_silence():
    one = torch.zeros(2, 1, 4, 4)
    one[0, 0, 1, 2] = 3.0
    assert AttentionMap("a", "SASA", "share", one).spread == pytest.approx(1 / 16)
    assert AttentionMap("a", "SASA", "share", one).silent == pytest.approx(15 / 16)
    assert AttentionMap("a", "SASA", "share", torch.ones(2, 1, 4, 4)).spread == pytest.approx(1.0)
    assert math.isnan(AttentionMap("a", "SASA", "share", torch.zeros(1, 1, 2, 2)).spread)


def test_one_image_at_a_time():
    with pytest.raises(InputError, match="one image"):
        inspect_image(spiking("saformer-1-16"), torch.randn(2, 1, 8, 8))
