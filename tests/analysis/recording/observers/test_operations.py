"""What is booked as a synaptic operation, under which name, and what is not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import Profile, profile
from saformer.errors import InputError

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
STEPS = 5


def run(model: nn.Module, x: Any = X, **options: Any) -> Profile:
    torch.manual_seed(0)
    return profile(model, [x], check_flops=False, **options)


def dense(p: Profile) -> dict[str, int]:
    """Of one image."""
    return {o.name: o.dense // p.images for o in p.operations}


def fire(x: Tensor) -> Tensor:
    return (x > 0).float()


# --- The first step of a recurrence ---


def loop(m: Any, x: Tensor) -> Tensor:
    h = torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        h = torch.tanh(m.ih(x[:, t]) + m.hh(h))
    return h


def functional_loop(m: Any, x: Tensor) -> Tensor:
    h = torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        h = torch.tanh(m.ih(x[:, t]) + F.linear(h, m.hh.weight))
    return h


def cells(m: Any, x: Tensor) -> Tensor:
    h = c = torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        state = m.cell(x[:, t], (h, c) if isinstance(m.cell, nn.LSTMCell) else h)
        h, c = state if isinstance(state, tuple) else (state, c)
    return h


def spiking(m: Any, x: Tensor) -> Tensor:
    v = s = torch.zeros(len(x), 8)
    for t in range(x.shape[1]):
        v = 0.5 * v + m.ih(x[:, t]) + m.hh(s)
        s = fire(v)
    return s


RECURRENT: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "LSTM": (lambda: Net(lambda m, x: m.rnn(x)[0], rnn=nn.LSTM(6, 8, batch_first=True)), 4),
    "GRU": (lambda: Net(lambda m, x: m.rnn(x)[0], rnn=nn.GRU(6, 8, batch_first=True)), 3),
    "RNN": (lambda: Net(lambda m, x: m.rnn(x)[0], rnn=nn.RNN(6, 8, batch_first=True)), 1),
    "LSTMCell": (lambda: Net(cells, cell=nn.LSTMCell(6, 8)), 4),
    "GRUCell": (lambda: Net(cells, cell=nn.GRUCell(6, 8)), 3),
    "RNNCell": (lambda: Net(cells, cell=nn.RNNCell(6, 8)), 1),
    "layers": (lambda: Net(loop, ih=nn.Linear(6, 8), hh=nn.Linear(8, 8, bias=False)), 1),
    "a function": (lambda: Net(functional_loop, ih=nn.Linear(6, 8), hh=nn.Linear(8, 8, bias=False)), 1),
    "spiking": (lambda: Net(spiking, ih=nn.Linear(6, 8), hh=nn.Linear(8, 8, bias=False)), 1),
}


@pytest.mark.parametrize("kind", RECURRENT)
def test_the_first_step_from_zeros_counts(kind: str) -> None:
    make, gates = RECURRENT[kind]
    p = run(make(), torch.randn(4, STEPS, 6), kind="static")
    linear = {o.name: o for o in p.operations if o.op == "linear"}
    ih, hh = linear.values() if "ih" in next(iter(linear)) else reversed(linear.values())
    assert (ih.dense, hh.dense) == (4 * STEPS * gates * 6 * 8, 4 * STEPS * gates * 8 * 8)
    assert (ih.executions, hh.executions) == (4 * STEPS, 4 * STEPS)
    assert hh.gate.elements == 4 * STEPS * 8 and not hh.constant and not hh.first
    assert str(hh.gate.kind) == ("spikes" if kind == "spiking" else "real")
    assert p.uncounted == ()


# --- Constants, and calls whose result nobody reads ---


def test_a_layer_that_reads_constants_could_run_once_and_is_charged_as_it_ran() -> None:
    table = nn.Parameter(torch.randn(4, 6))
    p = run(
        Net(
            lambda m, x: m.b(m.a(x).relu()) + m.c(m.table),
            a=nn.Linear(6, 6),
            b=nn.Linear(6, 3),
            c=nn.Linear(6, 3),
            table=table,
        )
    )
    assert {o.name: o.constant for o in p.operations} == {"a": False, "b": False, "c": True}
    assert dense(p) == {"a": 36, "b": 18, "c": 18}
    (note,) = p.notes
    assert note == "1 operation (c) read constants alone, and could run once: charged as they ran"
    assert not any(o.first for o in p.operations if o.name == "c")


def test_weights_that_are_made_of_weights_are_no_layer() -> None:
    p = run(
        Net(
            lambda m, x: F.linear(x, m.up @ m.down),
            up=nn.Parameter(torch.randn(5, 2)),
            down=nn.Parameter(torch.randn(2, 6)),
        )
    )
    assert [o.dense for o in p.operations] == [4 * 30] and p.notes == ()


def test_a_call_to_learn_a_shape_is_charged_and_named() -> None:
    def peek(m: Any, x: Tensor) -> Tensor:
        out = torch.zeros(*m.a(x).shape, STEPS)
        for t in range(STEPS):
            out[..., t] = fire(m.a(x))
        return sum(m.b(out[..., t]) for t in range(STEPS))

    p = run(Net(peek, a=nn.Linear(6, 6), b=nn.Linear(6, 3)))
    assert dense(p) == {"a": 36 * (STEPS + 1), "b": 18 * STEPS}
    assert p.notes == (
        "1 operation (a) ran with results that nothing read, 17% of the calls at most: charged, since they ran",
    )
    assert p.model.time_steps == STEPS


def test_an_unused_branch_is_charged_and_named() -> None:
    def branches(m: Any, x: Tensor) -> Tensor:
        m.aux(m.a(x))
        return m.b(m.a(x))

    p = run(Net(branches, a=nn.Linear(6, 6), b=nn.Linear(6, 3), aux=nn.Linear(6, 9)))
    assert dense(p) == {"a": 72, "aux": 54, "b": 18}
    assert len(p.notes) == 1 and p.notes[0].startswith("1 operation (aux) ran with results that nothing read, 100%")
    # What the model puts out is read, in whatever it lies.
    for wrap in (lambda y: y, lambda y: (y, y), lambda y: {"logits": y}, lambda y: [y]):
        assert run(Net(lambda m, x, wrap=wrap: wrap(m.a(x)), a=nn.Linear(6, 6))).notes == ()


# --- Layers in other words ---


def weights() -> nn.Parameter:
    return nn.Parameter(torch.randn(7, 6, generator=torch.Generator().manual_seed(3)))


LAYERS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "linear": lambda m, s: F.linear(s, m.w),
    "product": lambda m, s: s @ m.w.t(),
    "einsum": lambda m, s: torch.einsum("bi,oi->bo", s, m.w),
    "broadcast and sum": lambda m, s: (s.unsqueeze(-2) * m.w).sum(-1),
    "broadcast of the weight": lambda m, s: (m.w[None] * s[:, None]).sum(2),
    "convolution": lambda m, s: F.conv1d(s[..., None], m.w[..., None])[..., 0],
}


@pytest.mark.parametrize("words", LAYERS)
def test_a_layer_is_one_in_any_words(words: str) -> None:
    p = run(Net(lambda m, x: LAYERS[words](m, fire(m.a(x))), a=nn.Linear(6, 6), w=weights()))
    o = p.operations[1]
    assert (o.name, o.dense, o.events, str(o.gate.kind)) == ("w", 4 * 42, 7 * o.gate.nonzero, "spikes")
    assert o.gate.elements == 24 and o.weights == 42
    assert p.account().acs == pytest.approx(7 * o.gate.nonzero / 4) and p.account().macs == 36
    assert p.uncounted == ()


SCALES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "product": lambda m, s: s * m.w[0],
    "einsum": lambda m, s: torch.einsum("bi,i->bi", s, m.w[0]),
    "a number": lambda m, s: 0.3 * s,
    "division": lambda m, s: s / m.w[0],
}


@pytest.mark.parametrize("words", SCALES)
def test_a_weight_for_each_element_scales_in_any_words(words: str) -> None:
    p = run(Net(lambda m, x: m.b(SCALES[words](m, fire(m.a(x)))), a=nn.Linear(6, 6), b=nn.Linear(6, 3), w=weights()))
    assert [o.name for o in p.operations] == ["a", "b"]
    assert p.operations[1].events == 3 * p.operations[1].gate.nonzero


def driven_by_events(m: Any, s: Tensor) -> Tensor:
    rows, places = s.nonzero(as_tuple=True)
    return torch.zeros(len(s), 7).index_add_(0, rows, F.embedding(places, m.w.t()))


def selected(m: Any, s: Tensor) -> Tensor:
    where = s.nonzero()
    return torch.zeros(len(s), 7).index_add(0, where[:, 0], m.w.t().index_select(0, where[:, 1]))


def indexed(m: Any, s: Tensor) -> Tensor:
    where = torch.nonzero(s)
    return torch.zeros(len(s), 7).index_add_(0, where[:, 0], m.w.t()[where[:, 1]])


@pytest.mark.parametrize("words", [driven_by_events, selected, indexed])
def test_rows_of_weights_at_the_places_of_spikes_are_a_layer(words: Callable[[Any, Tensor], Tensor]) -> None:
    events, plain = (
        run(Net(lambda m, x, how=how: how(m, fire(m.a(x))), a=nn.Linear(6, 6), w=weights()))
        for how in (words, LAYERS["linear"])
    )
    one, other = events.operations[1], plain.operations[1]
    assert (one.name, one.dense, one.events) == ("w", other.dense, other.events)
    assert (one.gate.elements, one.gate.nonzero, one.gate.kind) == (24, other.gate.nonzero, other.gate.kind)
    assert events.account().acs == plain.account().acs and events.uncounted == ()


def test_one_dimensional_products() -> None:
    def image_by_image(m: Any, x: Tensor) -> Tensor:
        return torch.stack([q * k for q, k in zip(fire(m.a(x)), fire(m.b(x)), strict=True)])

    for bias in (0.0, -1.0, -9.0):  # the fewer are not zero
        net = Net(image_by_image, a=nn.Linear(6, 40), b=nn.Linear(6, 40))
        nn.init.constant_(net.a.bias, bias)
        with torch.no_grad():
            met = int((fire(net.a(X)) * fire(net.b(X))).sum())
        p = run(net)
        products = [o for o in p.operations if o.op == "product"]
        assert sum(o.dense for o in products) == 160 and sum(o.events for o in products) == met


# --- Complex numbers and padding ---


@pytest.mark.parametrize(
    ("left", "right", "times"), [(False, False, 1), (True, False, 2), (False, True, 2), (True, True, 4)]
)
def test_a_complex_product_is_four_real_ones(left: bool, right: bool, times: int) -> None:
    w = torch.randn(6, 5, dtype=torch.complex64 if right else torch.float32)
    x = torch.randn(4, 6, dtype=torch.complex64 if left else torch.float32)

    def multiply(m: Any, x: Tensor) -> Tensor:
        y = x @ m.w if left == right else x.to(torch.complex64) @ m.w.to(torch.complex64)
        return torch.view_as_real(y).sum(-1) if y.is_complex() else y

    p = run(Net(multiply, w=nn.Parameter(w)), x)
    expected = 4 if left != right else times  # mixed products are cast by the caller, and are complex then
    assert dense(p) == {"w": 30 * expected}
    assert p.operations[0].events == 4 * 30 * expected


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_padding_that_an_operator_adds_is_no_input(dims: int, kernel: int) -> None:
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims](3, 5, kernel, padding="same")
    x = torch.rand(2, 3, *(6,) * dims)
    p = run(nn.Sequential(nn.Threshold(0.4, 0.0), conv), x, kind="static")
    (o,) = p.operations
    assert (o.name, o.gate.elements, o.gate.nonzero) == ("1", x.numel(), int((x > 0.4).sum()))
    assert o.dense == 2 * 6**dims * 5 * 3 * kernel**dims
    assert o.sops == pytest.approx(o.gate.nonzero / o.gate.elements * o.dense)


# --- Layers that PyTorch does not see, and layers that are shared ---


def test_layers_in_a_plain_list_are_found_and_named() -> None:
    class Hidden(nn.Module):
        def __init__(self, registered: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            layers = [nn.Linear(6, 6), nn.Linear(6, 6)]
            self.layers: Any = nn.ModuleList(layers) if registered else layers
            self.fc = nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            v = [torch.zeros_like(x)] * 2
            out: Any = 0
            for _ in range(STEPS):
                h = x
                for i, layer in enumerate(self.layers):
                    v[i] = 0.5 * v[i] + layer(h)
                    h = fire(v[i] - 0.2)
                out = out + self.fc(h)
            return out

    seen, hidden = run(Hidden(True)), run(Hidden(False))
    assert [(o.name, o.dense, o.events) for o in hidden.operations] == [
        (o.name, o.dense, o.events) for o in seen.operations
    ]
    assert (hidden.model.parameters, hidden.model.time_steps) == (seen.model.parameters, STEPS)
    assert seen.notes == ()
    (note,) = hidden.notes
    assert note.startswith("2 modules are held by plain lists or dictionaries (layers.0, layers.1)")


def test_a_layer_that_reads_spikes_in_some_calls_and_sums_in_others_is_said_to() -> None:
    def both(m: Any, x: Tensor) -> Tensor:
        s = fire(m.a(x))
        return m.b(s) + m.b(0.9173 * s + 0.3319 * s.roll(1, 1))

    p = run(Net(both, a=nn.Linear(6, 6), b=nn.Linear(6, 3)))
    note = p.notes[-1]
    assert note.startswith("1 layer (b) read spikes in some calls, and in others what was made of them: charged by the")
    assert str(p.operations[1].gate.kind) == "averaged"


def test_inputs_and_weights_that_are_shared_are_counted_each_time() -> None:
    shared = nn.Linear(6, 6)
    p = run(Net(lambda m, x: m.two(fire(m.one(fire(m.a(x))))), a=nn.Linear(6, 6), one=shared, two=shared))
    assert dense(p) == {"a": 36, "one": 72}


def test_bookkeeping_of_spikes_is_no_operation() -> None:
    # When it fired last: a time, at first zero.
    def last(m: Any, x: Tensor) -> Tensor:
        v, when, out = torch.zeros(4, 6), torch.full((4, 6), -1000.0), torch.zeros(4, 3)
        for t in range(STEPS):
            v = 0.9 * v + m.a(x)
            s = v > 0.5
            v = v - s.float()
            when = when.masked_fill(s, t)
            out = out + m.b(s.float())
        return out + 0 * when.sum()

    p = run(Net(last, a=nn.Linear(6, 6), b=nn.Linear(6, 3)))
    assert dense(p) == {"a": 36 * STEPS, "b": 18 * STEPS}


# --- Neurons by a user's word ---


def test_a_user_may_say_what_is_a_layer_of_neurons() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, 1.0, 0.0) * (1 + 0 * x)

    net = Net(
        lambda m, x: m.b(m.odd(m.a(x))), a=nn.Linear(6, 6), odd=nn.Sequential(Odd(), nn.Identity()), b=nn.Linear(6, 3)
    )
    said = run(net, neurons=["odd"])
    assert [n.name for n in said.neurons] == ["odd"]
    with pytest.raises(InputError, match="--neurons nobody matches no module"):
        run(net, neurons=["nobody"])
