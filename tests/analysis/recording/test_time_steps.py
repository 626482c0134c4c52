"""T, wherever time stands: in a dimension of its own or merged with another, in a loop, outside the model."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import Profile, profile
from saformer.analysis.profiles import Operand, Operation, Values
from saformer.analysis.recording.beforehand.time_steps import seen_steps
from saformer.analysis.recording.observers.neuron_candidates import Decision

STEPS, BATCH = 4, 3
X = torch.rand(BATCH, 2, 6, 6, generator=torch.Generator().manual_seed(1))


class LIF(nn.Module):
    """All steps in one call, along any dimension."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        v, out = torch.zeros_like(x.select(self.dim, 0)), []
        for current in x.unbind(self.dim):
            v = 0.5 * v + current
            s = (v > 0.4).to(x)
            v = v * (1 - s)
            out.append(s)
        return torch.stack(out, self.dim)


class One(nn.Module):
    """One step, the membrane kept between calls."""

    def __init__(self) -> None:
        super().__init__()
        self.v: Any = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.v = 0.5 * self.v + x
        s = (self.v > 0.4).to(x)
        self.v = self.v * (1 - s)
        return s


def layers() -> list[nn.Module]:
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(2, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)]
    for layer in convolutions:
        layer.weight.data *= 4
    return [*convolutions, nn.Linear(144, 3)]


class Net(nn.Module):
    """Three layers, neurons between; T x B, B x T, time last, merged either way, or a loop."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout
        self.a, self.b, self.fc = layers()
        self.dim = {"T x B": 0, "B x T": 1, "last": 4, "T*B": 0, "B*T": 0}.get(layout, 0)
        merged = layout in ("T*B", "B*T")
        self.fire1, self.fire2 = (Merged(layout) if merged else LIF(self.dim) for _ in range(2))

    def each(self, layer: nn.Module, x: Tensor) -> Tensor:
        """A layer on every step."""
        if self.layout == "last":
            return torch.stack([layer(v) for v in x.unbind(-1)], -1)
        if self.layout in ("T*B", "B*T"):
            return layer(x)
        return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        batch = len(x)
        x = {
            "T x B": lambda: x.expand(STEPS, *x.shape),
            "B x T": lambda: x.unsqueeze(1).repeat(1, STEPS, 1, 1, 1),
            "last": lambda: x.unsqueeze(-1).repeat(1, 1, 1, 1, STEPS),
            "T*B": lambda: x.repeat(STEPS, 1, 1, 1),
            "B*T": lambda: x.repeat_interleave(STEPS, 0),
        }[self.layout]()
        x = self.fire2(self.each(self.b, self.fire1(self.each(self.a, x))))
        if self.layout in ("T x B", "B x T", "last"):
            return self.fc(x.mean(self.dim).flatten(1))
        rows = self.fc(x.flatten(1))
        return rows.unflatten(0, (STEPS, batch) if self.layout == "T*B" else (batch, STEPS)).mean(
            0 if self.layout == "T*B" else 1
        )


class Merged(nn.Module):
    """Neurons that know how images and steps were merged."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.time_first = layout == "T*B"
        self.inner = LIF(0 if self.time_first else 1)

    def forward(self, x: Tensor) -> Tensor:
        apart = x.unflatten(0, (STEPS, -1) if self.time_first else (-1, STEPS))
        return self.inner(apart).flatten(0, 1)


class Loop(nn.Module):
    """A loop in Python over a network of single steps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = layers()
        self.fire1, self.fire2 = One(), One()

    def forward(self, x: Tensor) -> Tensor:
        return sum(self.step(x) for _ in range(STEPS)) / STEPS

    def step(self, x: Tensor) -> Tensor:
        return self.fc(self.fire2(self.b(self.fire1(self.a(x)))).flatten(1))


class Single(Loop):
    """The loop stands outside, in somebody's training script."""

    def forward(self, x: Tensor) -> Tensor:
        return self.step(x)


def run(model: nn.Module, x: Tensor = X, **options: Any) -> Profile:
    return profile(model, list(x.split(2)), check_flops=False, **options)


def facts(p: Profile, *names: str) -> Any:
    return {
        o.name: (o.dense, o.gate.elements, o.gate.nonzero, o.events, o.gate.kind, o.executions)
        for o in p.operations
        if not names or o.name in names
    }


@pytest.fixture(scope="module")
def looped() -> Profile:
    return run(Loop())


@pytest.mark.parametrize("layout", ["T x B", "B x T", "last", "T*B", "B*T"])
def test_t_wherever_it_stands(layout: str, looped: Profile) -> None:
    p = run(Net(layout))
    assert p.model.time_steps == looped.model.time_steps == STEPS
    assert facts(p, "a", "b") == facts(looped, "a", "b")
    assert p.notes == ()
    assert {n.name: (n.elements, n.spikes) for n in p.neurons} == {
        n.name: (n.elements, n.spikes) for n in looped.neurons
    }
    assert p.account(first_layer="once").layers[0].macs == p.account().layers[0].macs / STEPS
    if layout in ("T x B", "T*B", "B*T"):
        assert [n.per_step for n in p.neurons] == [n.per_step for n in looped.neurons]
    else:  # a sum rather than steps that are none
        assert all(len(n.per_step) == 1 for n in p.neurons)
    assert p.unit == "image" and p.moments.units == BATCH


@pytest.mark.parametrize("layout", ["T x B", "B x T", "last", "T*B", "B*T"])
def test_intervals_are_those_of_images_one_by_one(layout: str) -> None:
    p = run(Net(layout))
    one, *others = (profile(Net(layout), [image[None]], check_flops=False) for image in X)
    for other in others:
        one = one + other
    assert (p.moments, p.unit) == (one.moments, one.unit)
    assert p.operations == one.operations


def test_a_loop_that_stands_outside_is_run_when_it_is_said(looped: Profile) -> None:
    single = run(Single())
    assert single.model.time_steps is None
    (note,) = single.notes
    assert "ran once per sample" in note and "--loop T" in note
    assert [o.dense * STEPS for o in single.operations] == [o.dense for o in looped.operations]
    outside = run(Single(), loop=STEPS)
    assert not [f for f in outside.free if f.op in ("mean", "stack")]  # the mean over calls is no part of the model
    assert outside.model.time_steps == STEPS and outside.notes == () and outside.run["loop"] == STEPS
    assert facts(outside) == facts(looped) and outside.neurons == looped.neurons
    assert outside.moments.sums[:7] == looped.moments.sums
    with_witness = profile(Single(), [X], loop=STEPS)
    assert with_witness.notes == () and with_witness.uncounted == ()


def test_an_outer_loop_over_frames_gives_each_step_its_frame() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Loop()

        def forward(self, frames: Tensor) -> Tensor:
            return sum(self.net.step(frame) for frame in frames.unbind(1)) / frames.shape[1]

    frames = torch.randint(0, 3, (BATCH, STEPS, 2, 6, 6), generator=torch.Generator().manual_seed(3)).float()
    inside, outside = run(Inner(), frames), run(Single(), frames, loop=STEPS)
    assert inside.data.kind == outside.data.kind == "events"
    assert {name.removeprefix("net."): found for name, found in facts(inside).items()} == facts(outside)
    assert inside.model.time_steps == outside.model.time_steps == STEPS


def test_a_users_word_wins() -> None:
    assert run(Single(), time_steps=6).model.time_steps == 6
    assert run(Loop(), time_steps=2).model.time_steps == 2


class Series(nn.Module):
    """B x T x F, through linear layers that take all steps at once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.fire, self.b = nn.Linear(7, 9), LIF(1), nn.Linear(9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.fire(self.a(x))).mean(1)


def test_trains_are_events_and_have_t_steps() -> None:
    x = (torch.rand(BATCH, 11, 7, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    p = run(Series(), x)
    assert (p.data.kind, p.model.time_steps) == ("events", 11)
    a, b = p.operations
    assert p.account().macs == 0
    assert p.account().acs == pytest.approx((9 * int(x.sum()) + 3 * b.gate.nonzero) / BATCH)
    said = run(Series(), x, kind="static")
    assert said.account().macs == pytest.approx(a.dense / BATCH)


def test_event_frames_in_one_call_leave_t_open() -> None:
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(72, 9), nn.Linear(9, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b((self.a(x.flatten(2)) > 0).float()).mean(1)

    frames = torch.randint(0, 3, (BATCH, STEPS, 2, 6, 6)).float()
    p = run(Flat(), frames)
    assert p.model.time_steps is None
    (note,) = p.notes
    assert note.startswith("the input has 4 frames, and the layers were seen to run once: T is not known")
    assert run(Flat(), frames, time_steps=STEPS).notes == ()


# --- The rule, on numbers ---


def layer(executions: int, kind: str = "spikes", **changes: Any) -> Operation:
    values = {"spikes": Values(unit=1.0, levels=1, magnitudes=1, total=5), "real": Values("real")}[kind]
    settings = {"weights": 9, "executions": executions, **changes}
    return Operation(f"{executions}", "linear", 10, (Operand(10, 5, 5, values),), 5, **settings)


NONE = Decision((), 1)


@pytest.mark.parametrize(
    ("operations", "decision", "steps"),
    [
        ([], NONE, None),
        ([layer(4, "real")], NONE, None),
        ([layer(8), layer(8), layer(2)], NONE, 4),  # a layer after a mean over time runs once
        ([layer(8), layer(6)], NONE, 3),  # of as many the fewest
        ([layer(8), layer(6)], Decision((), 4), 4),  # or as the neurons say
        ([layer(2)], NONE, 1),
        ([layer(8, first=True), layer(2)], NONE, 1),  # the image may be read before time begins
        ([layer(8, weights=0)], NONE, None),  # a product
        ([layer(3)], NONE, 1),  # one and a half times
        ([layer(2)], Decision((), 1, looped=5), 5),
        ([layer(8)], Decision((), 1, looped=5), 5),  # the last spikes of a recurrence are read by nobody
        ([layer(8)], Decision((), 1, looped=7), 4),
    ],
)
def test_t_as_layers_and_neurons_show_it(operations: list[Operation], decision: Decision, steps: int | None) -> None:
    if operations == [layer(3)]:
        decision = Decision((), 1)
    found = seen_steps(operations, decision, 2, {})
    assert found == (None if operations == [layer(3)] else steps)


def test_calls_that_nobody_read_are_no_steps() -> None:
    assert seen_steps([layer(10)], NONE, 2, {"10": 0.2}) == 4
    assert seen_steps([layer(10)], NONE, 2, {}) == 5


def test_parallel_neurons_of_spikingjelly_have_their_steps() -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.lif, self.b = nn.Linear(6, 30), neuron.PSN(STEPS), nn.Linear(30, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.lif(self.a(x.expand(STEPS, *x.shape)))).mean(0)

    p = profile(Net(), [6 * torch.rand(BATCH, 6)], check_flops=False)
    (neurons,) = p.neurons
    assert (neurons.name, len(neurons.per_step), p.model.time_steps) == ("lif", STEPS, STEPS)
    names = {o.name: o for o in p.operations}
    # Its weights join steps: a row of its own.
    assert set(names) == {"a", "lif", "b"} and names["lif"].dense == STEPS * STEPS * BATCH * 30
    assert names["b"].gate.nonzero == neurons.spikes


@pytest.mark.parametrize("layout", ["time first", "batch first", "once"])
def test_once_charges_a_static_image_for_one_step_however_it_is_repeated(layout: str) -> None:
    class Repeats(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            axis = 0 if layout == "time first" else 1
            if layout == "once":
                current = self.a(x)[:, None].expand(-1, STEPS, -1)
            else:
                current = self.a(x.unsqueeze(axis).expand(*((STEPS, -1) if axis == 0 else (-1, STEPS)), -1))
            spikes = torch.stack([(v > 0.1 * t).float() for t, v in enumerate(current.unbind(axis))], axis)
            return self.b(spikes).mean(axis)

    p = profile(Repeats(), [torch.randn(5, 6)], time_steps=STEPS, check_flops=False)
    repeat, once = (p.account(first_layer=how) for how in ("repeat", "once"))
    times = 1 if layout == "once" else STEPS
    assert (repeat.layers[0].macs, once.layers[0].macs) == (48 * times, 48)
    said = "changes nothing" if layout == "once" else "charged for one time step, not T"
    assert any(said in note for note in once.notes) and not any("first layer" in note for note in repeat.notes)


def test_a_layer_that_reads_one_thing_at_first_and_another_later_runs_at_all_steps() -> None:
    class Burns(nn.Module):
        """Layers that read their own last step: zeros at first, then what fired."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            first, second, out = torch.zeros(len(x), 8), torch.zeros(len(x), 8), torch.zeros(len(x), 3)
            for t in range(6):
                out = out + self.c(second)
                second = (self.b(first) > 0.1).float()
                first = (self.a(x * (1 + t)) > 0.1).float()
            return out

    assert run(Burns(), torch.randn(5, 6, generator=torch.Generator().manual_seed(0))).model.time_steps == 6
