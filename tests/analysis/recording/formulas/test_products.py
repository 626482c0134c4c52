"""Products of two activations, of matrices and element by element, against loops over pairs of nonzeros."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from exact_counts import KINDS, assert_counts, assert_images, indicator, nonzeros, only, run, values, weight
from function_net import Net
from torch import Tensor, nn

from saformer.analysis import profile

SHAPES = [
    ((3, 4, 5), (3, 5, 6)),
    ((3, 2, 4, 5), (3, 2, 5, 6)),
    ((3, 1, 4, 5), (3, 2, 5, 6)),
    ((3, 2, 4, 5), (3, 1, 5, 6)),
    ((3, 2, 1, 5), (3, 2, 5, 1)),
]


def halves(x: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Two activations of those shapes, cut out of one input B x ...."""
    size = math.prod(left[1:])
    return x[:, :size].reshape(left), x[:, size:].reshape(right)


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_matrix_products(pass_size: None, kind: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=2)
    a, b = halves(x, left, right)
    p = run(Net(lambda m, y: torch.matmul(*halves(y, left, right))), x)
    events = (indicator(a) @ indicator(b)).flatten(1).sum(1)
    lead = torch.broadcast_shapes(left[:-2], right[:-2])
    o = only(p)
    assert (o.name, o.op) == ("matmul", "matmul")
    assert_counts(o, math.prod(lead) * left[-2] * left[-1] * right[-1], [a, b], events.sum())
    assert_images(p, [(nonzeros(u), nonzeros(v), e) for u, v, e in zip(a, b, events.tolist(), strict=True)])


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "@": lambda a, b: a @ b,
    "bmm": lambda a, b: a.bmm(b),
    "baddbmm": lambda a, b: torch.baddbmm(torch.ones(3, 4, 6), a, b, alpha=0.5),
    "einsum": lambda a, b: torch.einsum("bnk,bkm->bnm", a, b),
    "einsum turned": lambda a, b: torch.einsum("bnk,bkm->bmn", a, b),
    "matmul of a transpose": lambda a, b: (b.transpose(1, 2) @ a.transpose(1, 2)).transpose(1, 2),
}


@pytest.mark.parametrize("kind", ["spikes", "integers", "real"])
@pytest.mark.parametrize("expression", PRODUCTS)
def test_all_ways_to_multiply_matrices(expression: str, kind: str) -> None:
    x = values(kind, 3, 50, seed=4)
    shapes = ((3, 4, 5), (3, 5, 6))
    a, b = halves(x, *shapes)
    o = only(run(Net(lambda m, y: PRODUCTS[expression](*halves(y, *shapes))), x))
    assert o.op == "matmul"
    operands = [b, a] if "transpose" in expression else [a, b]
    found = [(v.elements, v.nonzero) for v in o.operands]
    assert found in ([(v.numel(), nonzeros(v)) for v in operands], [(v.numel(), nonzeros(v)) for v in operands[::-1]])
    assert o.dense == 3 * 4 * 5 * 6
    assert o.events == (indicator(a) @ indicator(b)).sum()


def test_a_product_of_an_activation_with_itself() -> None:
    x = values("real", 3, 4, 5)
    p = run(Net(lambda m, y: y @ y.transpose(1, 2)), x)
    assert_counts(only(p), 3 * 4 * 5 * 4, [x, x], (indicator(x) @ indicator(x).transpose(1, 2)).sum())


def test_dot_products_of_one_image() -> None:
    x = values("integers", 1, 9)
    p = run(Net(lambda m, y: y[0].dot(y[0].flip(0))), x)
    assert_counts(only(p), 9, [x, x.flip(1)], (indicator(x) * indicator(x.flip(1))).sum())


MASKS = [
    ((3, 4, 5), (3, 4, 5)),
    ((3, 4, 5), (3, 1, 5)),
    ((3, 1, 5), (3, 4, 5)),
    ((3, 4, 1), (3, 1, 5)),
    ((3, 2, 4, 5), (3, 1, 4, 5)),
]


@pytest.mark.parametrize(("left", "right"), MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks(pass_size: None, kind: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=6)
    a, b = halves(x, left, right)
    p = run(Net(lambda m, y: torch.mul(*halves(y, left, right)).sum(-2)), x)
    both = indicator(a) * indicator(b)
    o = only(p)
    assert (o.name, o.op) == ("product", "product")
    assert_counts(o, both.numel(), [a, b], both.sum())
    counts = both.flatten(1).sum(1).tolist()
    assert_images(p, [(nonzeros(u), nonzeros(v), e) for u, v, e in zip(a, b, counts, strict=True)])


def test_a_mask_of_one_number_per_image_is_booked_for_any_batch() -> None:
    # One image makes a tensor of one element, which is still a mask.
    x = values("real", 4, 6)
    net = Net(lambda m, y: y * m.gate(y).sigmoid(), gate=nn.Linear(6, 1))
    parts = [run(net, image[None]) for image in x]
    whole = run(net, x)
    assert only(whole, "product").dense == 24
    total = parts[0] + parts[1] + parts[2] + parts[3]
    assert total.operations == whole.operations
    assert total.moments == whole.moments


@pytest.mark.parametrize("gate", [lambda y: y.mean(1, keepdim=True), torch.sigmoid, lambda y: (y > 0).float()])
def test_a_value_times_what_was_computed_from_itself_is_no_operation(gate: Callable[[Tensor], Tensor]) -> None:
    x = values("real", 4, 6)
    assert run(Net(lambda m, y: y * gate(y)), x).operations == ()
    after = run(Net(lambda m, y: m.fc(y) * gate(m.fc(y)), fc=nn.Linear(6, 5)), x)
    assert [o.op for o in after.operations] == ["linear"]


def test_the_image_times_a_mask_that_a_layer_made_is_a_product() -> None:
    x = values("real", 4, 6)
    o = only(run(Net(lambda m, y: y * m.fc(y).sigmoid(), fc=nn.Linear(6, 6)), x), "product")
    assert_counts(o, 24, [x, torch.full((4, 6), 0.5)], nonzeros(x))

    # Two inputs are two things.
    class Two(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x * mask

    p = profile(Two(), [(x, x > 0)], check_flops=False)
    assert [(o.op, o.events) for o in p.operations] == [("product", int((x > 0).sum()))]


@pytest.mark.parametrize("factor", [0.125, torch.tensor(0.5)], ids=["number", "scalar tensor"])
def test_scaling_is_free(factor: Any) -> None:
    p = run(Net(lambda m, y: y * factor), values("real", 3, 6))
    assert p.operations == ()
    assert [(f.name, f.op, f.elements) for f in p.free] == [("", "mul", 18)]


def test_a_constant_factor_is_free_whatever_its_shape() -> None:
    p = run(Net(lambda m, y: m.w * y, w=weight(6)), values("real", 3, 6))
    assert p.operations == ()
    assert [(f.op, f.elements) for f in p.free] == [("mul", 18)]
