"""What else is written down of an operation: pruned weights, graded events, sources, sizes."""

import pytest
import torch
from exact_counts import indicator, layer_of_ones, only, random_convolution, run, values, weight
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import profile
from saformer.neurons import LIF


def pruned(layer: nn.Module, seed: int = 0) -> nn.Module:
    """The layer with half of its weights zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight *= torch.rand(layer.weight.shape, generator=generator) < 0.5
    return layer


def indicator_layer(layer: nn.Module, x: Tensor) -> float:
    """Events that meet a nonzero weight: indicators of both."""
    weights = {name: indicator(p.detach()) for name, p in layer.named_parameters()}
    if "bias" in weights:
        weights["bias"].zero_()
    with torch.no_grad():
        return float(torch.func.functional_call(layer, weights, indicator(x)).sum().round())


@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_events_that_meet_a_weight_of_a_pruned_convolution(seed: int, dims: int, transposed: bool) -> None:
    layer, x = random_convolution(seed + 30, dims, transposed)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x))
    assert o.effective == o.events
    pruned(layer, seed)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x))
    assert o.events == layer_of_ones(layer, x).sum()
    assert o.effective == indicator_layer(layer, x)


def test_events_that_meet_a_weight_of_a_pruned_linear_layer() -> None:
    layer, x = pruned(nn.Linear(6, 5)), values("real", 3, 4, 6)
    p = profile(Net(lambda m, y: m.fc(m.fc(y)[..., :1] * 0 + y), fc=layer), [x, x[:2]], check_flops=False)
    with torch.no_grad():
        second = layer(x)[..., :1] * 0 + x
    for name, y in (("fc", x), ("fc:2", second)):  # the image, then what was made of it
        o = only(p, name)
        assert o.effective == sum(indicator_layer(layer, part) for part in (y, y[:2]))
        assert o.effective < o.events


def test_zero_weights_in_one_part_of_a_parameter() -> None:
    # As of the joint projection of q, k and v: parts of one tensor, of which only some are pruned.
    w = weight(8, 6)
    with torch.no_grad():
        w[4:] *= torch.rand(4, 6) < 0.5
    x = values("real", 3, 6)
    o = only(run(Net(lambda m, y: F.linear(y, m.w[:4]) + F.linear(y, m.w[4:]), w=w, inner=nn.Identity()), x))
    assert o.effective == float((indicator(x) @ indicator(w.detach()).t()).sum())


@pytest.mark.parametrize("kind", ["spikes", "integers", "zeros"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_integer_input_can_count_as_so_many_events(dims: int, kind: str) -> None:
    layer, x = random_convolution(7 + dims, dims, False)
    x = values(kind, *x.shape, seed=dims)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x, graded=True))
    ones = {name: torch.zeros_like(p) if name == "bias" else torch.ones_like(p) for name, p in layer.named_parameters()}
    with torch.no_grad():
        assert o.graded == torch.func.functional_call(layer, ones, x.abs()).sum().round()
    assert o.events == layer_of_ones(layer, x).sum()


def test_graded_events_of_products_and_of_real_values() -> None:
    x = values("integers", 3, 4, 5)

    def both(m: Net, y: Tensor) -> Tensor:
        return (y @ y.transpose(1, 2)).sum() + (y * y.flip(0)).sum() + m.fc(y * 0.5).sum()

    net = Net(both, fc=nn.Linear(5, 2))
    p = run(net, x, graded=True)
    sizes = x.abs()
    assert only(p, "matmul").graded == int((sizes @ sizes.transpose(1, 2)).sum())
    assert only(p, "product").graded == int((sizes * sizes.flip(0)).sum())
    assert only(p, "fc").graded == 2 * int(sizes.sum())  # multiples of a half
    fractions = run(Net(lambda m, y: m.fc(y.sigmoid()), fc=nn.Linear(5, 2)), values("real", 3, 4, 5), graded=True)
    assert only(fractions).graded is None
    assert all(o.graded is None for o in run(net, x).operations)


def test_where_an_input_comes_from() -> None:
    net = Net(
        lambda m, y: m.b(m.lif(m.a(y))) + m.c(m.lif2(y).flatten(1).view_as(y) + y),
        a=nn.Linear(6, 6),
        b=nn.Linear(6, 2),
        c=nn.Linear(6, 2),
        lif=LIF(),
        lif2=LIF(),
    )
    p = run(net, values("real", 3, 6))
    assert {o.name: o.sources for o in p.operations} == {"a": ("the input",), "b": ("spikes of lif",), "c": ("add",)}


def test_sizes_of_outputs_biases_and_inner_dimensions() -> None:
    conv, fc = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(5, 4)
    net = Net(lambda m, y: (m.conv(y), m.fc(y), y @ y.transpose(2, 3), y * y.flip(0)), conv=conv, fc=fc)
    x = values("real", 3, 2, 4, 5)
    found = {o.name: (o.outputs, o.bias, o.inner, o.module) for o in run(net, x).operations}
    assert found == {
        "conv": (3 * 3 * 4 * 5, 3, 0, True),
        "fc": (3 * 2 * 4 * 4, 4, 5, True),
        "matmul": (3 * 2 * 4 * 4, 0, 5, False),
        "product": (3 * 2 * 4 * 5, 0, 0, False),
    }
