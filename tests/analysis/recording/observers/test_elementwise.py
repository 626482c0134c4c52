"""Free arithmetic: what is listed, what pools read, and which BatchNorm folds."""

from typing import Any

import pytest
import torch
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import Profile, profile

X = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def run(model: nn.Module, x: Tensor = X, **options: Any) -> Profile:
    torch.manual_seed(0)
    return profile(model.eval(), [x], check_flops=False, **options)


def free(p: Profile) -> list[tuple[str, str, int]]:
    return [(f.name, f.op, f.elements) for f in p.free]


class Fire(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x > 0.2).float()


POOLS = [nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4), nn.AdaptiveMaxPool2d(4), nn.LPPool2d(1, 2)]


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_what_a_pool_reads_is_counted_and_no_layer_of_neurons(pool: nn.Module) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Fire(), pool, nn.Conv2d(4, 3, 1))
    with torch.no_grad():
        spikes = int(net[1](net[0](X)).sum())
    p = run(net)
    assert [o.name for o in p.operations] == ["0", "3"]
    assert [(n.name, n.spikes) for n in p.neurons] == [("1", spikes)]  # none where nothing fires
    assert p.account().macs == p.operations[0].dense / 3
    assert str(p.operations[1].gate.kind) == ("spikes" if "Max" in str(pool) else "graded")
    if not isinstance(pool, nn.LPPool2d):
        (read,) = p.pools
        assert read.name == "2" and read.module
        assert read.operand is not None
        assert (read.operand.elements, read.operand.nonzero, read.operand.ones) == (3 * 4 * 64, spikes, spikes)
    (layer,) = [o for o in p.operations if o.name == "3"]
    assert layer.gate.neurons == "1"  # where its spikes began: --rate-at output
    at_output = p.account(rate_at="output").layers[1]
    assert at_output.acs == pytest.approx(layer.dense / 3 * spikes / (3 * 4 * 64))


def test_a_sum_of_powers_is_no_product_of_activations() -> None:
    # LPPool of norm 1, as some libraries sum spikes.
    average, powers = (
        run(nn.Sequential(nn.Conv2d(2, 4, 3), Fire(), pool, nn.Flatten(), nn.Linear(36, 5)))
        for pool in (nn.AvgPool2d(2), nn.LPPool2d(1, 2))
    )
    assert [o.op for o in powers.operations] == ["conv2d", "linear"]
    assert powers.operations[1].gate.nonzero > 0 and powers.account().macs == average.account().macs


def test_a_batch_norm_folds_where_it_follows_a_layer_alone() -> None:
    conv, norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
    after = run(nn.Sequential(conv, norm))
    between = run(nn.Sequential(conv, Fire(), norm))
    first = run(nn.Sequential(nn.BatchNorm2d(2), conv))
    for p, folds in ((after, True), (between, False), (first, False)):
        (entry,) = [f for f in p.free if "batch_norm" in f.op]
        assert entry.foldable is folds
    both = run(Net(lambda m, x: m.norm(m.conv(x)) + m.norm(m.fire(m.conv(x))), conv=conv, norm=norm, fire=Fire()))
    (entry,) = [f for f in both.free if "batch_norm" in f.op]
    assert not entry.foldable and entry.elements == 2 * 3 * 4 * 64


def test_what_is_listed_and_what_is_not() -> None:
    p = run(
        Net(
            lambda m, x: (F.gelu(x + 1).flatten(1).softmax(1).view_as(x).transpose(2, 3).contiguous() * 0.5)[:, :1],
        )
    )
    size = X.numel()
    assert free(p) == [("", "add", size), ("", "gelu", size), ("", "softmax", size), ("", "mul", size)]
    assert p.operations == ()


def test_arithmetic_of_constants_is_not_listed() -> None:
    p = run(Net(lambda m, x: x + (m.w * 2 + 1).exp().sum(), w=nn.Parameter(torch.randn(5))))
    assert free(p) == [("", "add", X.numel())]


def test_what_neurons_compute_is_their_own() -> None:
    p = run(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Fire(), nn.ReLU()))
    assert [f.name for f in p.free] == ["2"]
