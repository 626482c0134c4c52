"""The settings of the one mechanism that all neurons share: how they charge, fire and reset."""

import math
from typing import NamedTuple

import torch

#: What a neuron may put out that is no number of spikes; `Rule` says what each is.
ANALOG = ("relu", "membrane")


class Rule(NamedTuple):
    """Charge, fire and reset, in the order in which the operators take the settings.

    Charge, with the membrane H before the step and the current X:

        decay_input:  U = H + (X - (H - rest)) / tau
        otherwise:    U = rest + leak (H - rest) + X

    Fire, with the threshold V = threshold + beta a, a[t+1] = rho a[t] + S[t] from a = 0. `S` is
        spikes:   1 where U >= V, else 0
        integer:  round(clamp(U / V, 0, levels)), halves to even
        ternary:  1 where U >= V, -1 where U <= -V, else 0
        relu, membrane:  as spikes, but put out is max(U, 0) or U itself
    Put out is height S, or height U.

    Reset: H = reset where S is not 0; with `reset` None, H = U - V S.

    Args:
        firing: what it puts out: one of the above.
        decay_input: the current is divided by tau, too.
        tau: membrane time constant, in steps; read with `decay_input`.
        leak: what share of the membrane stays after a step; read without `decay_input`.
        rest: where the membrane leaks to.
        threshold: V_th.
        reset: V_reset, or None for a reset by subtraction.
        strict: fires beyond the threshold alone, not at it.
        height: what a spike is worth.
        start: H before the first step.
        levels: the largest integer that is put out.
        beta: by how much the threshold rises with each spike.
        rho: what share of that rise stays after a step.
    """

    firing: str = "spikes"
    decay_input: bool = True
    tau: float = 2.0
    leak: float = 0.5
    rest: float = 0.0
    threshold: float = 1.0
    reset: float | None = 0.0
    strict: bool = False
    height: float = 1.0
    start: float = 0.0
    levels: int = 1
    beta: float = 0.0
    rho: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether it is the neuron of Eqs. 1-3, which has an operator and kernels of its own."""
        return self == Rule(tau=self.tau, threshold=self.threshold, rest=self.rest, reset=self.rest)


def exact(factor: float) -> bool:
    """Whether products with it are not rounded: zero or a power of two."""
    return factor == 0 or math.frexp(abs(factor))[0] == 0.5


def next_to(value: float, towards: float, dtype: torch.dtype) -> float:
    """The number of a type that follows `value`, rounded to that type, in the direction of another."""
    one, other = (torch.tensor(x, dtype=dtype) for x in (value, towards))
    return float(torch.nextafter(one, other))
