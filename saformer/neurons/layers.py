"""Layers of neurons as modules: LIF and its relatives, each a `Rule` of one mechanism."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.neurons.batch_norm import Normalising, following
from saformer.neurons.integrate_and_fire import Firing, run
from saformer.neurons.norm_lif import norm_lif_
from saformer.neurons.rule import Rule


class Neuron(nn.Module):
    """A layer of neurons, all T steps in one call, without state between calls.

    Args:
        rule: how they charge, fire and reset.
        alpha: steepness of the surrogate gradient, the derivative of sigmoid(alpha (U - V_th)); spikes in the reset
            are detached.
    """

    def __init__(self, rule: Rule, alpha: float = 4.0) -> None:
        super().__init__()
        self.rule, self.alpha = rule, alpha

    @property
    def tau(self) -> float:
        """Membrane time constant, in steps."""
        return self.rule.tau

    @property
    def reset(self) -> float | None:
        """V_reset, or None where the reset subtracts."""
        return self.rule.reset

    def learned(self) -> tuple[Tensor | None, Tensor | None]:
        """1/tau (without `decay_input` the leak) and V_th, where they are learned."""
        return None, None

    def forward(self, x: Tensor) -> Tensor:
        """What the neurons put out, of the shape and type of `x`, T x B x ..."""
        rate, threshold = self.learned()
        if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, rate, threshold)):
            return Firing.apply(x, rate, threshold, self.alpha, *self.rule)
        return run(x, rate, threshold, self.rule)

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them: those that are not the default, too."""
        rule, default = self.rule, Rule()
        shown = [f"threshold={rule.threshold}", *([f"tau={rule.tau}"] if rule.leak != 1 else []), f"reset={rule.reset}"]
        names = ("decay_input", "strict", "height", "start", "levels", "beta", "rho")
        shown += [f"{n}={getattr(rule, n)}" for n in names if getattr(rule, n) != getattr(default, n)]
        return ", ".join(shown)


def _leaky(
    threshold: float,
    tau: float,
    reset: float | None,
    decay_input: bool,
    strict: bool = False,
    height: float | str = 1.0,
    start: float = 0.0,
    **others: Any,
) -> Rule:
    """The rule of a leaky neuron; the membrane leaks to V_reset, or to 0.

    Raises:
        InputError: a time constant below 1, or a height that is no number.
    """
    if not tau >= 1:  # NaN neither
        raise InputError(
            f"a neuron's tau must be 1 or more, got {tau}: without input the membrane would change its sign"
        )
    if isinstance(height, str):
        if height != "threshold":
            raise InputError(f"a neuron's height is a number or 'threshold', got {height!r}")
        height = threshold
    rest, leak = reset or 0.0, 1.0 - 1.0 / tau
    # A leak that is not read stands at its default, so that rules that do the same are equal.
    return Rule(
        decay_input=decay_input,
        tau=tau,
        leak=Rule().leak if decay_input else leak,
        rest=rest,
        threshold=threshold,
        reset=reset,
        strict=strict,
        height=height,
        start=start,
        **others,
    )


class _Fixed(Neuron):
    """Neurons whose threshold is not learned."""

    @property
    def threshold(self) -> float:
        """V_th."""
        return self.rule.threshold


class LIF(_Fixed):
    """A layer of leaky integrate-and-fire neurons (Eqs. 1-3).

    Charge `U[t] = H[t-1] + (X[t] - (H[t-1] - V_reset)) / tau`, fire `S[t] = 1{U[t] >= V_th}`, hard reset
    `H[t] = V_reset S[t] + U[t] (1 - S[t])`, or by subtraction `H[t] = U[t] - V_th S[t]`, from `H[0] = start` at every
    call.

    Args:
        threshold: V_th; 1.0, and 0.5 in the neuron that follows an attention product.
        tau: membrane time constant, in steps.
        reset: V_reset, or None for a reset by subtraction.
        alpha: steepness of the surrogate gradient.
        decay_input: False charges with the whole current: `U[t] = V_reset + (1 - 1/tau) (H[t-1] - V_reset) + X[t]`
            (STBP, tdBN, TET; a decay d is a tau of 1 / (1 - d)).
        strict: fires where U > V_th.
        height: what a spike is worth at the output, a number or "threshold".
        start: H before the first step.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau: float = 2.0,
        reset: float | None = 0.0,
        alpha: float = 4.0,
        *,
        decay_input: bool = True,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        super().__init__(_leaky(threshold, tau, reset, decay_input, strict, height, start), alpha)

    def forward(self, x: Tensor, norm: nn.Module | None = None, channel: int = 2) -> Tensor:
        """Spikes of the shape and type of `x`, T x B x ...

        Args:
            x: input current, or what a BatchNorm makes it of: in evaluation spikes are written over it.
            norm: that BatchNorm, for the neuron of Eqs. 1-3; see `saformer.neurons.after_norm`.
            channel: the dimension of its channels: 2, or the last.
        """
        if norm is None:
            return super().forward(x)
        neuron = self.rule.tau, self.rule.threshold, self.rule.reset
        if norm.training or norm.running_mean is None:
            settings = *following(norm), norm.eps, channel, *neuron, self.alpha
            return Normalising.apply(x, norm.weight, norm.bias, *settings)
        statistics = norm.running_mean, norm.running_var, norm.eps
        return norm_lif_(x, norm.weight, norm.bias, *statistics, channel, *neuron)


class IF(_Fixed):
    """Neurons that do not leak: `U[t] = H[t-1] + X[t]`; the rest as in `LIF`."""

    def __init__(
        self,
        threshold: float = 1.0,
        reset: float | None = 0.0,
        alpha: float = 4.0,
        *,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        rule = _leaky(threshold, math.inf, reset, False, strict, height, start)
        super().__init__(rule._replace(rest=0.0), alpha)


class PLIF(_Fixed):
    """LIF neurons that learn how much they leak (Fang et al. 2021): `1/tau = sigmoid(w)`, one `w` for the layer.

    Args:
        threshold: V_th.
        init_tau: tau before training, above 1.
        reset: V_reset, or None for a reset by subtraction.
        alpha: steepness of the surrogate gradient.
        decay_input: as in `LIF`.
        strict: as in `LIF`.
        height: as in `LIF`.
        start: as in `LIF`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        init_tau: float = 2.0,
        reset: float | None = 0.0,
        alpha: float = 4.0,
        *,
        decay_input: bool = True,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        super().__init__(_leaky(threshold, init_tau, reset, decay_input, strict, height, start), alpha)
        if not init_tau > 1:
            raise InputError(f"init_tau of a PLIF neuron must be above 1, got {init_tau}: 1/tau is a sigmoid")
        self.w = nn.Parameter(torch.tensor(-math.log(init_tau - 1.0)))

    def learned(self) -> tuple[Tensor, None]:
        """1/tau, or the leak."""
        rate = self.w.sigmoid()
        return rate if self.rule.decay_input else 1.0 - rate, None


class LearnableLIF(Neuron):
    """LIF neurons that learn their leak and their threshold, one of each for the layer (DIET-SNN, Rathi & Roy 2020).

    Charge `U[t] = leak H[t-1] + X[t]`, fire where `U > threshold`, reset by subtraction of the threshold. The gradient
    by the threshold comes by the comparison and by the reset.

    Args:
        threshold: V_th before training.
        leak: the leak before training.
        reset: None, or V_reset.
        alpha: steepness of the surrogate gradient.
        strict: as in `LIF`.
        height: as in `LIF`; "threshold" follows the learned one.
        start: as in `LIF`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        leak: float = 1.0,
        reset: float | None = None,
        alpha: float = 4.0,
        *,
        strict: bool = True,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        by_threshold = height == "threshold"
        rule = _leaky(threshold, 2.0, reset, False, strict, 1.0 if by_threshold else height, start)
        super().__init__(rule._replace(leak=leak), alpha)
        self._by_threshold = by_threshold
        self.leak, self.threshold = (nn.Parameter(torch.tensor(float(value))) for value in (leak, threshold))

    def learned(self) -> tuple[Tensor, Tensor]:
        """The leak and V_th."""
        return self.leak, self.threshold

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the shape and type of `x`, T x B x ..."""
        spikes = super().forward(x)
        return spikes * self.threshold.to(spikes.dtype) if self._by_threshold else spikes

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        rule, default = self.rule, Rule()
        shown = [f"leak={self.leak.item():g}", f"threshold={self.threshold.item():g}", f"reset={rule.reset}"]
        shown += [
            f"{n}={getattr(rule, n)}" for n in ("strict", "height", "start") if getattr(rule, n) != getattr(default, n)
        ]
        return ", ".join(shown)


class IntegerLIF(_Fixed):
    """Neurons that put out integers (I-LIF; Luo et al. 2024, Yao et al. 2025): `round(clamp(U / V_th, 0, levels))`.

    Halves round to even, as `torch.round` does. The membrane is lowered by V_th times the integer, and leaks by
    `U[t] = (1 - 1/tau) H[t-1] + X[t]`; with T = 1 this is a quantised ReLU. The gradient passes where
    0 <= U <= levels V_th.

    Args:
        levels: the largest integer.
        threshold: V_th, what the membrane pays for one.
        tau: membrane time constant; 4/3 keeps a quarter of the membrane.
        reset: None, or V_reset, to which any integer above 0 resets.
        decay_input: as in `LIF`.
        height: what one is worth at the output: 1/levels in E-SpikeFormer.
        start: as in `LIF`.
    """

    def __init__(
        self,
        levels: int = 4,
        *,
        threshold: float = 1.0,
        tau: float = 4 / 3,
        reset: float | None = None,
        decay_input: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        _positive(threshold, "an integer neuron")
        if levels < 1:
            raise InputError(f"levels of an integer neuron must be 1 or more, got {levels}")
        rule = _leaky(threshold, tau, reset, decay_input, height=height, start=start, firing="integer", levels=levels)
        super().__init__(rule)


class TernaryLIF(_Fixed):
    """LIF neurons with spikes of both signs (Guo et al. 2024): 1 where `U >= V_th`, -1 where `U <= -V_th`.

    The gradient is that of the sigmoid at the threshold on the membrane's own side of 0.

    Args:
        threshold: V_th.
        tau: membrane time constant, in steps.
        reset: V_reset, after spikes of either sign, or None for a reset by subtraction of V_th S.
        alpha: steepness of the surrogate gradient.
        decay_input: as in `LIF`.
        strict: fires where |U| > V_th.
        height: as in `LIF`.
        start: as in `LIF`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau: float = 2.0,
        reset: float | None = 0.0,
        alpha: float = 4.0,
        *,
        decay_input: bool = True,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        _positive(threshold, "a ternary neuron")
        super().__init__(_leaky(threshold, tau, reset, decay_input, strict, height, start, firing="ternary"), alpha)


class LIAF(_Fixed):
    """Leaky integrate and analog fire (Wu et al. 2021): resets as `LIF`, but puts out an activation of the membrane.

    Args:
        threshold: V_th of the reset.
        tau: membrane time constant, in steps.
        reset: V_reset, or None for a reset by subtraction.
        activation: of the membrane U; None for ReLU.
        decay_input: as in `LIF`.
        strict: as in `LIF`.
        height: factor of what is put out.
        start: as in `LIF`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau: float = 2.0,
        reset: float | None = 0.0,
        *,
        activation: Callable[[Tensor], Tensor] | None = None,
        decay_input: bool = True,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        rule = _leaky(threshold, tau, reset, decay_input, strict, height, start, firing="relu")
        self._height = rule.height
        super().__init__(rule if activation is None else rule._replace(firing="membrane", height=1.0))
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the membranes, of the shape and type of `x`, T x B x ..."""
        membranes = super().forward(x)
        if self.activation is None:
            return membranes
        activated = self.activation(membranes)
        return activated if self._height == 1 else activated * self._height


class AdaptiveLIF(_Fixed):
    """LIF neurons whose threshold rises with each of their spikes (ALIF; Bellec et al. 2018, Eqs. 1-2).

    `V[t] = V_th + beta a[t]`, `a[t+1] = rho a[t] + S[t]`, from `a = 0`. (Bellec et al. give a spike the weight
    (1 - rho) in a: their beta is ours divided by that.) A reset by subtraction lowers the membrane by V[t]. The
    gradient follows the threshold through the steps; spikes in the reset alone are detached.

    Args:
        threshold: V_th at rest.
        tau: membrane time constant, in steps.
        reset: V_reset, or None for a reset by subtraction.
        alpha: steepness of the surrogate gradient.
        beta: by how much a spike raises the threshold.
        rho: what share of that stays after a step.
        decay_input: as in `LIF`.
        strict: as in `LIF`.
        height: as in `LIF`.
        start: as in `LIF`.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        tau: float = 2.0,
        reset: float | None = 0.0,
        alpha: float = 4.0,
        *,
        beta: float = 0.2,
        rho: float = 0.9,
        decay_input: bool = True,
        strict: bool = False,
        height: float | str = 1.0,
        start: float = 0.0,
    ) -> None:
        rule = _leaky(threshold, tau, reset, decay_input, strict, height, start, beta=beta, rho=rho)
        super().__init__(rule, alpha)


def _positive(threshold: float, whose: str) -> None:
    if not threshold > 0:
        raise InputError(f"the threshold of {whose} must be above 0, got {threshold}")
