"""Linear layers, by module and by function, against layers of ones."""

from collections.abc import Callable

import pytest
import torch
from exact_counts import KINDS, assert_counts, assert_images, layer_of_ones, nonzeros, only, run, values, weight
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6), (3, 2, 5, 6)])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_layers(pass_size: None, kind: str, shape: tuple[int, ...], bias: bool) -> None:
    x = values(kind, *shape, seed=len(shape))
    p = run(Net(lambda m, y: m.fc(y), fc=nn.Linear(6, 4, bias=bias)), x)
    o = only(p, "fc")
    assert o.op == "linear"
    assert_counts(o, x.numel() * 4, [x], 4 * nonzeros(x))
    assert_images(p, [(nonzeros(image), 4 * nonzeros(image)) for image in x])


def test_a_linear_layer_on_a_vector() -> None:
    x = values("real", 1, 6)
    p = run(Net(lambda m, y: m.fc(y[0]), fc=nn.Linear(6, 4)), x)
    assert_counts(only(p, "fc"), 24, [x], 4 * nonzeros(x))


def test_one_output() -> None:
    x = values("integers", 3, 6)
    assert_counts(only(run(nn.Sequential(nn.Linear(6, 1)), x)), 18, [x], nonzeros(x))


FUNCTIONAL: dict[str, tuple[Callable[[Net, Tensor], Tensor], tuple[int, ...], int]] = {
    # expression, shape of the weight, outputs that an input element reaches
    "F.linear(x, w)": (lambda m, x: F.linear(x, m.w), (4, 6), 4),
    "F.linear(x, w.t())": (lambda m, x: F.linear(x, m.w.t()), (6, 4), 4),
    "x @ w": (lambda m, x: x @ m.w, (6, 4), 4),
    "x @ w.t()": (lambda m, x: x @ m.w.t(), (4, 6), 4),
    "x.mm(w)": (lambda m, x: x.mm(m.w), (6, 4), 4),
    "w @ x.t()": (lambda m, x: m.w @ x.t(), (4, 6), 4),
    "x @ vector": (lambda m, x: x @ m.w, (6,), 1),
    "x.mv(vector)": (lambda m, x: x.mv(m.w), (6,), 1),
    "addmm": (lambda m, x: torch.addmm(m.w[0], x, m.w), (6, 6), 6),
    "addmv": (lambda m, x: torch.addmv(torch.zeros(3), x, m.w), (6,), 1),
    "stack of weights": (lambda m, x: x @ m.w, (5, 6, 4), 20),
    "einsum": (lambda m, x: torch.einsum("bi,io->bo", x, m.w), (6, 4), 4),
    "tensordot": (lambda m, x: torch.tensordot(x, m.w, 1), (6, 4), 4),
    "weight standardisation": (lambda m, x: F.linear(x, (m.w - m.w.mean()) / m.w.std()), (4, 6), 4),
    "scaled weight": (lambda m, x: F.linear(x, m.w * m.w.abs().mean()), (4, 6), 4),
    "product of weights": (lambda m, x: x @ (m.w.t() @ m.w), (4, 6), 6),
}


@pytest.mark.parametrize("expression", FUNCTIONAL)
@pytest.mark.parametrize("kind", ["spikes", "real", "zeros"])
def test_functional_calls_with_weights_made_on_the_fly(kind: str, expression: str) -> None:
    function, shape, fan_out = FUNCTIONAL[expression]
    x = values(kind, 3, 6)
    o = only(run(Net(function, w=weight(*shape), inner=nn.Identity()), x))
    assert o.op == "linear"
    assert_counts(o, x.numel() * fan_out, [x], fan_out * nonzeros(x))


def test_a_convolution_with_standardised_weights() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)

    def standardised(m: Net, x: Tensor) -> Tensor:
        w = m.w - m.w.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, w / w.std((1, 2, 3), keepdim=True), padding=1)

    x = values("real", 3, 2, 5, 5)
    o = only(run(Net(standardised, w=weight(3, 2, 3, 3), inner=nn.Identity()), x))
    assert (o.name, o.op) == ("w", "conv2d")  # the weight keeps the name of the parameter it was computed from
    assert_counts(o, 3 * 25 * 3 * 2 * 9, [x], layer_of_ones(conv, x).sum())


def test_a_batch_of_inputs_under_one_stack_of_weights() -> None:
    # ... x n x k times h x k x m: an element meets m weights in each of the h matrices.
    x = values("real", 3, 2, 4, 5)
    p = run(Net(lambda m, y: y @ m.w, w=weight(2, 5, 6), inner=nn.Identity()), x)
    assert_counts(only(p), 3 * 2 * 4 * 5 * 6, [x], 6 * nonzeros(x))
    assert_images(p, [(nonzeros(image), 6 * nonzeros(image)) for image in x])
    wide = run(Net(lambda m, y: y[:, None] @ m.w, w=weight(7, 5, 6), inner=nn.Identity()), x[:, 0])
    assert_counts(only(wide), 3 * 4 * 5 * 6 * 7, [x[:, 0]], 42 * nonzeros(x[:, 0]))
