"""What a kernel puts out is judged when somebody asks for it, by what it put out."""

import weakref

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import Profile, profile
from saformer.analysis.recording.observers.neurons import NeuronListing
from saformer.analysis.recording.origins.lineage import Lineage


@torch.library.custom_op("ta_postponed::lif", mutates_args=())
def lif(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes, and membranes."""
    return (x > 0).float(), x.tanh()


class Net(nn.Module):
    """A layer, neurons in one operator, a layer that reads spikes, as they are or written into, or membranes."""

    def __init__(self, reads: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.reads = nn.Linear(8, 12), nn.Linear(12, 3), reads

    def forward(self, x: Tensor) -> Tensor:
        spikes, membranes = lif(self.a(x))
        if self.reads == "written":
            spikes.add_(torch.linspace(0, 1, 12))
        return self.b(membranes if self.reads == "membranes" else spikes)


X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Copies of what was judged."""
    found: list[Tensor] = []
    judge = NeuronListing._judge

    def note(self: NeuronListing, x: Tensor, rounded: bool = False) -> None:
        found.append(x.clone())
        judge(self, x, rounded)

    monkeypatch.setattr(NeuronListing, "_judge", note)
    return found


def run(reads: str, judged: list[Tensor]) -> tuple[Profile, list[Tensor]]:
    net = Net(reads)
    judged.clear()
    p = profile(net, [X], check_flops=False)
    with torch.no_grad():
        return p, list(lif(net.a(X)))


def test_membranes_that_nobody_reads_are_not_judged(judged: list[Tensor]) -> None:
    p, (spikes, _) = run("spikes", judged)
    of_batch = [x for x in judged if len(x) == len(X)]  # fewer images ran before
    assert len(of_batch) == 1 and torch.equal(of_batch[0], spikes)
    assert [(n.elements, n.spikes) for n in p.neurons] == [(60, int(spikes.sum()))]
    assert str(p.operations[1].gate.kind) == "spikes"


def test_membranes_that_a_layer_reads_are_real(judged: list[Tensor]) -> None:
    p, (_, membranes) = run("membranes", judged)
    assert next(x for x in judged if len(x) == len(X)).equal(membranes)
    assert str(p.operations[1].gate.kind) == "real" and p.neurons == ()


def test_what_is_written_into_is_judged_before(judged: list[Tensor]) -> None:
    _, (spikes, _) = run("written", judged)
    assert next(x for x in judged if len(x) == len(X)).equal(spikes)


def test_any_view_of_the_memory_asks() -> None:
    lineage, seen = Lineage(), []
    x = torch.arange(6.0).view(2, 3)
    lineage.enter(x)
    lineage.postpone(x, seen.append)
    lineage.postpone(x.t(), seen.append)
    assert lineage.is_activation(x) and not seen
    lineage.source(x.view(torch.int32)[1])
    assert [y.tolist() for y in seen] == [x.tolist(), x.t().tolist()] and seen[0].data_ptr() == x.data_ptr()
    lineage.source(x)
    assert len(seen) == 2  # once


def test_nothing_is_kept_alive_and_nothing_judged_that_is_gone() -> None:
    lineage, seen = Lineage(), []
    x = torch.zeros(100)
    lineage.enter(x)
    lineage.postpone(x, seen.append)
    gone = weakref.ref(x.untyped_storage())
    y = torch.zeros(100)
    lineage.enter(y)
    lineage.postpone(y, seen.append)
    y.untyped_storage().resize_(40)
    lineage.settle(y)
    del x
    assert gone() is None and not seen


def test_the_next_batch_asks_for_nothing_of_the_one_before() -> None:
    lineage, seen = Lineage(), []
    x = torch.zeros(3)
    lineage.enter(x)
    lineage.postpone(x, seen.append)
    lineage.start_batch()
    assert lineage.source(x) is None and not seen
