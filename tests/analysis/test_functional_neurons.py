"""Neurons that are no modules: a comparison in a function, and a membrane that goes from step to step as a tensor."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import profile
from saformer.analysis.audit import audit

STEPS = 5


class Step(torch.autograd.Function):
    """A spike, with a gradient of its own, as in most code for spatio-temporal backpropagation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.gt(0.3).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient * (abs(x - 0.3) < 0.5)


RESETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda v, s: v * 0.5 * (1.0 - s),
    "decay last": lambda v, s: (1 - s) * v * 0.5,
    "scaled gate": lambda v, s: v * (0.5 * (1 - s)),
    "subtraction": lambda v, s: 0.5 * v - 0.3 * s,
    "where": lambda v, s: torch.where(s > 0, 0.0, 0.5 * v),
    "where not": lambda v, s: torch.where(~s.bool(), 0.5 * v, 0.0),
    "masked_fill": lambda v, s: (0.5 * v).masked_fill(s.bool(), 0.0),
    "logical_not": lambda v, s: 0.5 * v * s.logical_not(),
}


class Functional(nn.Module):
    """Three layers in a loop over time."""

    def __init__(self, reset: str = "product", spikes_to: Callable[[Tensor], Tensor] = Tensor.float) -> None:
        super().__init__()
        self.reset, self.spikes_to = RESETS[reset], spikes_to
        self.conv, self.fc1, self.fc2 = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(4 * 16, 12), nn.Linear(12, 3)
        self.fired: list[tuple[Tensor, Tensor]] = []

    def update(self, layer: nn.Module, x: Tensor, v: Tensor, spike: Tensor) -> tuple[Tensor, Tensor]:
        v = self.reset(v, spike) + layer(x)
        return v, Step.apply(v)

    def forward(self, x: Tensor) -> Tensor:
        v1 = s1 = torch.zeros(len(x), 4, 8, 8)
        v2 = s2 = torch.zeros(len(x), 12)
        total = torch.zeros(len(x), 3)
        self.fired = []
        for _ in range(STEPS):
            v1, s1 = self.update(self.conv, x, v1, s1)
            pooled = F.max_pool2d(s1, 2).flatten(1)
            v2, s2 = self.update(self.fc1, self.spikes_to(pooled), v2, s2)
            self.fired.append((pooled, s2))
            total = total + self.fc2(self.spikes_to(s2))
        return total


@pytest.mark.parametrize("reset", RESETS)
def test_spikes_of_functions_are_counted_and_resets_are_free(reset: str) -> None:
    torch.manual_seed(0)
    net, x = Functional(reset), torch.rand(6, 1, 8, 8)
    with torch.no_grad():
        net(x)
    pooled, second = ([int(s.sum()) for s in layer] for layer in zip(*net.fired, strict=True))
    p = profile(net, [x])
    assert [o.name for o in p.operations] == ["conv", "fc1", "fc2"]
    assert {n.name: list(n.per_step) for n in p.neurons} == {"fc1 (input)": pooled, "fc2 (input)": second}
    assert sum(pooled) and sum(second)
    assert p.model.time_steps == STEPS and p.unit == "image" and p.notes == ()
    assert [o.events for o in p.operations][1:] == [12 * sum(pooled), 3 * sum(second)]
    assert audit(p).verdict.startswith("spike-driven: every operation has a binary input, except the first")
    account = p.account()
    assert account.macs == STEPS * 64 * 4 * 9
    assert account.acs == pytest.approx((12 * sum(pooled) + 3 * sum(second)) / 6)


@pytest.mark.parametrize("spikes_to", [lambda s: s.to(torch.int8).float(), lambda s: s.bool().type_as(s)])
def test_spikes_may_change_their_type(spikes_to: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 1, 8, 8)
    net, plain = Functional(spikes_to=spikes_to), Functional()
    plain.load_state_dict(net.state_dict())
    one, other = profile(net, [x]), profile(plain, [x])
    assert one.operations == other.operations and one.neurons == other.neurons


def test_several_layers_that_read_the_same_spikes_read_one_layer_of_neurons() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.q, self.k = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            s = Step.apply(self.fc(x))
            return self.q(s) * self.k(s)

    torch.manual_seed(0)
    p = profile(Heads(), [torch.randn(5, 8)])
    assert [n.name for n in p.neurons] == ["q (input)"]
    assert [o.name for o in p.operations] == ["fc", "q", "k", "product"]


def test_a_network_of_real_values_stays_one_though_its_input_is_binarised() -> None:
    class Binarised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a((x > 0).float()).relu())

    p = profile(Binarised(), [torch.randn(5, 8)])
    assert p.neurons == () and p.account().acs == 0


def test_gates_of_real_values_and_masks_of_spikes_are_products() -> None:
    class Gates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.z, self.n, self.s = nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(8, 6)

        def forward(self, x: Tensor) -> Tensor:
            z, n, s = self.z(x).sigmoid(), self.n(x).tanh(), Step.apply(self.s(x))
            other = Step.apply(self.n(x))
            return (1 - z) * n + s * n + (1 - s) * other

    p = profile(Gates(), [torch.randn(5, 8)])
    assert [o.name for o in p.operations if o.op == "product"] == ["product", "product_2", "product_3"]


def test_neurons_that_put_out_their_membrane_first() -> None:
    class Neuron(nn.Module):
        def forward(self, x: Tensor, v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
            v = 0.5 * v * (1 - s) + x
            return v, Step.apply(v)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.neuron = nn.Linear(8, 6), nn.Linear(6, 3), Neuron()

        def forward(self, x: Tensor) -> Tensor:
            v = s = torch.zeros(len(x), 6)
            out = []
            for _ in range(STEPS):
                v, s = self.neuron(self.a(x), v, s)
                out.append(self.b(s))
            return torch.stack(out).mean(0)

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(5, 8)])
    assert [o.name for o in p.operations] == ["a", "b"]
    assert [(n.name, len(n.per_step)) for n in p.neurons] == [("b (input)", STEPS)]
    assert p.account().macs == STEPS * 48
