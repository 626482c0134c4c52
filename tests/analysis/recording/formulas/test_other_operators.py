"""Free arithmetic, operators that nobody knows, and fused attention."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from exact_counts import assert_counts, indicator, only, run, values
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.neurons import LIF


def test_neurons_free_arithmetic_and_unknown_operators_have_their_module() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.i0(x.clamp(-0.5, 0.5))

    net = nn.Sequential(nn.BatchNorm1d(4), Odd(), LIF())
    p = run(net, values("real", 3, 5, 4).transpose(1, 2).contiguous())
    assert [n.name for n in p.neurons] == ["2"]
    assert ("0", 60) in [(f.name, f.elements) for f in p.free]
    assert ("1", "clamp", 60) in [(f.name, f.op, f.elements) for f in p.free]
    assert p.uncounted == ("i0 in 1",)


MOVED_OR_FREE: dict[str, Callable[[Tensor], Tensor]] = {
    "unfold": lambda x: F.unfold(x, 3),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 8), 2, stride=2),
    "interpolate 1d": lambda x: F.interpolate(x[:, :, 0], scale_factor=2),
    "interpolate exactly": lambda x: F.interpolate(x, size=4, mode="nearest-exact"),
    "glu": lambda x: F.glu(x.repeat(1, 2, 1, 1), 1),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "celu": F.celu,
    "logsigmoid": F.logsigmoid,
    "erf": torch.erf,
    "nan_to_num": torch.nan_to_num,
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "index_add": lambda x: x.index_add(0, torch.tensor([0]), x[:1]),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x),
    "channel_shuffle": lambda x: F.channel_shuffle(x.repeat(1, 2, 1, 1), 2),
    "in place": lambda x: (x + 0).clamp_min_(0).sqrt_().abs_().round_().floor_().sign_().cumsum_(1),
    "threshold in place": lambda x: (x + 0).ge_(0.1),
}


@pytest.mark.parametrize("what", MOVED_OR_FREE)
def test_moves_and_free_arithmetic_are_no_lower_bound(what: str) -> None:
    p = run(Net(lambda m, y: MOVED_OR_FREE[what](y)), values("real", 2, 4, 8, 8))
    assert (p.uncounted, p.operations) == ((), ())


def test_unknown_operators_on_constants_are_no_news() -> None:
    assert run(Net(lambda m, y: y + torch.i0(torch.tensor([0.1]))), values("real", 3, 5)).uncounted == ()


def test_fused_attention_is_not_skipped_in_silence() -> None:
    p = run(Net(lambda m, y: F.scaled_dot_product_attention(y, y, y)), values("real", 3, 2, 4, 5))
    counted = sum(o.dense for o in p.operations)
    assert counted == 2 * 3 * 2 * 4 * 4 * 5 or any("attention" in entry for entry in p.uncounted)


def test_fused_attention_on_spikes_accumulates() -> None:
    x = torch.randn(4, 3, 2, 5, 6, generator=torch.Generator().manual_seed(2))
    fire = {name: Net(lambda m, y: (y > 0.4).float()) for name in "qkv"}

    def fused(m: Any, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(m.q(x), m.k(x.roll(1, 1)), m.v(x.roll(2, 1)))

    def written(m: Any, x: Tensor) -> Tensor:
        scores = m.q(x) @ m.k(x.roll(1, 1)).transpose(-2, -1) * 6**-0.5
        return scores.softmax(-1) @ m.v(x.roll(2, 1))

    one, other = (run(Net(how, **fire), x, time_steps=4) for how in (fused, written))
    assert [(o.name, o.dense, o.operands, o.events) for o in one.operations] == [
        (o.name, o.dense, o.operands, o.events) for o in other.operations
    ]
    assert all(o.gate.binary for o in one.operations)
    assert one.account().macs == 0 < one.account().acs


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"scale": 0.3}, {"mask": "bool"}, {"mask": "float"}], ids=str
)
@pytest.mark.parametrize("grouped", [False, True])
def test_fused_attention_gives_what_it_gives_without_the_recorder(options: dict[str, Any], grouped: bool) -> None:
    given = dict(options)
    if kind := given.pop("mask", None):
        allowed = torch.ones(5, 5, dtype=torch.bool).tril()
        given["attn_mask"] = allowed if kind == "bool" else torch.zeros(5, 5).double().masked_fill(~allowed, -torch.inf)
    seen = []

    def forward(m: Any, x: Tensor) -> Tensor:
        key = x[:, :2] if grouped else x
        seen.append(F.scaled_dot_product_attention(x, key, key + 1, enable_gqa=grouped, **given))
        return seen[-1]

    x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(1)).double()
    net = Net(forward)
    alone = net(x)
    seen.clear()
    run(net, x)
    torch.testing.assert_close(seen[-1], alone, rtol=0, atol=1e-12)


def test_attention_may_rule_out_keys_by_minus_infinity() -> None:
    padded = torch.tensor([[False] * 4 + [True]] * 3)
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    p = run(Net(lambda m, y: m.attend(y, y, y, key_padding_mask=padded)[0], attend=attend), values("real", 3, 5, 8))
    q = run(Net(lambda m, y: m.attend(y, y, y, attn_mask=causal)[0], attend=attend), values("real", 3, 5, 8))
    assert p.operations and q.operations


def test_products_over_nothing() -> None:
    p = run(Net(lambda m, y: y[:, :, :0] @ y[:, :0]), values("real", 3, 4, 4))
    assert_counts(only(p), 0, [torch.zeros(3, 4, 0), torch.zeros(3, 0, 4)], 0)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_whose_kernel_is_computed_from_the_image(both: bool, transposed: bool) -> None:
    template = values("real", 1, 2, 7, 7, seed=3)
    options: dict[str, Any] = {"stride": 2, "padding": 1}
    convolve = F.conv_transpose2d if transposed else F.conv2d

    def forward(m: Any, y: Tensor) -> Tensor:
        kernel = y[0, :, :3, :3].unflatten(0, (2, 2))
        return convolve(y[1:, :2] if both else m.template, kernel, **options)

    x = values("real", 3, 4, 7, 7)
    p = run(Net(forward, template=nn.Parameter(template)), x)
    kernel, read = x[0, :, :3, :3].unflatten(0, (2, 2)), x[1:, :2] if both else torch.ones(1, 2, 7, 7)
    met = convolve(indicator(read), indicator(kernel), **options)
    o = only(p)
    assert o.op == ("conv_transpose2d" if transposed else "conv2d")
    assert_counts(o, o.dense, [read, kernel] if both else [kernel], met.sum())
    assert o.dense == (read.numel() * 2 * 9 if transposed else met.numel() * 2 * 9)


def test_a_recorder_leaves_the_model_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)).train()
    net[2].eval()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    run(net, values("real", 3, 6))
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_an_error_in_the_model_leaves_no_hooks_behind() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.Linear(5, 5)).train()
    with pytest.raises(RuntimeError):
        run(net, values("real", 3, 6))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert net.training
