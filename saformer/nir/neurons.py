"""The neurons of NIR, one time step at a call, their membranes and currents at 0 before the first.

NIR is continuous in time. Here it runs in steps of `dt` seconds, by forward Euler; with k = dt / tau:

    LI, LIF          v += k (v_leak - v + R x)
    CubaLI, CubaLIF  i += k_syn (w_in x - i), and with this i: v += k (v_leak - v + R i)
    I, IF            v += R x, where R is that of one step: libraries write R = 1 and add the input at each step
    ...IF            z = 1 where v > v_threshold, and there v = v_reset

The libraries that exchange graphs do the same; "Neuromorphic intermediate representation: A unified instruction set for
interoperable brain-inspired computing" (Pedersen et al., Nature Communications, 2024) defines the primitives.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Stateful(nn.Module):
    """Keeps state from step to step; `rest` forgets it."""

    def rest(self) -> None:
        """Before the first step."""
        raise NotImplementedError


def hold(module: nn.Module, **numbers: Any) -> None:
    """Give the module numbers for each neuron, or one for all; they are no parameters."""
    for name, value in numbers.items():
        module.register_buffer(name, torch.from_numpy(np.array(value, np.float64)).float())


class Neurons(Stateful):
    """Membranes with numbers for each neuron, or for all: `k`, `r`, ... as above."""

    k: Tensor
    k_syn: Tensor
    r: Tensor
    w_in: Tensor
    v_leak: Tensor
    v_threshold: Tensor
    v_reset: Tensor
    fires = False

    def __init__(self, **numbers: Any) -> None:
        super().__init__()
        hold(self, **numbers)
        self.rest()

    def rest(self) -> None:
        """Membranes and currents at 0."""
        self.v: Tensor | None = None
        self.i: Tensor | None = None

    def _put_out(self, v: Tensor) -> Tensor:
        """Spikes, and the reset, where these neurons fire; else the membranes."""
        if not self.fires:
            self.v = v
            return v
        above = v > self.v_threshold
        self.v = torch.where(above, self.v_reset, v)
        return above.to(v.dtype)


class LI(Neurons):
    """Leaky integrators: puts out v."""

    def forward(self, x: Tensor) -> Tensor:
        """One step of B x neurons."""
        v = torch.zeros_like(x) if self.v is None else self.v
        v = v * (1 - self.k) + self.k * (self.v_leak + self.r * self._current(x))
        return self._put_out(v)

    def _current(self, x: Tensor) -> Tensor:
        return x


class LIF(LI):
    """Leaky integrate-and-fire neurons: puts out spikes."""

    fires = True


class CubaLI(LI):
    """The same, driven by a current that leaks, too."""

    def _current(self, x: Tensor) -> Tensor:
        i = torch.zeros_like(x) if self.i is None else self.i
        self.i = i * (1 - self.k_syn) + self.k_syn * (self.w_in * x)
        return self.i


class CubaLIF(CubaLI):
    """Current-based leaky integrate-and-fire neurons."""

    fires = True


class I(Neurons):  # noqa: E742
    """Integrators: puts out v."""

    def forward(self, x: Tensor) -> Tensor:
        """One step of B x neurons."""
        v = self.r * x if self.v is None else self.v + self.r * x
        return self._put_out(v)


class IF(I):
    """Integrate-and-fire neurons: puts out spikes."""

    fires = True
