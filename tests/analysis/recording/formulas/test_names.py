"""Names of operations: the path of a layer, or where a function runs and what it is."""

from typing import Any

import pytest
import torch
from exact_counts import assert_images, names, nonzeros, only, run, values, weight
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import profile
from saformer.naming import named


class Leaf(nn.Module):
    """Functional calls in a module without parts of its own."""

    def __init__(self, *shapes: tuple[int, int]) -> None:
        super().__init__()
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", weight(*shape))
        self.count = len(shapes)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.count):
            x = F.linear(x, getattr(self, f"w{i}"))
        return x


def test_leaf_modules_have_their_path() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
    assert names(run(net, values("real", 3, 6))) == ["0", "2.0", "2.1"]
    assert [o.first for o in run(net, values("real", 3, 6)).operations] == [True, False, False]


def test_module_lists_and_dictionaries_have_their_paths() -> None:
    net = Net(
        lambda m, y: m.heads["a"](m.layers[1](m.layers[0](y))),
        layers=nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 4)]),
        heads=nn.ModuleDict({"a": nn.Linear(4, 3)}),
    )
    assert names(run(net, values("real", 3, 6))) == ["layers.0", "layers.1", "heads.a"]


def test_a_parameter_of_a_module_of_ones_own_has_its_path() -> None:
    assert names(run(nn.Sequential(Leaf((5, 6))), values("real", 3, 6))) == ["0.w0"]


def test_several_weights_in_one_module_are_kept_apart() -> None:
    # Eq. 18 multiplies a rate with the operations of one layer: two layers under one name would mix both.
    p = run(nn.Sequential(Leaf((5, 6), (2, 5))), values("real", 3, 6))
    assert names(p) == ["0.w0", "0.w1"]
    assert [o.dense for o in p.operations] == [3 * 6 * 5, 3 * 5 * 2]


def test_the_two_matrices_of_a_recurrent_cell_are_kept_apart() -> None:
    net = Net(lambda m, y: m.cell(y, m.start(y)), cell=nn.RNNCell(6, 3), start=nn.Linear(6, 3))
    p = run(net, values("real", 2, 6))
    assert sorted(o.dense for o in p.operations if o.name.startswith("cell")) == [2 * 3 * 3, 2 * 6 * 3]


def test_functional_calls_are_named_after_what_they_are_and_counted() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x @ x.transpose(1, 2)
            z = y @ x
            return (z * x) @ torch.ones(6, 2)

    p = run(nn.ModuleDict({"f": Functional()})["f"], values("real", 3, 4, 6))
    assert names(p) == ["matmul", "matmul_2", "product", "linear"]
    q = run(nn.Sequential(nn.Sequential(Functional())), values("real", 3, 4, 6))
    assert names(q) == ["0.0.matmul", "0.0.matmul_2", "0.0.product", "0.0.linear"]


def test_products_take_the_name_they_are_given() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with named("qk"):
                y = x @ x.transpose(1, 2)
            with named("outer"), named("qkv"):
                z = y @ x
            return z @ z.transpose(1, 2)

    p = run(nn.Sequential(Attention(), Attention()), values("real", 3, 6, 6))
    assert names(p) == [f"{i}.{what}" for i in (0, 1) for what in ("qk", "qkv", "matmul")]


def test_a_name_does_not_outlive_an_error() -> None:
    with pytest.raises(ZeroDivisionError), named("qk"):
        _ = 1 / 0
    assert names(run(Net(lambda m, y: y @ y.transpose(1, 2)), values("real", 3, 4, 6))) == ["matmul"]


def test_a_module_that_is_used_twice_has_one_entry() -> None:
    net = Net(lambda m, y: m.fc(m.fc(m.first(y))), first=nn.Linear(6, 6), fc=nn.Linear(6, 6))
    x = values("real", 3, 6)
    with torch.no_grad():
        y = net.first(x)
        z = net.fc(y)
    p = run(net, x)
    o = only(p, "fc")
    assert (o.dense, o.operands[0].elements) == (216, 36)
    assert o.operands[0].nonzero == nonzeros(y) + nonzeros(z)
    counted = [(nonzeros(a), 6 * nonzeros(a), nonzeros(b) + nonzeros(c)) for a, b, c in zip(x, y, z, strict=True)]
    assert_images(p, [(*first, both, 6 * both) for *first, both in counted])


def test_a_module_under_two_paths_has_the_first() -> None:
    shared = nn.Linear(6, 6)
    net = nn.Sequential(nn.Linear(6, 6), shared, nn.ReLU(), shared)
    assert names(run(net, values("real", 3, 6))) == ["0", "1"]


def test_a_layer_that_reads_the_image_and_then_spikes_has_two_entries() -> None:
    fire = nn.Threshold(0.1, 0.0)
    net = Net(lambda m, y: m.fc((m.fire(m.fc(y)) > 0).float()), fc=nn.Linear(6, 6), fire=fire)
    x = values("real", 3, 6)
    p = profile(net, [x, x[:2]])
    first, second = p.operations
    assert (first.name, first.dense, first.first) == ("fc", 180, True)
    assert (second.name, second.dense, second.first) == ("fc:2", 180, False)
    assert second.gate.binary and not any("fvcore counts" in note for note in p.notes)


def test_one_module_that_multiplies_anything_has_an_entry_for_each_product() -> None:
    class Multiply(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x @ y

    def attention(m: Any, x: Tensor) -> Tensor:
        return torch.stack([m.multiply(m.multiply(m.q(t), m.k(t).transpose(1, 2)), m.v(t)) for t in x])

    parts = {name: Net(lambda m, y: (y > 0.5).float()) for name in "qkv"}
    p = run(Net(attention, multiply=Multiply(), **parts), values("real", 4, 3, 5, 6), time_steps=4)
    first, second = p.operations
    assert [o.name for o in p.operations] == ["multiply.matmul", "multiply.matmul:2"]
    assert first.sources == ("spikes of q", "spikes of k") and second.sources[1] == "spikes of v"
    assert first.dense == second.dense == 4 * 3 * 5 * 5 * 6


def test_cross_attention_projects_queries_and_keys_at_rates_of_their_own() -> None:
    def attention(m: Any, x: Tensor) -> Tensor:
        return m.attn((x > 0.5).float(), *[(x[:, :3] > -0.5).float()] * 2)[0]

    x = values("real", 2, 5, 8)
    p = run(Net(attention, attn=nn.MultiheadAttention(8, 2, batch_first=True)), x)
    queries, keys = (o for o in p.operations if "in_proj_weight" in o.name)
    assert (queries.dense, keys.dense) == (2 * 5 * 8 * 8, 2 * 3 * 8 * 16)
    assert queries.events == 8 * nonzeros(x > 0.5) and keys.events == 16 * nonzeros(x[:, :3] > -0.5)


def test_calls_of_other_sizes_are_one_entry() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1))
    small, large, nothing = (values("real", n, 2, size, size) for n, size in ((3, 8), (2, 9), (0, 8)))
    together = profile(net, [small, large], check_flops=False)
    apart = profile(net, [small], check_flops=False) + profile(net, [large], check_flops=False)
    assert names(together) == ["0"] and together.operations == apart.operations
    expert = Net(lambda m, y: m.e(y[:0]).sum() + m.e(m.first(y)), e=nn.Linear(6, 6), first=nn.Linear(6, 6))
    assert len(nothing) == 0 and "e" in names(run(expert, values("real", 3, 6)))


def test_functions_keep_clear_of_modules_with_their_names() -> None:
    def run_all(m: Any, x: Tensor) -> Tensor:
        y = m.linear(x)
        return F.linear(y, torch.ones(3, 6)) + (m.matmul(y) @ m.matmul(y).t()).sum() + m.product(y).mul(y).sum()

    layers = {name: nn.Linear(6, 6) for name in ("linear", "matmul", "product")}
    assert names(run(Net(run_all, **layers), values("real", 3, 6))) == [
        *("linear", "functional_linear", "matmul", "functional_matmul", "product", "functional_product")
    ]


def test_entries_of_several_batches_are_one() -> None:
    x = values("real", 7, 6)
    net = Net(lambda m, y: m.fc(y) @ m.w, fc=nn.Linear(6, 6), w=weight(6, 2))
    p = profile(net, [x[:3], (x[3:5], None), x[5:]], check_flops=False)
    assert names(p) == ["fc", "w"]
    assert only(p, "fc").operands[0].nonzero == nonzeros(x)
    assert p.images == 7
