"""Where weights and inputs come from: layers keep their names, and Eq. 19 finds what reads the image."""

import copy
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

from saformer.analysis import Profile, profile
from saformer.analysis.diagnostics.spike_driven import audit
from saformer.analysis.recording.origins.constants import Constants
from saformer.analysis.recording.origins.storage_map import storage_id
from saformer.naming import current_name, named
from saformer.neurons import LIF

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


def run(model: nn.Module, x: Tensor = X, **options: Any) -> Profile:
    return profile(model, [x], check_flops=False, **options)


# --- Weights that are computed at run time ---


class Quantised(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, torch.fake_quantize_per_tensor_affine(self.weight, 0.1, 0, -128, 127), self.bias)


class Masked(nn.Linear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.register_buffer("mask", (torch.arange(inputs) % 2).float().expand(outputs, inputs).clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class Low(nn.Linear):
    """A low-rank change of the weight, as fine-tuning adds it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.up, self.down = nn.Parameter(torch.randn(outputs, 2)), nn.Parameter(torch.randn(2, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.up @ self.down + self.weight, self.bias)


class Cast(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.inner(x)


def pruned(layer: nn.Linear) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", 0.5)


WRAPPED: dict[str, Callable[[], nn.Module]] = {
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(6, 5)),
    "older weight_norm": lambda: nn.utils.weight_norm(nn.Linear(6, 5)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(6, 5)),
    "older spectral_norm": lambda: nn.utils.spectral_norm(nn.Linear(6, 5)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(6, 5)),
    "pruned": lambda: pruned(nn.Linear(6, 5)),
    "mask": lambda: Masked(6, 5),
    "fake quantisation": lambda: Quantised(6, 5),
    "low rank": lambda: Low(6, 5),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRAPPED)
def test_a_layer_whose_weight_is_computed_keeps_its_name(kind: str) -> None:
    p = run(nn.Sequential(WRAPPED[kind](), nn.ReLU(), nn.Linear(5, 2)))
    assert [(o.name, o.op, o.dense, o.module, o.weights) for o in p.operations] == [
        ("0", "linear", 4 * 30, True, 30),
        ("2", "linear", 4 * 10, True, 10),
    ]
    assert p.uncounted == ()
    # syops sees modules; it would overlook the layer otherwise.
    assert p.account("syops").macs == (4 * 30 + 5 + 4 * 10 + 2) / 4
    if kind in ("pruned", "mask"):
        assert p.operations[0].effective == 4 * 15
    # Nothing that is done to weights is arithmetic on activations.
    assert {f.op for f in p.free} == {"relu"}


def test_autocast_leaves_the_names_as_they_are() -> None:
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    plain, cast = run(net), run(Cast(net))
    assert [f"inner.{o.name}" for o in plain.operations] == [o.name for o in cast.operations]
    assert [(o.dense, o.module) for o in plain.operations] == [(o.dense, o.module) for o in cast.operations]


def flattened(module: nn.Module) -> nn.Module:
    """All parameters in one storage, as cuDNN and FSDP want them."""
    module = copy.deepcopy(module)
    flat = torch.cat([p.detach().flatten() for p in module.parameters()])
    start = 0
    for parameter in module.parameters():
        parameter.data = flat[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return module


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_weights_in_one_storage_are_kept_apart(kind: Any, bidirectional: bool) -> None:
    rnn = kind(6, 6, 2, batch_first=True, bidirectional=bidirectional)
    x = torch.randn(3, 4, 6)
    plain, flat = (
        run(Net(lambda m, y: m.rnn(y)[0], rnn=r), x, kind="static").operations for r in (rnn, flattened(rnn))
    )
    assert plain == flat
    weights = {f"rnn.{name}" for name, p in rnn.named_parameters() if p.ndim == 2}
    assert {o.name for o in flat if o.op == "linear"} == weights


def test_a_part_of_a_packed_weight_has_the_name_of_the_whole() -> None:
    p = run(
        Net(lambda m, y: F.linear(y, m.packed[:4]) + F.linear(y, m.packed[4:]), packed=nn.Parameter(torch.randn(8, 6)))
    )
    assert [(o.name, o.dense) for o in p.operations] == [("packed", 4 * 48)]


def test_views_of_a_flat_parameter_that_are_plain_attributes() -> None:
    # What FSDP shows a module between its hooks: the parameter is the root's, the layer holds a view.
    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)
            del self.a.weight, self.b.weight
            self.flat = nn.Parameter(torch.randn(72))

        def forward(self, x: Tensor) -> Tensor:
            self.a.weight, self.b.weight = self.flat[:36].view(6, 6), self.flat[36:].view(6, 6)
            return self.b(self.a(x).relu())

    assert [(o.name, o.module) for o in run(Flat()).operations] == [("a", True), ("b", True)]


# --- What reads the image ---


def first(p: Profile) -> list[str]:
    return [o.name for o in p.operations if o.first]


def lif(m: Any, y: Tensor) -> Tensor:
    return m.lif(y[None])[0]


TWO = {"a": nn.Linear(6, 6), "b": nn.Linear(6, 3), "c": nn.Linear(6, 3), "lif": LIF(threshold=0.1)}


def test_two_layers_may_read_the_image() -> None:
    p = run(Net(lambda m, y: m.b(lif(m, m.a(y))) + m.c(y), **TWO))
    assert first(p) == ["a", "c"]
    dense = {o.name: o.dense for o in p.operations}
    assert p.account().macs * p.images == dense["a"] + dense["c"]
    assert audit(p).verdict == "spike-driven: every operation has an input of spikes, except the 2 that read the image"


def test_a_later_layer_may_be_the_one_that_reads_the_image() -> None:
    p = run(Net(lambda m, y: m.b(torch.ones(6) * y.new_ones(4, 1)) + m.c(lif(m, m.a(y))), **TWO))
    assert first(p) == ["a"]


@pytest.mark.parametrize(
    "prepare",
    [
        lambda y: (y - 0.5) / 0.25,
        lambda y: y.flatten(1).clone(),
        lambda y: F.avg_pool1d(y[:, None], 1)[:, 0],
        lambda y: torch.cat([y[:, :3], y[:, 3:]], 1),
    ],
)
def test_an_image_that_is_prepared_is_an_image_still(prepare: Callable[[Tensor], Tensor]) -> None:
    assert first(run(Net(lambda m, y: m.b(lif(m, m.a(prepare(y)))), **TWO))) == ["a"]


@pytest.mark.parametrize(
    "encode",
    [
        lambda m, y: (torch.rand_like(y) < y).to(y),
        lambda m, y: torch.bernoulli(y.sigmoid()),
        lambda m, y: lif(m, y),
        lambda m, y: m.fire(y),
        lambda m, y: torch.zeros(2, *y.shape).scatter_(0, (y > 0).long()[None], 1.0)[0],
        lambda m, y: torch.floor(y.sigmoid() * 8) % 2,
    ],
    ids=["rate", "bernoulli", "neurons", "own neurons", "latency", "bit plane"],
)
def test_spikes_that_stand_for_an_image_cost_accumulates(encode: Callable[..., Tensor]) -> None:
    class Fire(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x >= 0.2).to(x)

    p = run(Net(lambda m, y: m.b(lif(m, m.a(encode(m, y)))), fire=Fire(), **TWO))
    assert first(p) == []
    assert p.account().macs == 0
    assert p.account().acs == pytest.approx(sum(o.sops for o in p.operations) / 4)
    assert audit(p).verdict == "spike-driven: every operation has an input of spikes"


def test_spikes_drawn_before_the_network_are_no_image() -> None:
    def draw(x: Tensor) -> Tensor:
        return torch.bernoulli(x.sigmoid().expand(3, *x.shape))

    net = nn.Sequential(nn.Linear(6, 6), LIF(threshold=0.1))
    assert first(run(net, time_steps=3, to_input=draw)) == []
    assert first(run(net, time_steps=3, to_input=lambda x: x.expand(3, *x.shape))) == ["0"]


@pytest.mark.parametrize("before_time", [True, False])
@pytest.mark.parametrize("loop", [True, False])
def test_charging_the_first_layer_once_divides_by_how_often_it_ran(before_time: bool, loop: bool) -> None:
    steps = 5

    def forward(m: Any, y: Tensor) -> Tensor:
        if loop:
            current = m.a(y)
            return sum(m.b(lif(m, current if before_time else m.a(y))) for _ in range(steps - before_time))
        y = m.a(y).expand(steps, 4, 6) if before_time else m.a(y.expand(steps, 4, 6))
        return m.b(m.lif(y)).mean(0)

    p = run(Net(forward, **TWO), time_steps=None if loop else steps)
    executed = {(True, True): 1, (True, False): 1, (False, True): steps, (False, False): steps}[before_time, loop]
    if loop and not before_time:
        executed += 1  # once ahead of the loop
    assert p.account().macs == 36 * executed
    for accounting in ("paper", "spike-driven", "exact"):
        assert p.account(accounting, first_layer_once=True).layers[0].macs == pytest.approx(36)


def test_a_profile_of_an_earlier_version_is_charged_as_it_was() -> None:
    plain = run(Net(lambda m, y: m.b(m.lif(m.a(y.expand(5, 4, 6)))).mean(0), **TWO), time_steps=5).to_json()
    del plain["checksum"]
    for operation in plain["operations"]:
        del operation["executions"]
    assert Profile.from_json(plain).account(first_layer_once=True).macs == 36


# --- Names ---


def test_a_name_holds_in_its_own_thread_alone() -> None:
    seen: list[str | None] = []
    with named("qk"):
        thread = threading.Thread(target=lambda: seen.append(current_name()))
        thread.start()
        thread.join()
        assert current_name() == "qk"
    assert seen == [None]


def test_a_buffer_that_is_read_and_written_step_by_step_costs_the_same_each_step() -> None:
    class LastInTime(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            current = torch.stack([self.a(frame) for frame in x.unbind(1)], -1)
            membrane, spikes = torch.zeros_like(current), torch.zeros_like(current)
            for t in range(x.shape[1]):
                before = max(t - 1, 0)
                kept = membrane[..., before] * (1 - spikes[..., before])
                membrane[..., t] = 0.5 * kept + current[..., t]
                spikes[..., t] = (membrane[..., t] > 0.2).float()
            return torch.stack([self.b(s) for s in spikes.unbind(-1)]).mean(0)

    torch.manual_seed(0)
    steps = 48  # what doubles with each of them never ends
    p = profile(LastInTime(), [(torch.rand(3, steps, 8) < 0.4).float()], check_flops=False)
    assert [o.name for o in p.operations] == ["a", "b"]
    assert p.model.time_steps == steps


def test_a_parameter_that_was_given_other_memory_says_nothing_of_what_lies_in_its_old() -> None:
    held = nn.Linear(4, 4)
    constants = Constants()
    constants.start([("held", held)])
    before = storage_id(held.weight)
    held.weight.data = torch.ones(4, 4)
    kept = [x := torch.ones(4, 4)]
    while storage_id(x) != before and len(kept) < 10_000:  # mostly the first
        kept.append(x := torch.ones(4, 4))
    assert storage_id(x) == before
    assert not constants.holds(x) and constants.owners(x) == () and not constants.is_proven(x)
    constants.derive(x, [held.bias])
    assert [owner.name for owner in constants.owners(x)] == ["bias"]
