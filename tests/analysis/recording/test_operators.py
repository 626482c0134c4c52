"""The table of operators, and entries that a user's own file adds."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.analysis.recording.operations import formulas, operators
from saformer.analysis.recording.operations.operators import OPERATORS, Effect, Kind, register_operator

aten = torch.ops.aten
X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def table() -> Iterator[None]:
    """Entries that a test adds go with it."""
    before = dict(OPERATORS)
    yield
    OPERATORS.clear()
    OPERATORS.update(before)


def test_every_operator_is_entered_once() -> None:
    # A second entry would take the place of the first without a word.
    text = Path(operators.__file__).read_text().partition("# -- arithmetic")[2]
    names = [name for block in re.findall(r"_table\((.*?)\n?\)\n", text, re.S) for name in _names(block)]
    assert len(names) > 300
    assert sorted({name for name in names if names.count(name) > 1}) == []
    synaptic = re.findall(
        r"aten\.(\w+)", "".join(re.findall(r"@register_operator\((.*?)\)", Path(formulas.__file__).read_text()))
    )
    assert len(synaptic) > 15 and not set(synaptic) & set(names)


def _names(block: str) -> list[str]:
    return [name for text in re.findall(r'"([^"]*)"', block) for name in text.split()]


def test_entries_say_what_their_kind_needs() -> None:
    for packet, operator in OPERATORS.items():
        assert (operator.kind is Kind.SYNAPTIC) == (operator.formula is not None), packet
        if operator.kind is Kind.MOVEMENT:
            assert operator.effect is Effect.LINEAR and not operator.listed, packet
        if operator.kind in (Kind.ELEMENTWISE, Kind.NORM):
            assert operator.listed, packet
        if operator.kind is Kind.CREATOR:
            assert operator.fill is None or operator.given is None, packet
        if operator.pool:
            assert operator.kind is Kind.ELEMENTWISE and operator.effect is Effect.LINEAR, packet


@pytest.mark.parametrize(
    ("packet", "kind", "effect"),
    [
        (aten.add, Kind.ELEMENTWISE, Effect.LINEAR),
        (aten.relu, Kind.ELEMENTWISE, Effect.LEVELS),
        (aten.sigmoid, Kind.ELEMENTWISE, Effect.REAL),
        (aten.max_pool2d, Kind.ELEMENTWISE, Effect.LINEAR),
        (aten.avg_pool2d, Kind.ELEMENTWISE, Effect.LINEAR),
        (aten.native_layer_norm, Kind.NORM, Effect.REAL),
        (aten._native_batch_norm_legit_no_training, Kind.NORM, Effect.LINEAR),
        (aten.gt, Kind.THRESHOLD, Effect.LEVELS),
        (aten.round, Kind.THRESHOLD, Effect.LEVELS),
        (aten.view, Kind.MOVEMENT, Effect.LINEAR),
        (aten.zeros_like, Kind.CREATOR, Effect.LINEAR),
        (aten.lstm, Kind.COMPOSITE, Effect.LINEAR),
        (aten.linear, Kind.SYNAPTIC, Effect.REAL),
        (aten.mul, Kind.SYNAPTIC, Effect.LINEAR),
    ],
)
def test_what_is_known_of_an_operator(packet: Any, kind: Kind, effect: Effect) -> None:
    assert (OPERATORS[packet].kind, OPERATORS[packet].effect) == (kind, effect)


# --- Operators of one's own ---


@torch.library.custom_op("ta_operators::synapses", mutates_args=())
def synapses(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.t()


@synapses.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(len(x), len(weight))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 8), Mine()

    def forward(self, x: Tensor) -> Tensor:
        return self.b((self.a(x) > 0).float())


class Mine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, x: Tensor) -> Tensor:
        return synapses(x, self.weight)


def test_without_a_formula_it_is_named_and_with_one_it_is_a_layer(table: None) -> None:
    before = profile(Net(), [X], check_flops=False)
    assert before.uncounted == ("synapses in b",) and [o.name for o in before.operations] == ["a"]

    @register_operator(torch.ops.ta_operators.synapses)
    def formula(args: tuple[Any, ...], out: Tensor, is_activation: Any) -> Any:
        return formulas.linear(args[:2], out, is_activation)

    after = profile(Net(), [X], check_flops=False)
    assert after.uncounted == ()
    b = after.operations[1]
    assert (b.name, b.op, b.dense, b.events, b.module) == ("b", "linear", 4 * 40, 5 * b.gate.nonzero, True)
    assert str(b.gate.kind) == "spikes" and after.account().acs == pytest.approx(5 * b.gate.nonzero / 4)


def test_a_formula_may_say_that_it_is_no_operation(table: None) -> None:
    seen: list[bool] = []

    @register_operator(torch.ops.ta_operators.synapses, listed=False)
    def never(args: tuple[Any, ...], out: Tensor, is_activation: Any) -> None:
        seen.append(is_activation(args[0]) and not is_activation(args[1]))

    p = profile(Net(), [X], check_flops=False)
    assert seen and all(seen)
    assert [o.name for o in p.operations] == ["a"] and p.uncounted == ()
    assert "synapses" not in {f.op for f in p.free}


def test_an_entry_may_be_changed(table: None) -> None:
    OPERATORS[aten.relu] = replace(OPERATORS[aten.relu], effect=Effect.REAL)

    class Rectified(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.b((self.a(x) > 0).float().relu())

    OPERATORS[torch.ops.ta_operators.synapses] = OPERATORS[aten.linear]
    p = profile(Rectified(), [X], check_flops=False)
    assert str(p.operations[1].gate.kind) == "real"
