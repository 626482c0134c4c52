"""Masks that are not written as products."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from exact_counts import assert_counts, assert_images, indicator, names, nonzeros, only, run, values
from function_net import Net
from torch import Tensor, nn


def two_trains(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes as truth values, and others as numbers, of two parts of an image."""
    return x[:, 0] > 0.3, (x[:, 1] > -0.2).float()


MASKS_IN_OTHER_WORDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "where": lambda s, v: torch.where(s, v, 0.0),
    "where, tensor": lambda s, v: torch.where(s, v, torch.zeros_like(v)),
    "where not": lambda s, v: torch.where(~s, torch.zeros(()), v),
    "masked_fill": lambda s, v: v.masked_fill(~s, 0.0),
    "masked_fill_": lambda s, v: v.clone().masked_fill_(~s, 0),
    "index": lambda s, v: _with_zeros(v, ~s),
    "addcmul": lambda s, v: torch.addcmul(torch.zeros(()), s.float(), v),
    "product": lambda s, v: s.float() * v,
}


def _with_zeros(x: Tensor, where: Tensor) -> Tensor:
    x = x.clone()
    x[where] = 0
    return x


@pytest.mark.parametrize("words", MASKS_IN_OTHER_WORDS)
def test_a_selection_of_spikes_or_zero_is_a_product(words: str) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    spikes, v = two_trains(x)
    p = run(Net(lambda m, y: MASKS_IN_OTHER_WORDS[words](*two_trains(y))), x)
    both = indicator(spikes) * indicator(v)
    o = only(p)
    assert o.op == "product"
    assert_counts(o, 60, [spikes.float(), v], both.sum())
    assert o.gate.binary and "a constant" not in o.sources
    assert_images(p, [(nonzeros(s), nonzeros(u), int(e.sum())) for s, u, e in zip(spikes, v, both, strict=True)])


@pytest.mark.parametrize("words", MASKS_IN_OTHER_WORDS)
def test_a_selection_of_real_values_or_zero_is_free(words: str) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    net = Net(lambda m, y: MASKS_IN_OTHER_WORDS[words](y[:, 0] > 0.3, m.fc(y[:, 1])), fc=nn.Linear(5, 5))
    p = run(net, x)
    # A row that says how much is chosen, and costs nothing.
    with torch.no_grad():
        both = indicator(x[:, 0] > 0.3) * indicator(net.fc(x[:, 1]))
    o = only(p, "product")
    assert (o.dense, o.events) == (60, both.sum())
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        (row,) = [row for row in p.account(accounting).layers if row.name == "product"]
        assert (row.macs, row.acs) == (0, 0)

    def rectified(m: Any, y: Tensor) -> Tensor:
        v = m.fc(y[:, 1])
        return MASKS_IN_OTHER_WORDS[words](v > 0.1, v)

    p = run(Net(rectified, fc=nn.Linear(5, 5)), x)  # by the values themselves: a rectifier
    assert names(p) == ["fc"]
    assert [
        f.elements for f in p.free if f.op in ("where", "masked_fill", "masked_fill_", "index_put_", "addcmul", "mul")
    ]


@pytest.mark.parametrize("both", [torch.logical_and, torch.bitwise_and, lambda a, b: a & b], ids=["and", "bit", "&"])
def test_spikes_as_truth_values_are_multiplied_by_and(both: Callable[[Tensor, Tensor], Tensor]) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    a, b = x[:, 0] > 0.3, x[:, 1] > 0.3
    net = Net(lambda m, y: m.fc(both(y[:, 0] > 0.3, y[:, 1] > 0.3).float()), fc=nn.Linear(5, 2))
    p = run(net, x, graded=True)
    assert_counts(only(p, "product"), 60, [a.float(), b.float()], int((a & b).sum()))
    assert only(p, "product").graded == int((a & b).sum())


def test_a_selection_of_one_value_or_another_is_free_and_listed() -> None:
    x = values("real", 3, 4)
    p = run(Net(lambda m, y: torch.where(y > 0, y, 0.1 * y)), x)
    assert p.operations == ()
    assert ("where", 12) in [(f.op, f.elements) for f in p.free]
    masked = run(Net(lambda m, y: y.masked_fill(torch.eye(4)[:3] > 0, -1e9) + (y > 0).logical_or(y < -1)), x)
    assert masked.operations == ()
    assert {"masked_fill", "logical_or"} <= {f.op for f in masked.free}
