"""Spiking neurons: LIF (Eqs. 1-3), as PyTorch operators and as kernels for GPUs."""

from saformer.neurons.integrate_and_fire import LIF, lif
from saformer.neurons.layout import laid_out_as, planes

__all__ = ["LIF", "laid_out_as", "lif", "planes"]
