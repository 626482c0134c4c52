"""Neurons that are no modules: a comparison in a function, and a membrane that goes from step to step as a tensor."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import profile
from saformer.analysis.diagnostics.spike_driven import audit

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

    def __init__(
        self,
        reset: str = "product",
        spikes_to: Callable[[Tensor], Tensor] = Tensor.float,
        pool: Callable[..., Tensor] = F.max_pool2d,
    ) -> None:
        super().__init__()
        self.pool = pool
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
            pooled = self.pool(s1, 2).flatten(1)
            v2, s2 = self.update(self.fc1, self.spikes_to(pooled), v2, s2)
            self.fired.append((s1, pooled, s2))
            total = total + self.fc2(self.spikes_to(s2))
        return total


@pytest.mark.parametrize("reset", RESETS)
def test_spikes_of_functions_are_counted_and_resets_are_free(reset: str) -> None:
    torch.manual_seed(0)
    net, x = Functional(reset), torch.rand(6, 1, 8, 8)
    with torch.no_grad():
        net(x)
    first, pooled, second = ([int(s.sum()) for s in layer] for layer in zip(*net.fired, strict=True))
    p = profile(net, [x])
    assert [o.name for o in p.operations] == ["conv", "fc1", "fc2"]
    # Neurons are counted where they fire, before the pool.
    assert {n.name: list(n.per_step) for n in p.neurons} == {"fc1 (input)": first, "fc2 (input)": second}
    assert [str(o.gate.kind) for o in p.operations] == ["real", "spikes", "spikes"]
    assert sum(pooled) and sum(second)
    assert p.model.time_steps == STEPS and p.unit == "image" and p.notes == ()
    assert [o.events for o in p.operations][1:] == [12 * sum(pooled), 3 * sum(second)]
    assert audit(p).verdict.startswith("spike-driven: every operation has an input of spikes, except the first")
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
            v, total = torch.zeros(len(x), 6), torch.zeros(len(x), 6)
            for _ in range(STEPS):
                v = v + self.fc(x)
                s = v > 0.3
                v = v * (1 - s.float())
                total = total + self.q(s.float()) + self.k(s.float().clone())
            return total

    torch.manual_seed(0)
    p = profile(Heads(), [torch.randn(5, 8)])
    (neurons,) = p.neurons
    assert (neurons.name, neurons.elements, len(neurons.per_step)) == ("q (input)", 5 * 6 * STEPS, STEPS)
    assert [o.name for o in p.operations] == ["fc", "q", "k"]


def test_a_network_of_real_values_stays_one_though_its_input_is_binarised() -> None:
    class Binarised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a((x > 0).float()).relu())

    x = torch.randn(5, 8)
    p = profile(Binarised(), [x])
    assert p.neurons == ()  # an encoder is none
    binarised, real = p.operations
    assert (str(binarised.gate.kind), str(real.gate.kind)) == ("spikes", "real")
    assert binarised.first is False and binarised.gate.nonzero == int((x > 0).sum())
    account = p.account()
    assert account.macs == real.dense / 5 and account.acs == pytest.approx(int((x > 0).sum()) * 6 / 5)


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
    products = [o for o in p.operations if o.op == "product"]
    # Gates of real values multiply, spikes among real values choose and are free, spikes of two layers add.
    assert [[str(x.kind) for x in o.operands] for o in products] == [
        ["real", "real"],
        ["spikes", "real"],
        ["spikes", "spikes"],
    ]
    rows = {row.name: (row.macs, row.acs) for row in p.account().layers}
    assert [rows[o.name] for o in products] == [(products[0].sops / 5, 0), (0, 0), (0, products[2].sops / 5)]


class GivesState(nn.Module):
    """Two layers with neurons between that are given their membrane and spikes, and put both out in some order."""

    def __init__(self, neuron: nn.Module, spikes: int) -> None:
        super().__init__()
        self.a, self.b, self.neuron, self.spikes = nn.Linear(8, 6), nn.Linear(6, 3), neuron, spikes

    def forward(self, x: Tensor) -> Tensor:
        v = s = torch.zeros(len(x), 6)
        out = []
        for _ in range(STEPS):
            put = self.neuron(self.a(x), v, s)
            s, v = put[self.spikes], put[1 - self.spikes]
            out.append(self.b(s))
        return torch.stack(out).mean(0)


def test_neurons_that_put_out_their_membrane_first() -> None:
    class Neuron(nn.Module):
        def forward(self, x: Tensor, v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
            v = 0.5 * v * (1 - s) + x
            return v, Step.apply(v)

    torch.manual_seed(0)
    p = profile(GivesState(Neuron(), spikes=1), [torch.randn(5, 8)])
    assert [o.name for o in p.operations] == ["a", "b"]
    assert [(n.name, len(n.per_step)) for n in p.neurons] == [("b (input)", STEPS)]
    assert p.account().macs == STEPS * 48


GATES: dict[str, Callable[[Tensor], Tensor]] = {
    "hard gate": lambda h: (h > 0).float(),
    "largest": lambda h: (h == h.amax(1, keepdim=True)).float(),
    "one-hot": lambda h: F.one_hot(h.argmax(1), 6).float(),
    "drawn": lambda h: torch.bernoulli(h.sigmoid()),
    "hard gate twice": lambda h: ((h > 0).float() + (h > 1).float() > 0).float(),
}


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_charged_by_their_values_though_nothing_is_reset(gate: str) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 6), nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(GATES[gate](self.a(x))).relu())

    torch.manual_seed(0)
    net, x = Gated(), torch.randn(5, 8)
    torch.manual_seed(1)
    p = profile(net, [x])
    assert p.undecided == ()
    a, b, c = p.operations
    assert [str(o.gate.kind) for o in p.operations] == ["real", "spikes", "real"]
    account = p.account()
    assert account.macs == (a.dense + c.dense) / 5
    assert account.acs == pytest.approx(b.gate.nonzero * 6 / 5) and b.gate.nonzero
    # Listed are comparisons of real values that a layer reads: no places, and no comparison of what is spikes already.
    compared = gate not in ("one-hot", "hard gate twice")
    assert [(n.name, n.elements, n.spikes) for n in p.neurons] == (
        [("b (input)", 30, b.gate.nonzero)] if compared else []
    )


def test_an_encoder_that_resets_is_no_layer_of_neurons() -> None:
    class Encoded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            v, out = torch.zeros_like(x), torch.zeros(len(x), 3)
            for _ in range(STEPS):
                v = v + x.abs()
                s = (v >= 0.9).float()
                v = v * (1 - s)
                out = out + self.b(self.a(s).relu())
            return out

    p = profile(Encoded(), [torch.randn(5, 8)])
    assert p.neurons == () and not any(o.first for o in p.operations)
    encoded, real = p.operations
    assert (str(encoded.gate.kind), str(real.gate.kind)) == ("spikes", "real")
    assert p.account().macs == real.dense / 5
    assert p.account().acs == pytest.approx(encoded.gate.nonzero * 6 / 5)
    assert p.model.time_steps == STEPS


SELF_GATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "what has fired": lambda v, s: v - v * s,
    "what has not": lambda v, s: v * (v <= 0.3),
    "in place": lambda v, s: v.sub_(v * s),
    "index": lambda v, s: v.index_put_((s.bool(),), torch.zeros(())),
}


@pytest.mark.parametrize("reset", SELF_GATES)
def test_resets_in_other_words(reset: str) -> None:
    RESETS[reset] = SELF_GATES[reset]
    try:
        torch.manual_seed(0)
        p = profile(Functional(reset), [torch.rand(6, 1, 8, 8)], check_flops=False)
    finally:
        del RESETS[reset]
    assert [o.name for o in p.operations] == ["conv", "fc1", "fc2"]
    assert [len(n.per_step) for n in p.neurons] == [STEPS, STEPS]


MASKS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "product": lambda k, v: k * v,
    "where": lambda k, v: torch.where(k > 0, v, 0.0),
    "masked_fill": lambda k, v: v.masked_fill(k == 0, 0.0),
    "complement": lambda k, v: v * (1 - k),
    "scaled": lambda k, v: v * (0.5 - k),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("spikes", [True, False])
def test_a_mask_by_the_spikes_of_another_layer_is_a_product_and_free_on_real_values(mask: str, spikes: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.k, self.v = nn.Linear(8, 6), nn.Linear(8, 6)

        def forward(self, x: Tensor) -> Tensor:
            v = self.v(x)
            return MASKS[mask](Step.apply(self.k(x)), Step.apply(v) if spikes else v)

    p = profile(Net(), [torch.randn(5, 8)])
    assert [o.op for o in p.operations] == ["linear", "linear", "product"]
    account = p.account()
    assert account.macs == 2 * 48  # the image is read twice
    assert account.acs == (pytest.approx(p.operations[2].sops / 5) if spikes else 0)


def test_chains_of_spike_elementwise_shortcuts_are_products() -> None:
    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            y = Step.apply(self.layers[0](x))
            for layer in self.layers[1:]:
                y = (1 - Step.apply(layer(y))) * y
            return y

    p = profile(Chain(), [torch.randn(5, 8)])
    assert [o.dense for o in p.operations if o.op == "product"] == [40, 40]


def test_spikes_of_steps_that_are_kept_together() -> None:
    class Kept(nn.Module):
        def __init__(self, how: str) -> None:
            super().__init__()
            self.how, self.a, self.b, self.c = how, nn.Linear(8, 6), nn.Linear(6, 3), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            v, kept, out = torch.zeros(len(x), 6), torch.zeros(STEPS, len(x), 6), []
            for t in range(STEPS):
                v = v + self.a(x)
                s = (v > 0.3).float()
                v = v * (1 - s)
                kept[t] = s
                if self.how == "buffer":
                    out.append(self.b(kept[t]))
            if self.how == "slices":
                out = [self.b(kept[t]) for t in range(STEPS)]
            return torch.stack(out) if out else self.b(kept)

    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for how in ("buffer", "slices", "together"):
        torch.manual_seed(0)
        p = profile(Kept(how), [x[:3], x[3:]], check_flops=False, time_steps=STEPS if how == "together" else None)
        found.append([(n.name, n.elements, n.per_step) for n in p.neurons])
    assert found[0] == found[1] == found[2]
    assert found[0][0][1] == 5 * 6 * STEPS and len(found[0][0][2]) == STEPS


STATES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "complement": lambda v, s: v * 0.5 * (1 - s),
    "difference": lambda v, s: v * 0.5 - v * s,
    "product first": lambda v, s: v * 0.5 - v.mul(s),
}


@pytest.mark.parametrize("reset", STATES)
def test_a_neuron_that_is_given_its_state_is_one(reset: str) -> None:
    class Neuron(nn.Module):
        def forward(self, x: Tensor, v: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
            v = STATES[reset](v, s) + x
            return (v > 0.2).float(), v

    torch.manual_seed(0)
    net, x = GivesState(Neuron(), spikes=0), torch.randn(6, 8)
    p = profile(net, [x[:4], x[4:]])
    assert [(n.name, len(n.per_step)) for n in p.neurons] == [("neuron", STEPS)]
    assert [o.name for o in p.operations] == ["a", "b"]
    total = profile(net, [x[:4]]) + profile(net, [x[4:]])
    assert (p.operations, p.neurons) == (total.operations, total.neurons)


def test_a_neuron_of_two_thresholds_is_one() -> None:
    class Spike(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Step.apply(x)

    class Refractory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g = Spike(), Spike()

        def forward(self, x: Tensor) -> Tensor:
            v = r = torch.zeros_like(x[0])
            out = []
            for current in x:
                v = 0.5 * v + current
                s = self.f(v) * self.g(0.9 - r)
                v, r = v * (1 - s), 0.5 * r + s
                out.append(s)
            return torch.stack(out)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.neuron = nn.Linear(8, 6), nn.Linear(6, 3), Refractory()

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.neuron(self.a(x.expand(STEPS, *x.shape)))).mean(0)

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(6, 8)])
    assert [n.name for n in p.neurons] == ["neuron"] and [o.name for o in p.operations] == ["a", "b"]


@pytest.mark.parametrize(
    ("after", "kind", "unit"),
    [
        (lambda s: -s, "ternary", 1.0),
        (lambda s: 0.3 * s, "spikes", 0.3),
        (lambda s: s + s, "spikes", 2.0),
        (lambda s: s * torch.linspace(0.2, 0.9, 6), "spikes", None),  # a unit for each neuron
    ],
)
def test_spikes_of_another_height_are_spikes(after: Callable[[Tensor], Tensor], kind: str, unit: float | None) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            v, out = torch.zeros(len(x), 6), torch.zeros(len(x), 3)
            for _ in range(STEPS):
                v = 0.5 * v + self.a(x)
                s = Step.apply(v)
                v = v * (1 - s)
                out = out + self.b(after(s))
            return out

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(5, 8)])
    a, b = p.operations
    (neurons,) = p.neurons
    assert (neurons.name, len(neurons.per_step), neurons.spikes) == ("b (input)", STEPS, b.gate.nonzero)
    assert (str(b.gate.kind), b.gate.unit) == (kind, unit if unit is None else pytest.approx(unit))
    assert p.account().macs == a.dense / 5
    assert p.account().acs == pytest.approx(b.gate.nonzero * 3 / 5)


def test_spikes_may_be_averaged_before_a_layer_reads_them() -> None:
    torch.manual_seed(0)
    net, x = Functional(pool=F.avg_pool2d), torch.rand(6, 1, 8, 8)
    with torch.no_grad():
        net(x)
    first, _, second = ([int(s.sum()) for s in layer] for layer in zip(*net.fired, strict=True))
    p = profile(net, [x[:4], x[4:]])
    assert {n.name: list(n.per_step) for n in p.neurons} == {"fc1 (input)": first, "fc2 (input)": second}
    assert [o.gate.binary for o in p.operations] == [False, False, True]
    fc1 = p.operations[1].gate
    assert (str(fc1.kind), fc1.unit, fc1.levels, fc1.total) == ("graded", 0.25, 4, sum(first))
    assert p.account().macs == STEPS * 64 * 4 * 9
