import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.errors import InputError
from saformer.models.transformers.spikegpt import wkv


def test_the_released_network_has_the_published_size():
    with torch.device("meta"):
        model = saformer.build("spikegpt-216m")
    assert sum(p.numel() for p in model.parameters()) == 215_399_424
    assert (model.config.name, model.config.input_shape, model.config.input_kind) == (
        "spikegpt-216m",
        (1024,),
        "tokens",
    )


def test_the_recurrence_is_a_weighted_mean_of_the_values_so_far():
    generator = torch.Generator().manual_seed(0)
    keys, values = (torch.randn(2, 7, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    decay, first = (torch.rand(3, dtype=torch.float64, generator=generator) for _ in range(2))
    found = wkv(keys, values, decay, first)
    for t in range(7):
        weights = [(keys[:, i] - (t - 1 - i) * decay).exp() for i in range(t)] + [(first + keys[:, t]).exp()]
        mean = sum(w * values[:, i] for i, w in enumerate(weights)) / sum(weights)
        assert torch.allclose(found[:, t], mean, rtol=1e-12)


def test_the_recurrence_does_not_overflow():
    keys = torch.full((1, 3, 1), 1e4)
    assert torch.equal(wkv(keys, torch.ones(1, 3, 1), torch.ones(1), torch.ones(1)), torch.ones(1, 3, 1))


def test_a_token_changes_no_score_before_it():
    model = saformer.build("spikegpt-2-16", num_classes=20, time_steps=6).double()
    tokens = torch.arange(6)[None]
    other = tokens.clone()
    other[0, 4] = 19
    with torch.inference_mode():
        one, two = model(tokens), model(other)
    assert one.shape == (1, 6, 20)
    assert torch.equal(one[:, :4], two[:, :4]) and not torch.equal(one[:, 4], two[:, 4])


def test_every_layer_and_every_product_is_counted():
    found = profile(saformer.build("spikegpt-1-16", num_classes=20, time_steps=6), [torch.randint(0, 20, (3, 6))])
    dense = {operation.name: operation.dense // 3 for operation in found.operations}
    assert found.uncounted == () and found.model.time_steps == 6
    att, ffn = "blocks.0.att", "blocks.0.ffn"
    linear = {f"{att}.{name}": 6 * 16 * 16 for name in ("key", "value", "receptance", "output")}
    linear |= {f"{ffn}.key": 6 * 16 * 64, f"{ffn}.value": 6 * 16 * 64, f"{ffn}.receptance": 6 * 16 * 16}
    # Sums of the past times their weight, with the token itself and for the next one: nothing lies before the first.
    products = {f"{att}.wkv": 2 * 6 * 16, f"{att}.wkv:2": 2 * 5 * 16, f"{att}.gate": 6 * 16, f"{ffn}.gate": 6 * 16}
    assert dense == {**linear, **products, "head": 6 * 16 * 20}


def test_its_checkpoint_is_a_bare_state_dict(tmp_path):
    model = saformer.build("spikegpt-2-16", num_classes=20, time_steps=6)
    torch.save(model.state_dict(), path := tmp_path / "SpikeGPT.pth")
    loaded = saformer.load(path, time_steps=6)
    assert loaded.config == model.config
    with torch.inference_mode():
        assert torch.equal(loaded(torch.arange(6)[None]), model(torch.arange(6)[None]))


def test_every_parameter_learns():
    model = saformer.build("spikegpt-2-16", num_classes=20, time_steps=6).train()
    model(torch.arange(6)[None]).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("x", [torch.zeros(1, 6), torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 3, 8, 8)])
def test_what_is_no_sequence_of_its_length_is_refused(x):
    with pytest.raises(InputError, match="set to sequences of 6 tokens"):
        saformer.build("spikegpt-1-16", num_classes=20, time_steps=6)(x)
