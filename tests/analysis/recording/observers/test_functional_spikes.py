"""Spikes of functions that are pooled, added, multiplied or filtered before a layer reads them: they are listed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import profile

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Two layers whose spikes are read together by a third, over some steps; `fired` keeps what did."""

    def __init__(self, function: Callable[["Net", Tensor], Tensor], width: int = 8, steps: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(width, 3)
        self.function, self.steps = function, steps
        self.fired: list[Tensor] = []
        self.trace: Any = 0

    def fire(self, v: Tensor) -> Tensor:
        self.fired.append((v > 0.1).float())
        return (v > 0.1).float()

    def forward(self, x: Tensor) -> Tensor:
        self.fired, self.trace = [], 0
        return torch.stack([self.c(self.function(self, x - 0.1 * t)) for t in range(self.steps)]).mean(0)


def filtered(net: Net, x: Tensor) -> Tensor:
    net.trace = 0.7 * net.trace + net.fire(net.a(x))
    return net.trace


def added_in_place(net: Net, x: Tensor) -> Tensor:
    out = net.fire(net.a(x))
    out += net.fire(net.b(x))
    return out


TOGETHER: dict[str, tuple[Callable[[Net, Tensor], Tensor], int]] = {
    "added": (lambda net, x: net.fire(net.a(x)) + net.fire(net.b(x)), 8),
    "added in place": (added_in_place, 8),
    "subtracted": (lambda net, x: net.fire(net.a(x)) - 0.5 * net.fire(net.b(x)), 8),
    "multiplied": (lambda net, x: net.fire(net.a(x)) * net.fire(net.b(x)), 8),
    "a product of matrices": (
        lambda net, x: (net.fire(net.a(x))[:, :, None] @ net.fire(net.b(x))[:, None]).flatten(1),
        64,
    ),
    "side by side": (lambda net, x: torch.cat([net.fire(net.a(x)), net.fire(net.b(x))], 1), 16),
    "pooled": (lambda net, x: F.avg_pool1d(net.fire(net.a(x)), 2) + F.max_pool1d(net.fire(net.b(x)), 2), 4),
    "interpolated": (lambda net, x: F.interpolate(net.fire(net.a(x))[None], size=16, mode="linear")[0], 16),
    "filtered": (filtered, 8),
    "as high as a threshold": (lambda net, x: 0.3 * net.fire(net.a(x)), 8),
}


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("how", TOGETHER)
def test_what_fired_is_listed_and_what_was_made_of_it_is_not(how: str, steps: int) -> None:
    function, width = TOGETHER[how]
    net = Net(function, width, steps)
    with torch.no_grad():
        net(X)
    apart = len(net.fired) // steps
    fired = [net.fired[i::apart] for i in range(apart)]
    p = profile(net, [X], check_flops=False)
    assert [n.name for n in p.neurons] == ["c (input)", "c (input 2)"][:apart]
    for layer, spikes in zip(p.neurons, fired, strict=True):
        assert layer.elements == sum(s.numel() for s in spikes)
        assert list(layer.per_step) == [int(s.sum()) for s in spikes]
    assert not any("of neurons put out" in note for note in p.notes)


def test_spikes_that_are_read_and_added_are_listed_once() -> None:
    def shortcut(net: Net, x: Tensor) -> Tensor:
        spikes = net.fire(net.a(x))
        return spikes + net.fire(net.b(spikes))

    net = Net(shortcut)
    p = profile(net, [X], check_flops=False)
    net(X)
    assert [(n.name, n.spikes) for n in p.neurons] == [
        ("b (input)", int(net.fired[0].sum())),
        ("c (input)", int(net.fired[1].sum())),
    ]


def test_levels_of_one_membrane_are_one_neuron() -> None:
    p = profile(
        Net(lambda net, x: sum((net.a(x) > level).float() for level in (0.0, 0.2, 0.4))), [X], check_flops=False
    )
    # Three calls of one layer are three membranes: the same call compared three times is one.
    one = profile(Net(lambda net, x: (lambda v: (v > 0).float() + (v > 0.2).float())(net.a(x))), [X], check_flops=False)
    assert len(p.neurons) == 3 and len(one.neurons) == 1
    assert any("whole multiples of a unit, up to 2" in note for note in one.notes)
