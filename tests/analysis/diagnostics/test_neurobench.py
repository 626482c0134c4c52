"""The module tree says of a network what NeuroBench says."""

import json
from pathlib import Path

import pytest
import snntorch
import torch
from torch import nn

from saformer.analysis import module_tree

SAID = json.loads((Path(__file__).parents[2] / "data/oracles/neurobench.json").read_text())


def filled(net):
    """Weights that any machine makes alike, a third of them zero and more."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            for i, parameter in enumerate(layer.parameters()):
                n = torch.arange(parameter.numel())
                parameter.data = (((n * 7 + 3 * i) % 11 - 4).float() / 8 * (n % 3 != 0)).view_as(parameter)
    return net


class InTime(nn.Module):
    """The network on each step of B x T x ..., from rest."""

    def __init__(self, *layers):
        super().__init__()
        self.net = nn.Sequential(*layers)

    def forward(self, x):
        for module in self.net.modules():
            if isinstance(module, snntorch.SpikingNeuron):
                module.reset_mem()
        return torch.stack([self.net(current)[0] for current in x.unbind(1)]).mean(0)


def leaky(beta, **more):
    return snntorch.Leaky(beta=beta, init_hidden=True, **more)


def trains(*shape):
    n = torch.arange(torch.Size(shape).numel())
    return ((n * n + n // 5) % 7 < 2).float().view(shape)


NETWORKS = {
    "leaky": (
        lambda: InTime(nn.Flatten(), nn.Linear(20, 30), leaky(0.9), nn.Linear(30, 10), leaky(0.9, output=True)),
        lambda: trains(6, 9, 20),
    ),
    "synaptic": (
        lambda: InTime(
            nn.Conv2d(2, 4, 3, padding=1),
            snntorch.Synaptic(alpha=0.8, beta=0.7, init_hidden=True, reset_mechanism="zero"),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16, 5),
            leaky(0.5, output=True),
        ),
        lambda: trains(6, 9, 2, 4, 4),
    ),
    "ann": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)
        ),
        lambda: torch.arange(192).view(6, 2, 4, 4) % 5 / 4 - 0.25,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_metrics_are_those_that_neurobench_computes(name):
    build, data = NETWORKS[name]
    x, said = data(), SAID[name]
    tree = module_tree(filled(build()), [x], kind="static" if name == "ann" else "events")
    total = tree.total
    assert (total.bytes, total.parameters) == (said["Footprint"], said["ParameterCount"])
    assert round(total.connection_sparsity, 4) == said["ConnectionSparsity"]
    assert total.activation_sparsity == pytest.approx(said["ActivationSparsity"], rel=1e-12)
    for ours, theirs in (
        (total.macs, "Effective_MACs"),
        (total.acs, "Effective_ACs"),
        (total.updates, "MembraneUpdates"),
    ):
        assert ours == pytest.approx(said[theirs] * len(x), rel=1e-12)
    # Of a padded convolution NeuroBench leaves out what meets the padding; fvcore, and the recorder, do not.
    padding = (4 * 2 * 9 * 16 - 4 * 2 * 100) * 9 if name == "synaptic" else 0
    assert total.dense == (said["Dense"] + padding) * len(x)
