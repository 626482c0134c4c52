"""What a model keeps between calls is brought back, whatever holds it, and what a call changes is named."""

import gc
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.analysis.recording.beforehand.model_state import State

Pair = namedtuple("Pair", "v i")


@dataclass
class Membrane:
    v: Tensor
    steps: int = 0


class Holds(nn.Module):
    """Does to itself what `change` does."""

    def __init__(self, change: Any, **held: Any) -> None:
        super().__init__()
        self.change = change
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        self.change(self, x)
        return x


def _cache_by_shape(m: Any, x: Tensor) -> None:
    if getattr(m, "shape", None) != x.shape:
        m.anchors, m.shape = torch.arange(x.shape[-1]), x.shape
    m.anchors + x


@pytest.mark.parametrize(
    ("held", "change"),
    [
        ({"v": torch.zeros(3)}, lambda m, x: m.v.add_(1)),
        ({"v": torch.zeros(3)}, lambda m, x: setattr(m, "v", m.v + 1)),
        ({"v": torch.zeros(3)}, lambda m, x: m.v.resize_(5).fill_(1)),
        ({"v": None}, lambda m, x: setattr(m, "v", x)),
        ({"v": 0.0}, lambda m, x: setattr(m, "v", x)),
        ({"v": [torch.zeros(3), 1]}, lambda m, x: m.v.append(m.v[0].add_(1))),
        ({"v": (torch.zeros(3), 1)}, lambda m, x: m.v[0].add_(1)),
        ({"v": Pair(torch.zeros(3), 1)}, lambda m, x: setattr(m, "v", Pair(m.v.v + 1, 2))),
        ({"v": torch.Size([2])}, lambda m, x: setattr(m, "v", x.shape)),
        ({"v": {"a": torch.zeros(3)}}, lambda m, x: m.v.update(b=m.v.pop("a") + 1)),
        ({"v": OrderedDict(a=1)}, lambda m, x: m.v.clear()),
        ({"v": deque([torch.zeros(3)], maxlen=2)}, lambda m, x: m.v.append(x)),
        ({"v": {1, 2}}, lambda m, x: m.v.add(3)),
        ({"v": Membrane(torch.zeros(3))}, lambda m, x: setattr(m.v, "v", m.v.v + 1)),
        ({"v": SimpleNamespace(v=None)}, lambda m, x: setattr(m.v, "v", x)),
        ({"v": object()}, lambda m, x: setattr(m, "v", x)),
        ({}, lambda m, x: setattr(m, "v", x)),
        ({}, lambda m, x: setattr(m, "v", Membrane(x))),
        ({}, lambda m, x: setattr(m, "v", object())),
        ({}, lambda m, x: m.register_buffer("v", x)),
        ({}, _cache_by_shape),
    ],
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_state_is_brought_back(held: dict[str, Any], change: Any, mode: Any) -> None:
    model = nn.Sequential(Holds(change, **held))
    before = str({name: value for name, value in vars(model[0]).items() if not name.startswith("_")})
    state = State(model)
    assert state.changed() == []
    for _ in range(2):
        with mode():
            model(torch.ones(2, 3))
        assert [name.split(".")[:1] for name in state.changed()] == [["0"]] * len(state.changed())
        assert state.changed() and state.left_over() == []
        state.restore()
        assert str({name: value for name, value in vars(model[0]).items() if not name.startswith("_")}) == before
        assert state.changed() == []


@pytest.mark.parametrize(
    "buffer",
    [
        torch.eye(4).to_sparse(),
        torch.ones(4, device="meta"),
        torch.full((4,), float("nan")),
        torch.zeros(1).expand(4),
        torch.empty(0),
        torch.tensor([1 + 2j]),
    ],
    ids=["sparse", "meta", "nan", "expanded", "empty", "complex"],
)
def test_buffers_of_any_kind_may_stand_there(buffer: Tensor) -> None:
    model = Holds(lambda m, x: None)
    model.register_buffer("held", buffer)
    state = State(model)
    model(torch.ones(2))
    assert state.changed() == [] == state.left_over()
    state.restore()
    assert model.held is buffer


def test_quantised_and_sparse_buffers_come_back() -> None:
    quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    other = torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)
    model = Holds(lambda m, x: (m.q.copy_(other), m.s.mul_(2)))
    model.register_buffer("q", quantised)
    model.register_buffer("s", torch.eye(3).to_sparse())
    state = State(model)
    with torch.no_grad():
        model(torch.ones(1))
    assert state.changed() == ["q", "s"]
    state.restore()
    assert model.q.dequantize().tolist() == pytest.approx([1, 1, 1], abs=0.01)
    assert torch.equal(model.s.to_dense(), torch.eye(3))


def test_what_an_earlier_call_left_is_named() -> None:
    def integrate(m: Any, x: Tensor) -> None:
        m.v, m.count = m.v + x, m.count + 1

    model = nn.ModuleDict({"lif": Holds(integrate, v=torch.zeros(2, 3), count=0)})
    fresh = State(model)
    model["lif"](torch.rand(2, 3))
    assert fresh.changed() == ["lif.v", "lif.count"]
    assert fresh.left_over() == []
    used = State(model)
    model["lif"](torch.rand(2, 3))
    assert used.left_over() == ["lif.v"]


def test_what_a_call_does_not_change_is_no_state() -> None:
    model = Holds(lambda m, x: setattr(m, "grid", torch.arange(3)), grid=torch.arange(3))
    state = State(model)
    model(torch.ones(1))
    assert state.changed() == []


def test_modules_in_plain_lists_are_brought_back() -> None:
    model = Holds(lambda m, x: m.layers[0](x), layers=[Holds(lambda m, x: m.v.add_(1), v=torch.zeros(3))])
    state = State(model)
    model(torch.ones(3))
    assert state.changed() == ["layers.0.v"]
    state.restore()
    assert model.layers[0].v.tolist() == [0, 0, 0]


def test_functions_made_on_the_way_are_kept() -> None:
    model = Holds(lambda m, x: setattr(m, "kernel", len))
    state = State(model)
    model(torch.ones(1))
    state.restore()
    assert model.kernel is len


def test_library_neurons_start_at_rest_also_in_copies_of_the_library() -> None:
    class Vendored(nn.Module):
        v = 1

        def reset(self) -> None:
            self.v = 0

    Vendored.__module__ = "src.spikingjelly.clock_driven.neuron"
    model = nn.Sequential(neuron.IFNode(), Vendored())
    model[0](torch.full((2,), 0.7))
    State(model)
    assert model[0].v == 0.0 and model[1].v == 0


def test_pythons_collector_looks_at_what_was_there_before_a_run_only_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    inside: list[int] = []
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    net.register_forward_hook(lambda *_: inside.append(gc.get_freeze_count()))
    monkeypatch.setattr("saformer.process.frozen", False)  # as a process starts
    gc.unfreeze()
    try:
        profile(net, [torch.randn(2, 4)], check_flops=False)
        assert all(inside) and not gc.get_freeze_count()
    finally:
        gc.freeze()
