"""Operators without an entry in the table: named, with their module, whatever they put out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile

X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@torch.library.custom_op("ta_unsupported::twice", mutates_args=())
def twice(x: Tensor) -> Tensor:
    return 2 * x


@torch.library.custom_op("ta_unsupported::twice_", mutates_args={"x"})
def twice_(x: Tensor) -> None:
    x.mul_(2)


UNKNOWN: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "special function": (lambda x: torch.special.i0(x), "i0"),
    "a transform": (lambda x: torch.fft.fft(x).real, "_fft_r2c"),
    "an operator of a library": (twice, "twice"),
    "one that writes into what it is given": (lambda x: (twice_(y := x.clone()), y)[1], "twice_"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_understood_is_named_with_its_module(what: str) -> None:
    function, name = UNKNOWN[what]
    p = profile(nn.Sequential(nn.Linear(6, 6), Call(function), nn.Linear(6, 3)), [X], check_flops=False)
    (entry,) = p.uncounted
    assert entry.startswith(name) and entry.endswith(" in 1")
    assert [o.dense for o in p.operations] == [4 * 36, 4 * 18]
    assert "every operation was counted" not in p.account().coverage
    # What comes out of it is classed by its values.
    assert str(p.operations[1].gate.kind) == "real" and p.account().acs == 0


def test_on_constants_it_is_no_news() -> None:
    p = profile(Call(lambda x: x + torch.special.i0(torch.ones(6))), [X], check_flops=False)
    assert p.uncounted == ()


def test_all_is_counted_where_nothing_is_missing() -> None:
    p = profile(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), [X])
    assert p.uncounted == () and "every operation was counted" in p.account().coverage
