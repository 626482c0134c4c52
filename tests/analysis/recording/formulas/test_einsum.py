"""Einsum, of a layer and of two activations."""

import math

import pytest
import torch
from exact_counts import assert_counts, assert_images, indicator, nonzeros, only, run, values, weight
from function_net import Net
from torch import Tensor


def test_scaling_by_einsum_is_scaling() -> None:
    x = values("real", 3, 5, 6)
    for equation, shape in (("bnd,d->bnd", (6,)), ("bnd,nd->bnd", (5, 6)), ("nd,bnd->bnd", (5, 6))):
        net = Net(
            lambda m, y, e=equation: torch.einsum(e, *((m.w, y) if e.startswith("n") else (y, m.w))), w=weight(*shape)
        )
        p = run(net, x)
        assert p.operations == () and p.uncounted == ()


SHARED = [
    ("bnd,de->bne", (6, 3), 3),
    ("bnd,ed->bne", (3, 6), 3),
    ("...d,ed->...e", (3, 6), 3),
    ("bnd,hde->bhne", (2, 6, 3), 6),
    ("bnd,nd->bn", (5, 6), 1),
    ("bnd,d", (6,), 1),
    ("bnd,m->bnm", (2,), 2),
]


@pytest.mark.parametrize(("equation", "shape", "fan_out"), SHARED)
@pytest.mark.parametrize("turned", [False, True])
def test_einsum_with_a_shared_weight_tells_images_apart(
    equation: str, shape: tuple[int, ...], fan_out: int, turned: bool
) -> None:
    x, w = values("real", 3, 5, 6), weight(*shape)
    left, arrow, right = equation.partition("->")
    if turned:
        left = ",".join(left.split(",")[::-1])
    x[:, 0] = 0
    with torch.no_grad():
        w.view(-1)[0] = 0
    net = Net(lambda m, y: torch.einsum(left + arrow + right, *((m.w, y) if turned else (y, m.w))), w=w)
    p = run(net, x)
    o = only(p)
    assert (o.name, o.op) == ("w", "linear")
    assert_counts(o, 90 * fan_out, [x], fan_out * nonzeros(x))
    assert_images(p, [(nonzeros(image), fan_out * nonzeros(image)) for image in x])
    with torch.no_grad():
        met = torch.einsum(equation, indicator(x), indicator(w).view(shape))
    assert o.effective == int(met.sum())


PAIRS = [
    ("bnd,bmd->bnm", (3, 5, 6), (3, 4, 6)),
    ("bhnd,bhmd->bhnm", (3, 2, 5, 6), (3, 2, 4, 6)),
    ("bhnm,bhmd->bnhd", (3, 2, 5, 4), (3, 2, 4, 6)),
    ("bnd,bne->bde", (3, 5, 6), (3, 5, 4)),
    ("bnd,bnd->bd", (3, 5, 6), (3, 5, 6)),
    ("bnd,bnd->bnd", (3, 5, 6), (3, 5, 6)),
    ("bd,be->bde", (3, 6), (3, 4)),
    ("b...d,b...d->b...", (3, 5, 6), (3, 1, 6)),
]


@pytest.mark.parametrize(("equation", "left", "right"), PAIRS)
@pytest.mark.parametrize("kind", ["spikes", "integers"])
def test_einsum_of_two_activations_counts_pairs_that_meet(
    kind: str, equation: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=4)
    cut = math.prod(left[1:])

    def parts(y: Tensor) -> tuple[Tensor, Tensor]:
        return y[:, :cut].reshape(-1, *left[1:]), y[:, cut:].reshape(-1, *right[1:])

    p = run(Net(lambda m, y: torch.einsum(equation, *parts(y))), x, graded=True)
    a, b = parts(x)
    met = torch.einsum(equation, indicator(a), indicator(b))
    dense = torch.einsum(equation, torch.ones_like(a), torch.ones_like(b)).sum()
    o = only(p)
    assert_counts(o, int(dense), [a, b], int(met.sum()))
    assert o.graded == int(torch.einsum(equation, a.abs(), b.abs()).sum())
    rows = [met[i].sum() for i in range(3)]
    assert_images(p, [(nonzeros(u), nonzeros(v), int(e)) for u, v, e in zip(a, b, rows, strict=True)])


def test_einsum_that_has_no_formula_is_seen_in_its_parts() -> None:
    x = values("real", 3, 4, 4)
    p = run(Net(lambda m, y: torch.einsum("bij,jk,kl->bil", y, m.w, m.v), w=weight(4, 4), v=weight(4, 2)), x)
    assert sum(o.dense for o in p.operations) >= 3 * 4 * 4 * 2
    assert p.uncounted == ()
    assert run(Net(lambda m, y: torch.einsum("bii->bi", y)), x).operations == ()
