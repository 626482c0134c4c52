"""What is proven finite is not looked at; what is not, is."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.analysis.recording.counting.looks import Looks
from saformer.analysis.recording.observers.nonfinite import FiniteCheck
from saformer.errors import InputError


class Fire(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0).to(x)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), Fire(), nn.Flatten(), nn.Linear(16, 2)
    return nn.Sequential(*layers).eval()


X = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked at for infinities and NaN."""
    found: list[str] = []
    watch = FiniteCheck.watch

    def note(self: FiniteCheck, x: Tensor, what: str) -> None:
        found.append(what)
        watch(self, x, what)

    monkeypatch.setattr(FiniteCheck, "watch", note)
    return found


def test_neurons_behind_batchnorm_and_a_pool_read_what_is_proven_finite(watched: list[str]) -> None:
    profile(network(), [X], neurons=["3"], check_flops=False)
    assert set(watched) == {"the input holds", "the model's output holds"}


def test_the_bound_is_one(watched: list[str]) -> None:
    """Just below half of what float32 can hold nothing is looked at, and just above it is, though it is finite."""
    largest = torch.finfo(torch.float32).max / 2
    for share, looks in ((0.99, False), (1.01, True)):
        net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, eps=0.0), Fire()).eval()
        net[0].weight.data.fill_(1.0)
        net[1].running_var.fill_(0.25)
        net[1].weight.data.fill_(-largest * share / 4)
        net[1].bias.data.fill_(largest * share / 2)
        watched.clear()
        profile(net, [torch.ones(3, 1)], neurons=["2"], check_flops=False)
        assert any("neurons" in what for what in watched) is looks, (share, watched)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weight", 3e38),
        ("bias", math.nan),
        ("running_mean", math.inf),
        ("running_var", math.nan),
        ("running_var", -1.0),
    ],
)
def test_batchnorm_that_makes_infinities_is_found_out(name: str, value: float) -> None:
    net = network()
    getattr(net[1], name).data[2] = value
    with pytest.raises(InputError, match="the input of the neurons in 3 holds values that are not finite"):
        profile(net, [100 * X], neurons=["3"], check_flops=False)


def test_batchnorm_by_the_statistics_of_its_batch_proves_nothing(watched: list[str]) -> None:
    net = network()
    net[1].running_mean = net[1].running_var = None
    profile(net, [X], neurons=["3"], check_flops=False)
    assert "the input of the neurons in 3 holds" in watched


def test_what_is_written_over_is_proven_no_more() -> None:
    class Overwriting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mul_(1e38).mul_(1e38)

    net = network()
    net[2] = Overwriting()
    net[4] = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())
    with pytest.raises(InputError, match="the input of the neurons in 3 holds"):
        profile(net, [X], neurons=["3"], check_flops=False)


def test_a_part_is_no_larger_than_the_whole() -> None:
    looks = Looks()
    x = torch.arange(24.0).view(4, 6)
    assert looks.most(x) is None
    look: Any = looks.of(x)
    look.largest = 23.0  # where nothing is compiled nobody has measured it
    assert looks.most(x) == looks.most(x[:, :2]) == looks.most(x[1:, ::2]) == 23.0
    assert looks.most(x.view(torch.int32)) is None
    half = x[:2]
    other = Looks()
    other.of(half).largest = 11.0
    assert other.most(half[:, :2]) == 11.0 and other.most(x) is None and other.most(x[1:, :2]) is None
