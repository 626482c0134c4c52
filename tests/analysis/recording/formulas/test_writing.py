"""Operators that write into their arguments, and constants."""

import torch
from exact_counts import assert_counts, indicator, layer_of_ones, nonzeros, only, run, values, weight
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.neurons import LIF

# --- Operators that write into their arguments ---


def test_multiplication_in_place_is_counted_on_what_it_read() -> None:
    x = values("real", 3, 4, 5)

    def gated(m: Net, y: Tensor) -> Tensor:
        z = y.clone()
        z.mul_(m.gate(y.sum(1, keepdim=True)).relu())
        return m.fc(z)

    net = Net(gated, fc=nn.Linear(5, 2), gate=nn.Linear(5, 5))
    with torch.no_grad():
        gate = net.gate(x.sum(1, keepdim=True)).relu()
    p = run(net, x)
    assert_counts(only(p, "product"), 60, [x, gate], (indicator(x) * indicator(gate)).sum())
    assert_counts(only(p, "fc"), 120, [x * gate], 2 * nonzeros(x * gate))


def test_scaling_in_place_is_free() -> None:
    p = run(Net(lambda m, y: y.clone().mul_(2.0)), values("real", 3, 4))
    assert p.operations == ()
    assert [(f.op, f.elements) for f in p.free] == [("mul_", 12)]


def test_multiplication_into_a_third_tensor() -> None:
    x = values("real", 3, 4, 5)

    def into(m: Net, y: Tensor) -> Tensor:
        return torch.mul(y[:, :1], y, out=torch.empty(3, 4, 5))

    both = indicator(x[:, :1]) * indicator(x)
    assert_counts(only(run(Net(into), x)), 60, [x[:, :1], x], both.sum())


def test_what_is_written_into_is_counted_again() -> None:
    x = values("real", 3, 8)

    def twice(m: Net, y: Tensor) -> Tensor:
        z = y.clone()
        a = m.first(z)
        z.relu_()
        return a + m.second(z)

    p = run(Net(twice, first=nn.Linear(8, 2), second=nn.Linear(8, 2)), x)
    assert only(p, "first").operands[0].nonzero == nonzeros(x)
    assert only(p, "second").operands[0].nonzero == nonzeros(x.relu())


def test_spikes_that_are_written_into_are_spikes_no_more() -> None:
    x = values("spikes", 2, 3, 8) * 4

    def scaled(m: Net, y: Tensor) -> Tensor:
        z = m.lif(y)
        a = m.first(z)
        z.mul_(2.0)
        return a + m.second(z)

    p = run(Net(scaled, lif=LIF(), first=nn.Linear(8, 2), second=nn.Linear(8, 2)), x)
    before, after = only(p, "first").operands[0], only(p, "second").operands[0]
    assert before.binary
    assert before.nonzero == after.nonzero > 0
    assert after.ones == 0


def test_a_constant_that_takes_in_an_activation_is_one() -> None:
    def memory(m: Net, y: Tensor) -> Tensor:
        m.state.copy_(y)
        return m.state @ m.w

    net = Net(memory, w=weight(6, 2), inner=nn.Identity())
    net.register_buffer("state", torch.zeros(3, 6))
    x = values("real", 3, 6)
    assert_counts(only(run(net, x)), 36, [x], 2 * nonzeros(x))


def test_max_pools_keep_spikes_spikes() -> None:
    x = 2 * values("spikes", 3, 2, 6, 6)
    net = Net(lambda m, y: m.conv(F.max_pool2d(m.lif(y), 3, 2, 1)), lif=LIF(), conv=nn.Conv2d(2, 3, 3, padding=1))
    pooled = F.max_pool2d(LIF()(x), 3, 2, 1)
    assert_counts(only(run(net, x)), 3 * 9 * 3 * 2 * 9, [pooled], layer_of_ones(net.conv, pooled).sum())


# --- Constants ---


def test_constants_times_constants_are_not_booked() -> None:
    def constants(m: Net, y: Tensor) -> Tensor:
        square = m.w @ m.w.t()
        other = F.linear(square, m.w.t()) * m.w
        F.conv1d(m.w[None], m.w[:, :, None])
        torch.bmm(square[None], square[None])
        filled = torch.ones(4, 4) * m.w
        filled.mul_(m.w)
        return y + other.sum() + filled.sum()

    p = run(Net(constants, w=weight(4, 4)), values("real", 3, 6))
    assert p.operations == ()
    assert p.uncounted == ()


def test_a_random_tensor_is_a_constant() -> None:
    p = run(Net(lambda m, y: y + torch.rand(6, 6) @ torch.rand(6, 1).flatten()), values("real", 3, 6))
    assert p.operations == ()


def test_the_shape_of_the_input_alone_makes_no_activation() -> None:
    p = run(Net(lambda m, y: y + torch.ones_like(y[0]) * torch.zeros(6)), values("real", 3, 6))
    assert all(o.op != "linear" for o in p.operations)
