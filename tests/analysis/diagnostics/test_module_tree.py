"""The module tree: integers that can be counted by hand."""

import pytest
import snntorch
import torch
from spikingjelly.activation_based import neuron
from torch import nn
from torch.nn.utils import prune

import saformer
from saformer.analysis.diagnostics.module_tree import ModuleTree, module_tree, opened_to
from saformer.errors import InputError
from saformer.neurons import IF, LIF


def row(tree: ModuleTree, path: str):
    return next(row for row in tree.rows if row.path == path)


def linear(*weights):
    layer = nn.Linear(len(weights[0]), len(weights), bias=False)
    layer.weight.data = torch.tensor(weights)
    return layer


def test_effective_operations_are_those_of_the_example_in_neurobenchs_documentation():
    net = linear([1.3, 0.0, -3.2], [0.0, 1.2, -5.1], [-1.1, 2.7, 0.0])
    tree = module_tree(net, [torch.tensor([[0.0, 1.3, -1.0]])])
    total = tree.total
    assert (total.dense, total.macs, total.acs) == (9, 4, 0)
    assert (total.weights, total.zero_weights, total.connection_sparsity) == (9, 3, 3 / 9)
    assert (total.parameters, total.bytes) == (9, 36)


class Spiking(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.ModuleList([linear([1.0, 0.0], [2.0, 0.0]), linear([1.0, 1.0])])
        self.lif = LIF(threshold=1.0)

    def forward(self, x):
        spikes = self.lif(torch.stack([self.body[0](x) for _ in range(3)]))
        return self.body[1](spikes).mean(0)


def test_rows_of_a_spiking_network_are_those_counted_by_hand():
    # Currents 1 and 2 at every step. H = 0.5, 0.75, 0.875 never fires; U = 1 fires at every step, and is reset to 0.
    tree = module_tree(Spiking(), [torch.tensor([[1.0, 5.0], [1.0, 0.0]])])
    lif = row(tree, "lif").counts
    assert (lif.neurons, lif.spikes) == (2 * 2 * 3, 2 * 3)
    # All at the first step; then the first neuron's membrane changes, the second's stays 0.
    assert lif.updates == 2 * (2 + 1 + 1)
    first, second = row(tree, "body.0").counts, row(tree, "body.1").counts
    assert (first.dense, first.macs, first.acs) == (2 * 3 * 4, 3 * 2 * 2, 0)  # the second input meets zeros alone
    assert (second.dense, second.macs, second.acs) == (2 * 3 * 2, 0, 6)
    assert tree.total == first + second + lif
    assert tree.total.activation_sparsity == 0.5
    assert tree.execution_rate(0.001) == pytest.approx(1000 / 3)


def test_the_tree_has_a_row_for_what_runs_and_sums_what_is_inside():
    tree = module_tree(saformer.load("digits/sdt"), [torch.zeros(1, 1, 8, 8)], measured=False)
    assert [r.depth for r in opened_to(tree.rows, 1)] == [1] * len(opened_to(tree.rows, 1))
    assert row(tree, "block.0").name == "block.0" and row(tree, "block.0").depth == 1  # a list has no row
    assert row(tree, "block.0.attn").name == "attn"
    inside = [r.counts for r in tree.rows if r.depth == 1]
    assert sum(inside, start=type(tree.total)()) == tree.total
    assert len(opened_to(tree.rows, 0)) == len(tree.rows) - 1
    assert row(tree, "").shapes == ((1, 10),)


def test_what_modules_share_counts_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
            self.b.weight = self.a.weight
            self.again = self.a

        def forward(self, x):
            return self.again(self.b(self.a(x)))

    tree = module_tree(Tied(), [torch.ones(1, 4)])
    assert (row(tree, "a").counts.parameters, row(tree, "b").counts.parameters) == (20, 4)
    assert (row(tree, "b").counts.shared, tree.total.parameters) == (16, 24)
    assert (tree.total.weights, tree.total.bytes) == (16, 96)
    assert row(tree, "a").calls == 2


def test_connection_sparsity_is_that_of_the_weights_as_they_are_used():
    net = nn.Sequential(nn.Linear(10, 10), nn.ReLU(inplace=True))
    prune.l1_unstructured(net[0], "weight", amount=30)
    tree = module_tree(net, [torch.randn(4, 10)])
    assert (tree.total.weights, tree.total.zero_weights) == (100, 30)


def test_zeros_of_other_nonlinearities_are_activation_sparsity():
    tree = module_tree(nn.Sequential(linear([1.0], [-1.0]), nn.ReLU()), [torch.tensor([[2.0], [-2.0]])])
    assert (tree.total.activations, tree.total.zero_activations, tree.total.activation_sparsity) == (4, 2, 0.5)
    assert tree.total.firing_rate is None


class Single(nn.Module):
    """A library's neurons in a loop of the network's own."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return torch.stack([self.layer(current) for current in x.unbind(1)]).mean(0)


class Handed(Single):
    """Membranes are handed from step to step."""

    def forward(self, x):
        membrane, spikes = torch.zeros_like(x[:, 0]), []
        for current in x.unbind(1):
            spike, membrane = self.layer(current, membrane)
            spikes.append(spike)
        return torch.stack(spikes).mean(0)


@pytest.mark.parametrize(
    "net",
    [
        Single(neuron.IFNode(v_threshold=1.0)),
        Single(snntorch.Leaky(beta=1.0, reset_mechanism="zero", reset_delay=False, init_hidden=True)),
        Handed(snntorch.Leaky(beta=1.0, reset_mechanism="zero", reset_delay=False)),
    ],
)
def test_membranes_of_libraries_are_seen(net):
    # Two neurons, four steps: one is never driven; the other's membrane is 0.75, then 0 (it fires), 0.75, 0.
    x = torch.tensor([[[0.0, 0.75], [0.0, 0.75], [0.0, 0.75], [0.0, 0.75]]])
    tree = module_tree(net, [x], kind="events")
    assert tree.total.spikes == 2
    assert tree.total.updates == 2 + 1 + 1 + 1
    assert not tree.unseen


def test_membranes_that_cannot_be_seen_count_at_every_step():
    layer = neuron.IFNode(step_mode="m")
    x = torch.rand(3, 4, 5)
    tree = module_tree(nn.Sequential(layer), [x], time_steps=4, to_input=lambda x: x.movedim(1, 0))
    assert tree.total.updates == tree.total.neurons == 60
    assert tree.unseen == ("0",)


def test_ours_and_a_librarys_membranes_change_alike():
    x = torch.randn(2, 6, 50, generator=torch.Generator().manual_seed(0))

    class Ours(nn.Module):
        def __init__(self):
            super().__init__()
            self.lif = IF(threshold=0.7, reset=None)

        def forward(self, x):
            return self.lif(x.transpose(0, 1)).mean(0)

    theirs = module_tree(Single(neuron.IFNode(v_threshold=0.7, v_reset=None)), [x], kind="events")
    ours = module_tree(Ours(), [x], kind="events")
    assert ours.total.spikes == theirs.total.spikes
    assert ours.total.updates == theirs.total.updates


def test_what_did_not_run_is_told_from_what_others_use():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.unused = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(3, 3)

        def forward(self, x):
            return self.attention(x, x, x)[0].mean(1)

    tree = module_tree(Net(), [torch.randn(2, 5, 4)])
    assert tree.idle == 12 and row(tree, "attention.out_proj").counts.weights == 16
    assert tree.total.weights == 3 * 16 + 16


def test_no_image_is_refused():
    with pytest.raises(InputError, match="no image"):
        module_tree(nn.Linear(1, 1), [])
