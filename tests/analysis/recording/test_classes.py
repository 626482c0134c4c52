"""What a layer reads is classed by its values, however the network that made them was written."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import Profile, profile
from saformer.analysis.profiles import Operand, Operation, ValueClass
from saformer.neurons import LIF

STEPS, HIDDEN = 4, 40
X = torch.randn(6, 9, generator=torch.Generator().manual_seed(5))
MANY = torch.randn(80, 9, generator=torch.Generator().manual_seed(6))


class Between(nn.Module):
    """A layer, something, a layer: in a loop over time, or once."""

    def __init__(self, between: Callable[[Tensor], Any], steps: int = 1, gain: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.after = nn.Linear(9, HIDDEN), nn.Linear(HIDDEN, 5)
        self.before.weight.data *= gain
        self.between, self.steps = between, steps

    def forward(self, x: Tensor) -> Tensor:
        out: Any = 0
        for _ in range(self.steps):
            out = out + self.after(self.between(self.before(x)))
        return out

    def seen(self, x: Tensor = X) -> Tensor:
        """What the second layer reads, of the same random numbers as a run."""
        torch.manual_seed(7)
        with torch.no_grad():
            return self.between(self.before(x))


def run(model: nn.Module, x: Any = X, **options: Any) -> Profile:
    torch.manual_seed(7)
    return profile(model, [x], check_flops=False, **options)


def read(p: Profile, name: str = "after") -> Operand:
    (o,) = [o for o in p.operations if o.name == name]
    return o.gate


def dense(p: Profile, name: str = "after") -> float:
    return next(o.dense for o in p.operations if o.name == name) / p.images


def charges(p: Profile, accounting: str = "paper", name: str = "after", **options: Any) -> tuple[float, float]:
    row = next(row for row in p.account(accounting, **options).layers if row.name == name)
    return row.macs, row.acs


# --- Spikes, in the words of many authors ---


class Straight(torch.autograd.Function):
    """Spikes that fill a tensor of zeros, by index; a gradient of its own."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        ctx.save_for_backward(v)
        out = torch.zeros_like(v)
        out[v > 0] = 1.0
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _filled(v: Tensor) -> Tensor:
    out = torch.zeros_like(v)
    out[v > 0] = 1.0
    return out


def _added(v: Tensor) -> Tensor:
    out = v.new_zeros(v.shape)
    out += (v > 0).float()
    return out


def _over(v: Tensor, threshold: float = 0.0) -> Tensor:
    """Written over the membrane itself, by two masks."""
    v = v.clone()
    v[v > threshold] = 1.0
    v[v <= threshold] = 0.0
    return v


def _over_by_one_mask(v: Tensor) -> Tensor:
    v, fires = v.clone(), v > 0
    v[fires] = 1.0
    v[~fires] = 0.0
    return v


def _over_by_places(v: Tensor) -> Tensor:
    out = v.clone()
    out[torch.where(v > 0)] = 1.0
    out[v <= 0] = 0.0
    return out


def _soft(v: Tensor) -> Tensor:
    soft = torch.sigmoid(4 * v)
    return ((v > 0).float() - soft).detach() + soft


def _soft_first(v: Tensor) -> Tensor:
    soft = v.clamp(0, 1)
    return soft + ((v > 0).float() - soft).detach()


MASK = (torch.arange(HIDDEN) % 5 > 0).float()
SPIKES: dict[str, Callable[[Tensor], Tensor]] = {
    "comparison": lambda v: (v > 0).float(),
    "zeros, then an index": _filled,
    "a function with a gradient": Straight.apply,
    "zeros, then a sum in place": _added,
    "masked_fill": lambda v: torch.zeros_like(v).masked_fill(v > 0, 1.0),
    "masked_fill of ones": lambda v: torch.ones_like(v).masked_fill(v <= 0, 0.0),
    "where": lambda v: torch.where(v > 0, torch.ones_like(v), torch.zeros_like(v)),
    "where, numbers": lambda v: torch.where(v > 0, 1.0, 0.0),
    "over the membrane": _over,
    "over the membrane, one mask": _over_by_one_mask,
    "over the membrane, by places": _over_by_places,
    "over the membrane, where": lambda v: torch.where(v <= 0, 0.0, torch.where(v > 0, 1.0, v)),
    "over the membrane, masked_fill": lambda v: v.clone().masked_fill_(v > 0, 1).masked_fill_(v <= 0, 0),
    "ones where it fires": lambda v: (v > 0).float() * torch.ones_like(v),
    "times a mask of a dropout": lambda v: (v > 0).float() * MASK,
    "heaviside": lambda v: torch.heaviside(v, torch.zeros(())),
    "sign": lambda v: (torch.sign(v) + 1) / 2,
    "rounded": lambda v: v.clamp(0, 1).round(),
    "floor": lambda v: torch.floor(v).clamp(0, 1),
    "ceil": lambda v: v.clamp(0, 1).ceil(),
    "straight through": _soft,
    "straight through, soft first": _soft_first,
    "one of each row": lambda v: F.one_hot(v.argmax(1), HIDDEN).float(),
    "drawn": lambda v: torch.bernoulli(v.sigmoid()),
    "ge of the type of x": lambda v: v.ge(0).type_as(v),
    "logical": lambda v: torch.logical_and(v > 0, v < 9).to(v),
    "relu of spikes": lambda v: F.relu((v > 0).float()),
    "dropout in evaluation": lambda v: F.dropout((v > 0).float(), 0.5, False),
    "half a step of two": lambda v: ((v > 0).float() + (v > 0.5).float() > 1).float(),
}


@pytest.mark.parametrize("idiom", SPIKES)
def test_spikes_are_spikes_however_they_are_written(idiom: str) -> None:
    net = Between(SPIKES[idiom])
    p, seen = run(net), net.seen()
    assert set(seen.unique().tolist()) == {0.0, 1.0}
    x = read(p)
    assert (x.kind, x.unit, x.levels) == (ValueClass.SPIKES, 1.0, 1)
    assert (x.elements, x.nonzero, x.total) == (seen.numel(), int(seen.sum()), int(seen.sum()))
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        macs, acs = charges(p, accounting)
        assert macs == 0 and acs == pytest.approx(5 * int(seen.sum()) / 6)
    assert read(p, "before").kind is ValueClass.REAL and charges(p, name="before") == (9 * HIDDEN, 0)
    assert p.uncounted == ()
    assert [o.name for o in p.operations] == ["before", "after"]


HEIGHTS = torch.linspace(0.3, 1.7, HIDDEN)
OTHER_SPIKES: dict[str, tuple[Callable[[Tensor], Tensor], str, float | None]] = {
    "as high as a threshold": (lambda v: (v > 0).float() * 0.37, "spikes", 0.37),
    "as high as a learned threshold": (lambda v: (v > 0).float() * torch.tensor([1.3]), "spikes", 1.3),
    "divided by a threshold": (lambda v: (v > 0).float() / 3, "spikes", 1 / 3),
    "thresholded": (lambda v: torch.where(v > 0.37, 0.37, 0.0), "spikes", 0.37),
    "by channel": (lambda v: (v > 0).float() * HEIGHTS, "spikes", None),
    "ternary": (lambda v: (v > 0.5).float() - (v < -0.5).float(), "ternary", 1.0),
    "ternary by sign": (lambda v: torch.sign(v) * (v.abs() > 0.5), "ternary", 1.0),
    "ternary over the membrane": (
        lambda v: v.masked_fill(v > 0.5, 1.0).masked_fill(v < -0.5, -1.0).masked_fill(v.abs() <= 0.5, 0.0),
        "ternary",
        1.0,
    ),
    "ternary, scaled": (lambda v: 0.7 * ((v > 0.5).float() - (v < -0.5).float()), "ternary", 0.7),
    "ternary by channel": (lambda v: HEIGHTS * ((v > 0.5).float() - (v < -0.5).float()), "ternary", None),
    "always -1 or 1": (lambda v: torch.where(v > 0, 1.0, -1.0), "ternary", 1.0),
}


@pytest.mark.parametrize("idiom", OTHER_SPIKES)
def test_spikes_of_any_height_and_sign_accumulate(idiom: str) -> None:
    spikes, kind, unit = OTHER_SPIKES[idiom]
    net = Between(spikes)
    # A unit for each channel is believed where each was seen at zero, too.
    p, seen = run(net, MANY), net.seen(MANY)
    x = read(p)
    assert str(x.kind) == kind
    assert x.unit == (None if unit is None else pytest.approx(unit))
    assert x.nonzero == int(seen.ne(0).sum()) == x.total
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        assert charges(p, accounting) == (0, pytest.approx(5 * x.nonzero / 80))
    # syops looks for zeros and ones.
    assert charges(p, "syops")[0] == (0 if x.binary else dense(p) + 5 / 80)


# --- Whole multiples ---


def ilif(v: Tensor, most: int = 4, divided: bool = True) -> Tensor:
    """Integers up to D, over D as it is trained."""
    k = v.clamp(0, most).round()
    return k / most if divided else k


GRADED: dict[str, tuple[Callable[[Tensor], Tensor], float, int]] = {
    "I-LIF": (lambda v: ilif(v, divided=False), 1.0, 4),
    "I-LIF over D": (ilif, 0.25, 4),
    "I-LIF of eight levels": (lambda v: ilif(2 * v, 8), 0.125, 8),
    "I-LIF over a D that is no power of two": (lambda v: ilif(2 * v, 6), 1 / 6, 6),
    "bursts": (lambda v: torch.floor(v.clamp(0, 3)) * 0.3, 0.3, 3),
    "sums of spikes": (lambda v: (v > 0).float() + (v > 0.5).float(), 1.0, 2),
    "bits": (lambda v: (v > 0).float() + 2 * (v > 1).float() + 4 * (v > 2).float(), 1.0, 7),
    "both signs": (lambda v: v.clamp(-2, 2).round(), 1.0, 2),
}


@pytest.mark.parametrize("idiom", GRADED)
def test_whole_multiples_of_a_unit(idiom: str) -> None:
    spikes, unit, levels = GRADED[idiom]
    net = Between(spikes, gain=4.0)
    p = run(net, graded=True)
    k = net.seen() / unit
    total, nonzero = int(k.abs().round().sum()), int(k.ne(0).sum())
    x = read(p)
    assert (x.kind, x.unit, x.levels, x.total) == (ValueClass.GRADED, pytest.approx(unit), levels, total)
    assert charges(p) == (0, pytest.approx(5 * nonzero / 6))
    assert charges(p, "integer-spikes") == (0, pytest.approx(5 * total / 6))
    assert charges(p, "spike-driven") == charges(p, "exact") == (pytest.approx(5 * nonzero / 6), 0)
    assert charges(p, "exact", graded="unroll") == (0, pytest.approx(5 * total / 6))


def test_many_levels_of_a_rounding_are_real() -> None:
    # 33 levels and more may be spikes or any quantised number: what was rounded to so many is taken for real.
    for most, kind in ((32, ValueClass.GRADED), (33, ValueClass.REAL), (255, ValueClass.REAL)):
        net = Between(lambda v, most=most: ilif(30 * v, most, False), gain=4.0)
        assert read(run(net)).kind is kind, most


# --- Sums, means and pools of spikes ---


def averaged(spikes: Callable[[Tensor], Tensor], then: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda v: then(spikes(v))


def test_pooled_spikes_are_whole_multiples_of_a_share() -> None:
    class Pooled(nn.Module):
        def __init__(self, pool: nn.Module, outputs: int) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.pool, self.fc = nn.Conv2d(1, 4, 3, padding=1), pool, nn.Linear(outputs, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.pool((3 * self.conv(x) > 0).float()).flatten(1))

    x = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    for pool, outputs, unit in (
        (nn.AvgPool2d(2), 144, 1 / 4),
        (nn.AvgPool2d(3), 64, 1 / 9),
        (nn.AdaptiveAvgPool2d(4), 64, 1 / 9),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=True), 144, 1 / 9),
    ):
        x_read = read(run(Pooled(pool, outputs), x), "fc")
        assert x_read.kind is ValueClass.GRADED and x_read.unit == pytest.approx(unit), pool
    # Where each place is divided by another number there is no unit: still sums of spikes.
    uneven = run(Pooled(nn.AvgPool2d(3, 2, 1, count_include_pad=False), 144), x)
    assert read(uneven, "fc").kind in (ValueClass.GRADED, ValueClass.AVERAGED)
    assert charges(uneven, name="fc")[0] == 0
    whole = run(Pooled(nn.AdaptiveAvgPool2d(1), 4), x)  # shares of 144, to the rounding of their sums
    assert read(whole, "fc").kind in (ValueClass.GRADED, ValueClass.AVERAGED) and charges(whole, name="fc") == (0, 20)
    for pool, outputs in ((nn.MaxPool2d(2), 144), (nn.AdaptiveMaxPool2d(3), 36)):
        assert read(run(Pooled(pool, outputs), x), "fc").kind is ValueClass.SPIKES


@pytest.mark.parametrize("places", [9, 49, 64, 100, 196, 256])
@pytest.mark.parametrize("how", ["mean", "a sum over so many", "a sum times their share", "pool"])
def test_means_over_any_number_of_places_have_one_rule(places: int, how: str) -> None:
    """Up to 32 multiples of a share are graded; more are averaged, though `integer-spikes` still knows their unit."""
    mean: dict[str, Callable[[Tensor], Tensor]] = {
        "mean": lambda s: s.mean(-1),
        "a sum over so many": lambda s: s.sum(-1) / places,
        "a sum times their share": lambda s: s.sum(-1) * (1 / places),
        "pool": lambda s: F.avg_pool1d(s, places)[..., 0],
    }

    class Means(nn.Module):
        def __init__(self, threshold: float) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.before, self.after, self.threshold = nn.Linear(9, 20 * places), nn.Linear(20, 5), threshold

        def forward(self, x: Tensor) -> Tensor:
            spikes = (self.before(x) > self.threshold).float()
            return self.after(mean[how](spikes.view(len(x), 20, places)))

    for threshold in (0.0, 1.2):
        p = run(Means(threshold))
        x = read(p)
        assert x.values is not None
        if x.kind is ValueClass.GRADED:
            assert x.unit == pytest.approx(1 / places) and x.values.levels <= 32
        else:
            assert x.kind is ValueClass.AVERAGED and x.unit is None
            assert x.values.levels > 32 or x.values.unit is None
        assert charges(p) == (0, pytest.approx(5 * x.nonzero / 6))
        assert charges(p, "integer-spikes") == (0, pytest.approx(5 * (x.total or x.nonzero) / 6))


def test_sums_of_spikes_are_graded_however_many() -> None:
    few, many = (run(Between(lambda v, n=n: sum((v > i / n).float() for i in range(n)))) for n in (20, 60))  # type: ignore[misc,arg-type]
    assert read(few).kind is read(many).kind is ValueClass.GRADED
    assert read(many).levels == 60


AVERAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "a trace": lambda s: 0.9 * (0.9 * s + s.roll(1, 1)) + s.roll(2, 1),
    "normalised by constants": lambda s: (s - 0.31) / 0.7 * HEIGHTS + 0.1 * HEIGHTS,
    "a position embedding": lambda s: s + 0.3 * torch.linspace(-1, 1, HIDDEN),
    "several heights": lambda s: s * 0.31 + s.roll(1, 1) * 0.72 + s.roll(2, 1) * 1.13,
    "interpolated": lambda s: F.interpolate(s[:, None], size=70, mode="linear")[:, 0, :HIDDEN],
}


@pytest.mark.parametrize("what", AVERAGES)
def test_what_sums_and_constants_made_of_spikes_is_averaged(what: str) -> None:
    p = run(Between(lambda v: AVERAGES[what]((v > 0).float())))
    x = read(p)
    assert x.kind is ValueClass.AVERAGED and x.unit is None
    at_rate = pytest.approx(5 * x.nonzero / 6)
    assert charges(p) == charges(p, "integer-spikes") == (0, at_rate)
    assert charges(p, "spike-driven") == charges(p, "exact") == (at_rate, 0)


REALS: dict[str, Callable[[Tensor], Tensor]] = {
    "membranes": lambda v: v,
    "relu": F.relu,
    "gelu": F.gelu,
    "a rectifier written over the membrane": lambda v: v.masked_fill(v <= 0, 0.0),
    "a rectifier with a ceiling, written over": lambda v: v.masked_fill(v <= 0, 0.0).masked_fill(v > 6, 6.0),
    "ones among membranes": lambda v: torch.where(v > 0, 1.0, v),
    "two membranes, one where the other": lambda v: torch.where(v > 0, v, v.roll(1, 1)),
    "sigmoid of spikes": lambda v: torch.sigmoid((v > 0).float()),
    "softmax of sums of spikes": lambda v: ((v > 0).float() + (v > 1).float()).softmax(-1),
    "layer norm of spikes": lambda v: F.layer_norm((v > 0).float(), (HIDDEN,)),
    "spikes beside membranes": lambda v: (v > 0).float() + v,
    "half spikes": lambda v: torch.cat([(v > 0).float()[:, :20], v[:, 20:]], 1),
    "a mask of spikes on membranes": lambda v: (v > 0).float() * v,
    "exponential of a trace": lambda v: torch.exp(-(v > 0).float()),
}


@pytest.mark.parametrize("what", REALS)
def test_what_is_real(what: str) -> None:
    p = run(Between(REALS[what]))
    assert read(p).kind is ValueClass.REAL
    assert charges(p) == (dense(p), 0)


def test_a_relu_on_one_image_repeated_is_no_spike_train() -> None:
    # One value for each channel, T times.
    p = run(Between(F.relu, steps=STEPS), torch.ones(6, 9))
    assert read(p).kind is ValueClass.REAL
    flat = run(nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 1)), torch.full((2, 1, 6, 6), 0.5))
    assert read(flat, "2").kind is ValueClass.REAL


def test_few_values_without_a_lineage_are_unproven() -> None:
    # A kernel that nobody saw has a lineage; an input of event frames that a user says is static is an image.
    few = torch.zeros(2, 3, 4)
    few[0, 0, 0] = few[1, 2, 3] = 1.0
    p = run(nn.Linear(4, 2), few, kind="static")
    assert p.operations[0].gate.kind is ValueClass.REAL and p.operations[0].first
    note = "read few values, but too few to tell spikes from real values"
    assert not any(note in said for said in p.notes)
    frames = run(nn.Linear(4, 2), few, kind="events")
    assert frames.operations[0].gate.kind is ValueClass.UNPROVEN
    assert frames.account().acs == pytest.approx(2 * 2 / 2) and frames.account().macs == 0  # events are never real


def test_places_alone_are_proven_by_enough_of_them() -> None:
    # No comparison, no rounding: ones at the places of the largest. Sixty-four that repeat tell.
    net = Between(lambda v: torch.zeros_like(v).scatter_(1, v.argmax(1, keepdim=True), 1.0))
    few, many = run(net), run(net, MANY)
    assert (read(few).kind, read(many).kind) == (ValueClass.UNPROVEN, ValueClass.SPIKES)
    assert charges(few) == charges(few, "exact") == (5, 0) and charges(many) == (0, 5)
    (note,) = few.notes
    assert note.startswith("1 operation (after) read few values, but too few to tell spikes from real values: charged")
    assert many.notes == ()
    assert read(few + run(net, MANY)).kind is ValueClass.SPIKES  # what one part could not prove the other does


# --- No cliff ---


def test_one_neuron_changes_nothing_elsewhere() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 5)]
    ann = nn.Sequential(*layers)
    hybrid = nn.Sequential(*layers[:4], nn.Linear(30, 5))
    hybrid[4].load_state_dict(layers[4].state_dict())
    spiking = nn.Sequential(*layers, LIF(threshold=0.1))
    rows = [run(net).account().layers for net in (ann, hybrid, spiking)]
    for one, other in zip(rows[0], rows[2], strict=False):
        assert (one.macs, one.acs) == (other.macs, other.acs)
    assert rows[0] == rows[1]
    assert all(row.acs == 0 for row in rows[0])


def test_part_of_a_network_is_charged_as_it_is() -> None:
    class Hybrid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c, self.d = nn.Linear(9, 40), nn.Linear(40, 40), nn.Linear(40, 40), nn.Linear(40, 5)

        def forward(self, x: Tensor) -> Tensor:
            spikes = (self.b(F.relu(self.a(x))) > 0).float()
            return self.d(F.gelu(self.c(spikes)))

    p = run(Hybrid())
    assert [str(o.gate.kind) for o in p.operations] == ["real", "real", "spikes", "real"]
    rows = p.account().layers
    assert [row.macs == row.flops for row in rows] == [True, True, False, True]
    assert rows[2].acs == rows[2].sops and rows[2].macs == 0


def test_silent_layers_cost_nothing() -> None:
    p = run(Between(lambda v: (v > 1e6).float()))
    assert read(p).kind is ValueClass.SILENT
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        assert charges(p, accounting) == (0, 0)


# --- Over a whole run ---


@pytest.mark.parametrize("order", [1, -1])
def test_a_class_that_is_lost_does_not_come_back(order: int) -> None:
    calm, busy = 0.01 * X, 50 * X
    net = Between(lambda v: v.clamp(0, 99).round() if float(v.max()) > 10 else (v > 0).float())
    p = profile(net, [calm, busy, calm][::order], check_flops=False)
    assert read(p).kind is ValueClass.REAL  # in one batch of three it holds many levels of a rounding
    assert read(run(net, calm)).kind is ValueClass.SPIKES


NEURONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{name: SPIKES[name] for name in ("comparison", "zeros, then an index", "straight through")},
    **{name: spikes for name, (spikes, *_) in OTHER_SPIKES.items()},
    **{name: spikes for name, (spikes, *_) in GRADED.items()},
    **{name: (lambda v, f=f: f((v > 0).float())) for name, f in AVERAGES.items()},
    **{name: REALS[name] for name in ("membranes", "relu", "sigmoid of spikes")},
    "silent": lambda v: (v > 1e6).float(),
}


def facts(o: Operation) -> Any:
    return o, o.gate.kind, o.gate.unit and round(o.gate.unit, 6), o.gate.levels, o.gate.total


@pytest.mark.parametrize("what", NEURONS)
def test_profiles_of_parts_add_up_to_the_whole_classes_and_all(what: str) -> None:
    net = Between(NEURONS[what])
    # One part is silent, one calm.
    parts = [torch.zeros(1, 9) if what != "always -1 or 1" else X[:1], 0.2 * X[1:3], X[3:]]
    if what != "sigmoid of spikes":
        net.before.bias.data.zero_()
    whole = profile(net, parts, check_flops=False)
    one, two, three = (run(net, part) for part in parts)
    for total in (one + two + three, one + (two + three), three + one + two):
        assert total.operations == whole.operations
        assert [facts(o) for o in total.operations] == [facts(o) for o in whole.operations]
        for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench", "syops"):
            assert total.account(accounting).layers == whole.account(accounting).layers


@pytest.mark.parametrize("what", NEURONS)
def test_classes_are_saved_and_loaded(what: str, tmp_path: Any) -> None:
    p = run(Between(NEURONS[what]), graded=True)
    p.save(tmp_path / "p.json")
    again = Profile.load(tmp_path / "p.json")
    assert again == p
    assert [facts(o) for o in again.operations] == [facts(o) for o in p.operations]
    for accounting in ("paper", "integer-spikes", "exact"):
        assert again.account(accounting).to_json() == p.account(accounting).to_json()
