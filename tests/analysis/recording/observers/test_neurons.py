"""Neurons that a user wrote: recognised over a whole run, whatever the order of its batches, and brought to rest."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import Profile, profile
from saformer.analysis.diagnostics.spike_driven import audit
from saformer.neurons import LIF

STEPS = 3


class Fire(nn.Module):
    """Leaky neurons that keep their membrane between calls, in a plain attribute or a buffer.

    Without a comparison that can be seen, nothing but the ones that they put out shows that they are neurons.
    """

    def __init__(self, buffer: bool = False, threshold: float = 1.0, compare: bool = True) -> None:
        super().__init__()
        self.compare = compare
        self.threshold = threshold
        self.calls = 0
        if buffer:
            self.register_buffer("mem", torch.zeros(1, 6))
        else:
            self.mem = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        mem = self.mem * 0.5 + x
        spikes = (mem >= self.threshold).to(x) if self.compare else (mem / self.threshold).floor().clamp(0, 1)
        self.mem = mem * (1 - spikes)
        return spikes


class Net(nn.Module):
    def __init__(self, fire: nn.Module, steps: int = STEPS) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.fire, self.b = nn.Linear(4, 6, bias=False), fire, nn.Linear(6, 2, bias=False)
        self.a.weight.data *= 3
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return sum(self.b(self.fire(self.a(x))) for _ in range(self.steps)) / self.steps


X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
SILENT = torch.zeros(2, 4)


def run(model: nn.Module, batches: list[Tensor], **options: Any) -> Profile:
    return profile(model, batches, check_flops=False, **options)


def facts(p: Profile) -> Any:
    return (
        sorted(p.operations, key=lambda o: o.name),
        sorted(p.neurons, key=lambda n: n.name),
        sorted(p.undecided, key=lambda n: n.name),
        sorted(p.free, key=lambda f: (f.name, f.op)),
        p.unit,
        p.model,
        p.uncounted,
    )


@pytest.mark.parametrize("buffer", [False, True])
def test_neurons_of_ones_own_are_at_rest_at_the_start_of_each_batch(buffer: bool) -> None:
    plain, spikes = Net(Fire(buffer)), []
    plain.fire.register_forward_hook(lambda m, a, out: spikes.append(int(out.sum())))
    with torch.no_grad():
        plain(X)
    fire = Fire(buffer)
    p = run(Net(fire), [X[:2], X[2:4], X[4:]])
    (neurons,) = p.neurons
    assert (neurons.name, neurons.per_step) == ("fire", tuple(spikes))
    assert p.model.time_steps == STEPS
    assert p.notes == ()
    assert [o.name for o in p.operations] == ["a", "b"]  # the reset of the membrane is the neurons' own
    assert p.operations[1].sources == ("spikes of fire",)
    # Left as it was found, too.
    assert fire.calls == 0
    assert torch.equal(torch.as_tensor(fire.mem), torch.zeros(1, 6) if buffer else torch.tensor(0.0))


@pytest.mark.parametrize("where", ["list", "dictionary", "new attribute"])
def test_state_is_found_wherever_a_module_keeps_it(where: str) -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []
            self.table: dict[str, Tensor] = {}

        def forward(self, x: Tensor) -> Tensor:
            if where == "list":
                self.seen.append(x)
                x = sum(self.seen)
            elif where == "dictionary":
                x = self.table["mem"] = self.table.get("mem", 0.0) + x
            else:
                x = self.mem = getattr(self, "mem", 0.0) + x
            return (x >= 1).to(x)

    batches = [X[:3], X[3:]]
    assert facts(run(Net(Keeps()), batches)) == facts(run(Net(Keeps()), batches[::-1]))
    assert facts(run(Net(Keeps()), batches)) == facts(run(Net(Keeps()), [X]))


def test_state_out_of_sight_is_said_to_be_there() -> None:
    class Hidden(nn.Module):
        memory = [torch.zeros(())]  # noqa: RUF012 - shared by all instances, as a global would be

        def forward(self, x: Tensor) -> Tensor:
            Hidden.memory[0] = Hidden.memory[0] + x.abs().sum()
            return x * Hidden.memory[0]

    (note,) = run(Net(Hidden()), [X]).notes
    assert "the model gives another output" in note and "reset" in note
    assert run(Net(nn.ReLU()), [X]).notes == ()


def test_random_numbers_drawn_through_torch_are_no_state() -> None:
    class Poisson(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (torch.rand_like(x) < x).to(x)

    assert run(Net(Poisson()), [X]).notes == ()
    net = Net(nn.ReLU())
    torch.manual_seed(3)
    before = torch.rand(1)
    torch.manual_seed(3)
    run(net, [X])
    assert torch.equal(torch.rand(1), before)


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_the_batches_makes_no_difference(order: tuple[int, ...], compare: bool) -> None:
    batches = [SILENT, X[:3], X[3:]]
    reference = run(Net(Fire(compare=compare)), batches)
    (neurons,) = reference.neurons
    assert neurons.elements == 8 * 6 * STEPS
    assert facts(run(Net(Fire(compare=compare)), [batches[i] for i in order])) == facts(reference)


@pytest.mark.parametrize("compare", [False, True])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_profiles_of_parts_add_up_though_one_is_silent(order: tuple[int, ...], compare: bool) -> None:
    batches = [[SILENT, X[:3], X[3:]][i] for i in order]
    whole = run(Net(Fire(compare=compare)), batches)
    first, second, third = (run(Net(Fire(compare=compare)), [batch]) for batch in batches)
    assert facts(first + second + third) == facts(whole)
    assert (first + second + third).moments == whole.moments
    assert facts(first + (second + third)) == facts(whole)


def test_a_silent_part_has_its_neurons() -> None:
    p = run(Net(Fire(compare=False)), [SILENT])
    assert [(n.name, n.elements, n.per_step) for n in p.neurons] == [("fire", 2 * 6 * STEPS, (0, 0, 0))]
    assert p.undecided == ()
    assert Profile.from_json(p.to_json()) == p


@pytest.mark.parametrize("where", [False, True])
def test_silent_neurons_that_compare_are_neurons(where: bool) -> None:
    class Choose(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 100, 1.0, 0.0) if where else x.gt(100).type_as(x)

    p = run(Net(Choose()), [SILENT, X])
    (neurons,) = p.neurons
    assert (neurons.name, neurons.elements, neurons.spikes) == ("fire", 8 * 6 * STEPS, 0)
    assert p.operations[1].sources == ("spikes of fire",)


class Ramp(nn.Module):
    """A user's own ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x > 0)


def test_a_dead_unit_is_no_layer_of_neurons() -> None:
    net = Net(Ramp(), 1)
    net.a.weight.data.abs_().neg_()
    p = run(net, [X.abs(), X.abs()])
    assert p.neurons == ()
    assert str(p.operations[1].gate.kind) == "silent"  # which costs nothing
    assert p.account().acs == 0 and p.account().macs == p.operations[0].dense / 12
    assert audit(p).verdict == "not spike-driven: the network has no spiking neurons"


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_zeros_and_ones_in_one_batch_alone_is_no_layer_of_neurons(order: int) -> None:
    class Clip(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.clamp(0, 1)

    saturated, between = 100 * torch.ones(3, 4), X
    p = run(Net(Clip(), 1), [saturated, between][::order])
    assert p.neurons == () and p.undecided == ()
    assert p.operations[1].sources == ("clamp in fire",)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_neurons_used_in_two_places_see_each_step_once(steps: int) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
            for layer in (self.a, self.b, self.c):
                layer.weight.data *= 4
            self.fire = Step()

        def forward(self, x: Tensor) -> Tensor:
            return sum(self.c(self.fire(self.b(self.fire(self.a(x * (t + 1)))))) for t in range(steps))

    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x >= 0.3).to(x)

    net, seen = Twice(), []
    net.fire.register_forward_hook(lambda m, a, out: seen.append(int(out.sum())))
    with torch.no_grad():
        net(X)
    wanted = tuple(seen[2 * t] + seen[2 * t + 1] for t in range(steps))
    p = run(Twice(), [X[:4], X[4:]])
    (neurons,) = p.neurons
    assert neurons.per_step == wanted
    assert p.model.time_steps == steps
    assert neurons.elements == 2 * steps * X.numel()


def test_our_own_neurons_used_in_two_places() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.lif = nn.Linear(4, 4), nn.Linear(4, 4), LIF(threshold=0.1)

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.b(self.lif(self.a(x.expand(STEPS, *x.shape)))))

    for options in ({}, {"time_steps": STEPS}):
        p = run(Twice(), [X], **options)
        (neurons,) = p.neurons
        assert len(neurons.per_step) == STEPS == p.model.time_steps
        assert neurons.elements == 2 * STEPS * X.numel()


def test_recurrent_neurons_have_all_their_steps() -> None:
    # What they read is the result of the layer at the first step, and a sum from then on: one place all the same.
    class Recurrent(Net):
        def forward(self, x: Tensor) -> Tensor:
            spikes: Any = 0
            for _ in range(self.steps):
                current = self.a(x) if isinstance(spikes, int) else self.a(x) + 0.1 * spikes
                spikes = self.fire(current)
            return self.b(spikes)

    p = run(Recurrent(Fire()), [X])
    assert [len(n.per_step) for n in p.neurons] == [STEPS]


# --- Images or time steps? ---


class TimeFirst(nn.Module):
    """T x B x ..., and nobody says so."""

    def __init__(self, steps: int, layer: Callable[[], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.steps, self.layer = steps, layer()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.expand(self.steps, *x.shape)).mean(0)


@pytest.mark.parametrize("batch", [2, 3, 4, 5])
def test_as_many_images_as_time_steps_are_not_taken_for_them(batch: int) -> None:
    # With T = B the first dimension is as long as the batch; which one holds the images shows where it grows with them.
    steps = 4
    x = torch.randn(batch, 4, generator=torch.Generator().manual_seed(2))
    x[0, :2] = 0
    p = run(TimeFirst(steps, lambda: nn.Sequential(nn.Linear(4, 6), Fire(threshold=0.1))), [x])
    assert p.unit == "image" and p.moments.units == batch
    (neurons,) = p.neurons
    assert len(neurons.per_step) == steps == p.model.time_steps
    singly = [run(TimeFirst(steps, lambda: nn.Sequential(nn.Linear(4, 6), Fire(threshold=0.1))), [i[None]]) for i in x]
    total = singly[0]
    for part in singly[1:]:
        total = total + part
    assert (p.moments, p.neurons, p.operations) == (total.moments, total.neurons, total.operations)


def test_a_network_that_takes_images_first_keeps_its_interval_whatever_their_number() -> None:
    for batch in (1, 2, 3):
        p = run(Net(Fire()), [X[:batch]])
        assert p.unit == "image" and p.moments.units == batch
    # Square maps: as many channels or tokens as images say nothing either.
    p = run(nn.Sequential(nn.Linear(4, 4)), [torch.randn(4, 4, 4)], kind="static")
    assert p.unit == "image"


def test_a_network_that_insists_on_its_batch_size_is_run_all_the_same() -> None:
    class Fixed(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.view(6, 4))

    assert facts(run(Fixed(Fire()), [X]))[:4] == facts(run(Net(Fire()), [X]))[:4]


@pytest.mark.parametrize(
    ("levels", "kind", "note"),
    [
        ((-1.0, 0.0, 1.0), "ternary", "1 layer (graded) of neurons put out spikes of both signs: each is one AC"),
        ((0.0, 0.5), "spikes", None),
        (
            (0.0, 1.0, 2.0),
            "graded",
            "1 layer (graded) of neurons put out whole multiples of a unit, up to 2: `paper` charges one AC for each "
            "that is not zero, `integer-spikes` one for each unit, `exact` a MAC",
        ),
    ],
)
def test_neurons_of_other_values_than_0_and_1_are_listed(
    levels: tuple[float, ...], kind: str, note: str | None
) -> None:
    class Graded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor(levels)[torch.bucketize(x, torch.linspace(-0.3, 0.3, len(levels) - 1))].type_as(x)

    class Shortcut(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 32), nn.Linear(32, 3)
            self.graded, self.shortcut = Graded(), Shortcut()

        def forward(self, x: Tensor) -> Tensor:
            y = self.graded(self.a(x))
            return self.b(self.shortcut(y, y))

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(9, 6)])
    assert [n.name for n in p.neurons] == ["graded"]
    b = p.operations[1].gate
    assert str(b.kind) == kind and b.unit == 2 * min(abs(v) for v in levels if v)
    assert p.neurons[0].spikes == b.nonzero
    assert p.notes == (() if note is None else (note,))
