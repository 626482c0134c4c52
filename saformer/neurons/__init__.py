"""Spiking neurons: LIF (Eqs. 1-3) and its relatives, as PyTorch operators and as kernels for GPUs."""

from saformer.neurons.integrate_and_fire import activate, fire, lif
from saformer.neurons.kinds import NEURONS, make_neuron
from saformer.neurons.layers import IF, LIAF, LIF, PLIF, AdaptiveLIF, IntegerLIF, LearnableLIF, Neuron, TernaryLIF
from saformer.neurons.layout import laid_out_as, planes
from saformer.neurons.norm_lif import norm_lif_

__all__ = [
    "IF",
    "LIAF",
    "LIF",
    "NEURONS",
    "PLIF",
    "AdaptiveLIF",
    "IntegerLIF",
    "LearnableLIF",
    "Neuron",
    "TernaryLIF",
    "activate",
    "fire",
    "laid_out_as",
    "lif",
    "make_neuron",
    "norm_lif_",
    "planes",
]
