"""The independent count against numbers worked out by hand, and against `profile`, on small networks."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saformer.analysis import profile

sys.path.insert(0, str(Path(__file__).parent))
from independent import Counter, count


def _rows(counter: Counter) -> set[tuple]:
    return {(r.path, r.kind, r.dense, tuple(r.elements), tuple(r.nonzero)) for r in counter.rows.values()}


def _spikes(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


def test_layers_are_counted_once_however_they_call_their_function():
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 5))
    x = _spikes(2, 2, 4, 4)
    counter = count(net, x)
    hidden = int((net[:3](x) != 0).sum())
    assert _rows(counter) == {
        ("0", "layer", 2 * 3 * 16 * 2 * 9, (64,), (int(x.sum()),)),
        ("3", "layer", 2 * 48 * 5, (96,), (hidden,)),
    }
    assert all(row.calls == 1 for row in counter.rows.values())


@pytest.mark.parametrize(
    ("layer", "shape", "dense"),
    [
        (nn.Conv1d(4, 6, 3, groups=2), (2, 4, 10), 2 * 6 * 8 * 2 * 3),
        (nn.Conv2d(1, 2, 5, stride=2, dilation=2), (1, 1, 21, 13), 2 * 7 * 3 * 25),
        (nn.Conv3d(2, 3, (1, 2, 3)), (1, 2, 4, 5, 6), 3 * 4 * 4 * 4 * 2 * 6),
        (nn.ConvTranspose2d(3, 2, 4, stride=2), (1, 3, 5, 5), 75 * 2 * 16),
        (nn.Linear(7, 3), (2, 5, 7), 2 * 5 * 7 * 3),
        (nn.Conv1d(2, 2, 4, padding="same"), (1, 2, 9), 2 * 9 * 2 * 4),
    ],
)
def test_dense_operations_follow_from_the_shapes(layer, shape, dense):
    x = _spikes(*shape)
    (row,) = count(layer, x).rows.values()
    assert (row.dense, row.elements, row.nonzero) == (dense, [x.numel()], [int(x.sum())])
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    assert row.events == int(layer(x).sum().round())  # with ones for weights, outputs count what they meet


def test_a_layer_that_loops_over_time_is_one_row():
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 4)

        def forward(self, x):
            return sum(self.layer(step) for step in x)

    x = _spikes(5, 2, 6)
    (row,) = count(Loop(), x).rows.values()
    assert (row.calls, row.dense, row.elements, row.nonzero) == (5, 5 * 2 * 24, [60], [int(x.sum())])


def test_the_first_step_of_a_recurrence_counts():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.Parameter(torch.ones(3, 3))

        def forward(self, x):
            state = torch.zeros(2, 3)
            for step in x:
                state = (step + state @ self.recurrent > 1).float()
            return state

    net = Recurrent()
    (row,) = count(net, torch.rand(4, 2, 3)).rows.values()
    assert (row.path, row.kind, row.dense, row.elements) == ("recurrent", "layer", 4 * 2 * 9, [24])


class _Products(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, q, k):
        return self.how(q, k)


@pytest.mark.parametrize(
    "how",
    [
        lambda q, k: q @ k.transpose(-1, -2),
        lambda q, k: torch.matmul(q, k.mT),
        lambda q, k: torch.einsum("bnd,bmd->bnm", q, k),
        lambda q, k: torch.einsum("bnd,bmd->bnm", [q, k]),
        lambda q, k: torch.bmm(q, k.mT),
        lambda q, k: torch.baddbmm(torch.zeros(2, 4, 4), q, k.mT),
        lambda q, k: q.matmul(k.mT),
        lambda q, k: k.mT.__rmatmul__(q),
    ],
)
def test_a_product_of_activations_is_counted_once_however_it_is_written(how):
    q, k = _spikes(2, 4, 3), _spikes(2, 4, 3, seed=1)
    net = _Products(how)
    (row,) = count(net, q, k).rows.values()
    assert (row.kind, row.dense) == ("product", 2 * 4 * 4 * 3)
    assert sorted(zip(row.elements, row.nonzero, strict=True)) == sorted([(24, int(q.sum())), (24, int(k.sum()))])
    assert row.events == int((q @ k.mT).sum())


def test_two_products_in_one_line_are_two_rows():
    net = _Products(lambda q, k: q @ k.mT @ k)
    q, k = _spikes(2, 4, 3), _spikes(2, 4, 3, seed=1)
    rows = list(count(net, q, k).rows.values())
    assert [row.dense for row in rows] == [96, 96]
    assert rows[1].elements == [32, 24]


def test_scaled_dot_product_attention_is_two_products():
    net = _Products(lambda q, k: F.scaled_dot_product_attention(q, k, k, is_causal=True))
    q, k = _spikes(2, 4, 3), _spikes(2, 4, 3, seed=1)
    first, second = count(net, q, k).rows.values()
    assert (first.dense, first.elements) == (96, [24, 24])
    assert (second.dense, second.elements) == (96, [32, 24])
    assert second.nonzero[0] == 2 * (1 + 2 + 3 + 4)  # a causal softmax is zero above the diagonal


def test_what_is_made_of_weights_alone_is_no_operation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Parameter(torch.rand(3, 3)), nn.Parameter(torch.rand(3, 3))

        def forward(self, x):
            return F.linear(x, (self.a @ self.b).clone()) * torch.ones(3)

    net = Net()
    (row,) = count(net, _spikes(2, 3)).rows.values()
    assert (row.kind, row.dense, row.path) == ("layer", 18, "a")


def test_products_with_numbers_from_the_code_or_with_weights_are_no_products():
    net = _Products(lambda q, k: q * 0.5 * torch.full_like(q, 2.0))
    assert not count(net, _spikes(2, 3), None).rows
    gate = _Products(lambda q, k: q * k)
    (row,) = count(gate, _spikes(2, 3), _spikes(2, 1)).rows.values()
    assert (row.kind, row.dense, row.elements) == ("elementwise", 6, [6, 2])


def test_layers_that_read_the_image_are_told_from_those_that_read_spikes_drawn_from_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            repeated = torch.zeros(3, *x.shape)
            for step in range(3):
                repeated[step] = F.layer_norm(x, x.shape[-1:])
            return self.a(repeated).mean(0) + self.b((x > 0).float()) + self.c(self.a(x))

    assert {row.path: row.first for row in count(Net(), torch.randn(2, 4)).rows.values()} == {
        "a": True,
        "b": False,
        "c": False,
    }


@pytest.mark.parametrize(
    ("make", "unseen"),
    [
        (lambda: nn.LSTM(3, 4), "lstm in the model"),
        (lambda: nn.Sequential(torch.jit.script(nn.Linear(3, 4))), "TorchScript in 0"),
        (lambda: nn.Sequential(torch.jit.script(nn.ReLU())), None),
    ],
)
def test_what_hides_operations_is_named(make, unseen):
    assert count(make(), torch.rand(2, 1, 3)).unseen == ({unseen} if unseen else set())


# Against the recorder.


def _same_as_profile(make, x, **options):
    torch.manual_seed(0)
    net = make()
    given = options["to_input"](x) if "to_input" in options else x
    mine: dict[str, list[int]] = {}
    for row in count(net, given).rows.values():
        if row.kind != "elementwise":
            mine.setdefault(row.path, [0, 0, 0, 0])
            for index, value in enumerate((row.dense, sum(row.elements), sum(row.nonzero), row.events)):
                mine[row.path][index] += value
    torch.manual_seed(0)
    theirs = profile(make(), [x], check_flops=False, **options).operations
    found = sorted(
        [o.dense, sum(y.elements for y in o.operands), sum(y.nonzero for y in o.operands), o.events] for o in theirs
    )
    assert sorted(mine.values()) == found
    assert all(values[2] for values in mine.values())


def test_a_spikingjelly_attention_agrees_with_the_profile():
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = layer.Conv2d(3, 8, 3, padding=1)
            self.q, self.k = layer.Linear(8, 8), layer.Linear(8, 8)
            self.lif, self.q_lif, self.k_lif, self.out_lif = (neuron.LIFNode(v_threshold=0.1) for _ in range(4))
            # One product a module, so that both counts have a row for each.
            self.inner, self.outer = _Products(torch.matmul), _Products(torch.matmul)
            functional.set_step_mode(self, "m")

        def forward(self, x):
            x = self.lif(self.stem(x)).flatten(3).transpose(2, 3)
            q, k = self.q_lif(self.q(x)), self.k_lif(self.k(x))
            return self.out_lif(self.outer(q, self.inner(k.transpose(-1, -2), q))).mean((0, 2))

    x = torch.rand(2, 3, 6, 6) * 3
    _same_as_profile(Attention, x, to_input=lambda x: x.expand(4, *x.shape), time_steps=4)


def test_a_snntorch_network_with_a_loop_over_time_agrees_with_the_profile():
    snn = pytest.importorskip("snntorch")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 10)
            self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

        def forward(self, x):
            m1, m2, total = self.lif1.init_leaky(), self.lif2.init_leaky(), 0
            for _ in range(5):
                s1, m1 = self.lif1(self.conv(x), m1)
                s2, m2 = self.lif2(self.fc(s1.flatten(1)), m2)
                total = total + s2
            return total

    _same_as_profile(Net, torch.rand(3, 1, 8, 8) * 2)
