"""Kernels that PyTorch's dispatcher does not see, and tensors that are proven constant."""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from saformer.analysis import profile

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """A layer, a kernel in a module of its own, a layer."""

    def __init__(self, kernel: Callable[[Tensor], Tensor], inside: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 3)
        self.fire = Kernel(kernel) if inside else kernel

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.fire(self.a(x)))


class Kernel(nn.Module):
    def __init__(self, kernel: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        return self.kernel(x)


def _view(x: Tensor) -> np.ndarray:
    """The memory of a tensor, as a kernel gets it: an address."""
    pointer = ctypes.cast(x.data_ptr(), ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, shape=x.shape)


class Filled(torch.autograd.Function):
    """What a CuPy kernel does: zeros, filled through their address."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        _view(out)[...] = _view(x) > 0
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _empty(x: Tensor) -> Tensor:
    out = torch.empty_like(x)
    _view(out)[...] = _view(x) > 0
    return out


def _numpy(x: Tensor) -> Tensor:
    return torch.from_numpy((x.detach().numpy() > 0).astype(np.float32))


def _into(x: Tensor) -> Tensor:
    out = torch.zeros(x.shape)
    np.copyto(out.numpy(), (x.numpy() > 0).astype(np.float32))
    return out


def _list(x: Tensor) -> Tensor:
    return torch.tensor((x.numpy() > 0).astype(np.float32).tolist())


@torch.library.custom_op("ta_tests::fire_into", mutates_args={"out"})
def fire_into(x: Tensor, out: Tensor) -> None:
    out.copy_((x > 0).float())


@torch.library.custom_op("ta_tests::fire", mutates_args=())
def fire(x: Tensor) -> Tensor:
    return (x > 0).float()


def _mutated(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    fire_into(x, out)
    return out


KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros filled through their address": Filled.apply,
    "empty memory filled through its address": _empty,
    "numpy": _numpy,
    "numpy into zeros": _into,
    "a list of Python": _list,
    "an operator that mutates its argument": _mutated,
    "an operator": fire,
}


@pytest.mark.parametrize("inside", [True, False], ids=["in a module", "in a function"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_that_nobody_sees_are_named_and_their_spikes_are_spikes(kernel: str, inside: bool) -> None:
    net = Net(KERNELS[kernel], inside)
    with torch.no_grad():
        spikes = int((net.a(X) > 0).sum())
    p = profile(net, [X[:3], X[3:]], check_flops=False)
    assert [o.name for o in p.operations] == ["a", "b"]
    b = p.operations[1]
    assert (str(b.gate.kind), b.gate.nonzero, b.dense) == ("spikes", spikes, 5 * 36)
    assert b.first is False and p.account().acs == pytest.approx(3 * spikes / 5)
    assert p.account().macs == 96
    if kernel.startswith("an operator") and inside:  # whatever neurons compute is their own
        assert p.uncounted == ()
    else:
        (named,) = p.uncounted
        # In a function it shows where its result is read.
        assert named.endswith(" in fire") if inside else named.endswith((" in b", " in the model"))
        assert "every operation was counted" not in p.account().coverage
    assert [(n.elements, n.spikes) for n in p.neurons] == [(60, spikes)]


REAL_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "numpy": lambda x: torch.from_numpy(np.maximum(x.numpy(), 0)),
    "numpy, softplus": lambda x: torch.from_numpy(np.log1p(np.exp(x.numpy()))),
    "of scipy, say": lambda x: torch.tensor(np.tanh(x.numpy())),
}


@pytest.mark.parametrize("kernel", REAL_KERNELS)
def test_real_values_of_a_kernel_are_real(kernel: str) -> None:
    p = profile(Net(REAL_KERNELS[kernel]), [X], check_flops=False)
    assert [(o.name, str(o.gate.kind)) for o in p.operations] == [("a", "real"), ("b", "real")]
    assert p.account().macs == 96 + 36 and p.neurons == ()
    assert len(p.uncounted) == 1 and "in fire" in p.uncounted[0]


def test_a_kernel_that_works_in_place() -> None:
    def rectify(x: Tensor) -> Tensor:
        np.maximum(x.numpy(), 0, out=x.numpy())
        return x

    p = profile(Net(rectify), [X], check_flops=False)
    net = Net(rectify)
    with torch.no_grad():
        nonzero = int((net.a(X) > 0).sum())
    assert p.operations[1].gate.nonzero == nonzero


# --- Constants must be proven, and are ---

GLOBAL = torch.rand(12, generator=torch.Generator().manual_seed(1))


def closure() -> Callable[[Tensor], Tensor]:
    kept, table = torch.rand(12), {"scale": [torch.rand(12)]}
    return lambda x: (x + kept) * table["scale"][0]


CONSTANTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a global": lambda x: x + GLOBAL,
    "a closure": closure(),
    "a literal": lambda x: x + torch.tensor([0.1, 0.2, 0.3]).repeat(4),
    "a range": lambda x: x + torch.arange(12) / 12,
    "filled by operators": lambda x: x + torch.zeros(12).fill_(0.3),
    "zeros with an index": lambda x: x + _with_one(torch.zeros(12)),
    "ones": lambda x: x * torch.ones(12),
    "like the input": lambda x: x + torch.ones_like(x) * torch.full_like(x, 0.5),
    "drawn": lambda x: x + torch.rand(12),
    "a mask": lambda x: x * torch.triu(torch.ones(12, 12))[3],
}


def _with_one(x: Tensor) -> Tensor:
    x[3] = 1.0
    return x


@pytest.mark.parametrize("what", CONSTANTS)
def test_constants_are_no_activations_and_no_news(what: str) -> None:
    p = profile(Net(CONSTANTS[what]), [X[:3], X[3:]], check_flops=False)
    assert [(o.name, str(o.gate.kind)) for o in p.operations] == [("a", "real"), ("b", "real")]
    assert p.uncounted == () and p.notes == ()
    assert p.operations[1].sources != ("a constant",)


def test_what_numpy_makes_anew_is_not_proven() -> None:
    p = profile(Net(lambda x: x + torch.from_numpy(np.linspace(0, 1, 12, dtype=np.float32))), [X], check_flops=False)
    assert p.uncounted == ("something outside PyTorch's dispatcher in fire",)
    assert [str(o.gate.kind) for o in p.operations] == ["real", "real"]


def test_lengths_of_a_packed_batch_are_no_kernel() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(8, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, [4, *[2] * (len(x) - 1)], batch_first=True)
            return self.rnn(packed)[1][0]

    p = profile(Packed(), [torch.randn(n, 4, 8) for n in (3, 2)], kind="static", check_flops=False)
    assert p.uncounted == ()
    rows = 4 + 2 * 2 + 4 + 2  # no step beyond the end of a sequence
    assert sum(o.dense for o in p.operations if "_ih_" in o.name) == rows * 4 * 6 * 8


def test_a_weight_that_the_model_keeps_out_of_sight_is_one() -> None:
    hidden = torch.randn(12, 12)
    net = Net(lambda x: x.relu() @ hidden)
    p = profile(net, [X[:3], X[3:]], check_flops=False)
    assert sum(o.dense for o in p.operations) == 5 * (96 + 144 + 36)
    assert p.uncounted == () and all(len(o.operands) == 1 for o in p.operations)
