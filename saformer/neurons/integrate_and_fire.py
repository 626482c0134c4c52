"""Integrate-and-fire neurons as operators: multi-step, without state between calls, with a surrogate gradient.

`saformer::lif` is the neuron of Eqs. 1-3, with kernels for GPUs; `saformer::integrate_and_fire` takes any `Rule`, and
`saformer::integrate_and_activate` those whose output is analog.
"""

import functools
from collections.abc import Iterable
from itertools import repeat
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from saformer.neurons import one_pass
from saformer.neurons.layout import flat, laid_out_as, planes
from saformer.neurons.membranes import Membranes
from saformer.neurons.rule import ANALOG, Rule

# Neurons per pass on a CPU, for each thread. A step is several passes over the membrane; with blocks of this size the
# membrane and the current step stay in the cache between them, which halves the time of a whole-tensor loop.
CPU_BLOCK = 1 << 17


def _membrane_type(x: Tensor) -> torch.dtype:
    """Half precision has too few digits to integrate in: membranes and their gradients are float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def _block(x: Tensor) -> int:
    """How many of the neurons of T x neurons one pass works on; at least 1."""
    size = max(x.shape[1], 1)
    return min(CPU_BLOCK * torch.get_num_threads(), size) if x.device.type == "cpu" else size


def _number(learned: Tensor | None) -> float | None:
    return None if learned is None else float(learned)


def fire_cpu(x: Tensor, rate: Tensor | None, threshold: Tensor | None, *settings: Any) -> Tensor:
    """What neurons put out.

    Args:
        x: input current, T x ..., floating.
        rate: 1/tau (without `decay_input`: the leak) where it is learned, one number.
        threshold: V_th where it is learned, one number.
        *settings: a `Rule`.

    Returns:
        What is put out, of the shape and type of `x`. The membrane is float32 where `x` is narrower.
    """
    x = planes(x)
    result = torch.empty_like(x)
    x, results = flat(x), flat(result)
    wide, steps, size = _membrane_type(x), len(x), _block(x)
    membranes = Membranes(Rule(*settings), _number(rate), _number(threshold), wide)
    same = x.dtype == wide
    direct = same or (membranes.replaces and not membranes.analog)  # fires into the result
    scale, own = membranes.scale, membranes.rows
    memory = torch.empty(own + 1 + (not same) + (not direct), size, dtype=wide, device=x.device)
    for inputs, outputs in zip(x.split(size, 1), results.split(size, 1), strict=True):
        rows = memory[:, : inputs.shape[1]]
        membranes.use(rows[:own])
        currents = inputs if same else (rows[own + 1].copy_(current) for current in inputs)
        for t in membranes.steps(steps, currents, repeat(rows[own]), outputs if direct else repeat(rows[-1])):
            put_out = outputs[t] if direct else rows[-1]
            if scale != 1:
                put_out.mul_(scale)
            if not direct:
                outputs[t].copy_(put_out)
    return result


def fire_backward_cpu(
    gradient: Tensor, x: Tensor, rate: Tensor | None, threshold: Tensor | None, alpha: float, *settings: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of `fire_cpu` by its input, and by what is learned; spikes in the reset are detached from the graph.

    With the slope f' of what is put out (`Membranes.slope`), and since dU[t+1]/dH[t] = `carried` and dU[t]/dX[t] =
    `gain`, backwards from T:

        dX[t] = gain f'[t] dS[t] + carried (dH[t]/dU[t]) dX[t+1]

    where dH/dU is 0 for what was reset to a number, else 1. An adaptive threshold passes its gradient on, too.
    The membranes are computed again from the input: cheaper than keeping T of them per layer.

    Returns:
        The gradient by `x`; those by `rate` and `threshold`, in float64, 0 for what is not learned.
    """
    x = planes(x)
    result = torch.empty_like(x)
    x, gradient, targets = flat(x), flat(laid_out_as(x, gradient)), flat(result)
    wide, steps, size = _membrane_type(x), len(x), _block(x)
    membranes = Membranes(Rule(*settings), _number(rate), _number(threshold), wide)
    by_rate, by_threshold = (torch.zeros((), dtype=torch.float64, device=x.device) for _ in range(2))
    same = x.dtype == wide
    carried, rule = membranes.carried, membranes.rule
    steepness, gain = membranes.steepness(alpha), membranes.by_current(1.0)
    # Rows of each step: of -U, or of -(U - V) with adaptation; of spikes where a reset or a gradient reads them, of -H.
    learns = rate is not None, threshold is not None
    spikes = 0 if membranes.replaces else steps
    held = steps if learns[0] else 0
    levels = steps if membranes.adaptive else 0
    # Made once: fresh memory costs more than the arithmetic done in it.
    kept = [membranes.rows, 1 if levels else steps, spikes, held, levels, max(steps - 1, 0), 0 if same else steps]
    memory = torch.empty(sum(kept), size, dtype=wide, device=x.device)
    for currents, by_spikes, target in zip(*(part.split(size, 1) for part in (x, gradient, targets)), strict=True):
        own, charged, fired, before, level, silent, buffer = memory[:, : currents.shape[1]].split(kept)
        by_current = target if same else buffer
        inputs = currents if same else by_current.copy_(currents)
        membranes.use(own, before if held else None, level if levels else None)
        charges = repeat(charged[0]) if levels else charged
        for t in membranes.steps(steps, inputs, charges, fired if spikes else None):
            if levels:
                torch.sub(charged[0], level[t], out=level[t])
        if rule.reset is not None:  # 0 where it was reset to a number
            if spikes:
                torch.eq(fired[:-1], 0, out=silent)
            else:
                torch.gt(charged[:-1], -membranes.fires_at, out=silent)
        slopes = by_spikes if same else by_current.copy_(by_spikes)
        if levels:
            _adapted(membranes, slopes, level, fired, silent, alpha, by_current)
        else:
            membranes.slope(slopes, charged, alpha, by_current)
            if learns[1]:
                by_threshold -= steepness * by_current.sum()
            by_current.mul_(membranes.by_current(steepness))
            for t in reversed(range(steps - 1)):
                if rule.reset is None:
                    by_current[t].add_(by_current[t + 1], alpha=carried)
                else:
                    by_current[t].addcmul_(by_current[t + 1], silent[t], value=carried)
            if learns[1] and rule.reset is None:
                by_threshold -= carried / gain * _products(fired[:-1], by_current[1:])
        if held:  # dU/d(1/tau) = X - (H - rest), or dU/d(leak) = H - rest
            before[0].fill_(-rule.start)
            flow = _products(before, by_current) + (rule.rest * by_current.sum() if rule.rest else 0.0)
            if rule.decay_input:
                flow += _products((own[1].copy_(current) for current in currents), by_current)
            by_rate += (flow if rule.decay_input else -flow) / gain
        if not same:
            target.copy_(by_current)
    return result, by_rate, by_threshold


def _products(ones: Iterable[Tensor], others: Tensor) -> Tensor:
    """Sum of all products, row by row, in float64."""
    rows = (torch.dot(one, other).double() for one, other in zip(ones, others, strict=True))
    return sum(rows, others.new_zeros((), dtype=torch.float64))


def _adapted(
    membranes: Membranes,
    gradient: Tensor,
    excess: Tensor,
    fired: Tensor,
    silent: Tensor,
    alpha: float,
    by_current: Tensor,
) -> None:
    """The gradient by the current where spikes raise the threshold: a[t+1] = rho a[t] + S[t] passes it on.

    Args:
        membranes: their rule.
        gradient: by what is put out.
        excess: -(U - V), T x neurons; used up.
        fired: the spikes.
        silent: 0 where the membrane was reset to a number; read up to the last step but one.
        alpha: steepness.
        by_current: where it is written; may be `gradient`.
    """
    rule, carried = membranes.rule, membranes.carried
    slope = excess.mul_(-alpha).sigmoid_()
    by_rise, flow = membranes.rise.zero_(), membranes.drive  # free by now
    last = len(excess) - 1
    for t in reversed(range(last + 1)):
        torch.add(by_rise, gradient[t], alpha=rule.height, out=flow)
        # alpha is left out of `by_current` until the end
        torch.ops.aten.sigmoid_backward.grad_input(flow, slope[t], grad_input=by_current[t])
        by_rise.mul_(rule.rho).sub_(by_current[t], alpha=rule.beta * alpha)
        if t == last:
            continue
        if rule.reset is None:
            by_current[t].add_(by_current[t + 1], alpha=carried)
            by_rise.addcmul_(fired[t], by_current[t + 1], value=-rule.beta * alpha * carried)
        else:
            by_current[t].addcmul_(by_current[t + 1], silent[t], value=carried)
    by_current.mul_(membranes.by_current(alpha))


def _plain(tau: float, threshold: float, reset: float) -> Rule:
    return Rule(tau=tau, threshold=threshold, rest=reset, reset=reset)


def lif_cpu(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """Spikes of LIF neurons (Eqs. 1-3) at rest before the first step; H[0] = 0 as in the published neurons."""
    fired = one_pass.fire(x, tau, threshold, reset)
    return fire_cpu(x, None, None, *_plain(tau, threshold, reset)) if fired is None else fired.spikes


def lif_backward_cpu(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """Gradient of `lif` by its input."""
    by_current = one_pass.gradient_of(gradient, x, tau, threshold, reset, alpha)
    if by_current is not None:
        return by_current
    return fire_backward_cpu(gradient, x, None, None, alpha, *_plain(tau, threshold, reset))[0]


@functools.cache
def kernels() -> ModuleType | None:
    """The kernels for CUDA devices; None where Triton is missing, or older than 3.3 and unable to compile them."""
    try:
        from triton import __version__

        if tuple(map(int, __version__.split(".")[:2])) < (3, 3):
            return None
        from saformer.neurons import triton as fused
    except ImportError:
        return None
    return fused


def lif_cuda(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """`lif_cpu` in one kernel where that can be."""
    fused = kernels()
    if fused is None or not fused.fits(x):
        return lif_cpu(x, tau, threshold, reset)
    return fused.forward(x, tau, threshold, reset)


def lif_backward_cuda(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """`lif_backward_cpu` in one kernel where that can be."""
    fused = kernels()
    if fused is None or not fused.fits(x):
        return lif_backward_cpu(gradient, x, tau, threshold, reset, alpha)
    return fused.backward(gradient, x, tau, threshold, reset, alpha)


# One operator for the whole neuron: whoever watches the dispatcher or a trace sees a neuron, not its arithmetic.
_library = torch.library.Library("saformer", "DEF")
_SETTINGS = (
    "str firing, bool decay_input, float tau, float leak, float rest, float threshold, float? reset, bool strict, "
    "float height, float start, int levels, float beta, float rho"
)
_library.define("lif(Tensor x, float tau, float threshold, float reset) -> Tensor")
_library.impl("lif", lif_cpu, "CompositeExplicitAutograd")
_library.impl("lif", lif_cuda, "CUDA")
_library.define(
    "lif_backward(Tensor gradient, Tensor x, float tau, float threshold, float reset, float alpha) -> Tensor"
)
_library.impl("lif_backward", lif_backward_cpu, "CompositeExplicitAutograd")
_library.impl("lif_backward", lif_backward_cuda, "CUDA")
for _name in ("integrate_and_fire", "integrate_and_activate"):
    _library.define(f"{_name}(Tensor x, Tensor? rate, Tensor? learned_threshold, {_SETTINGS}) -> Tensor")
    _library.impl(_name, fire_cpu, "CompositeExplicitAutograd")
_library.define(
    "integrate_and_fire_backward(Tensor gradient, Tensor x, Tensor? rate, Tensor? learned_threshold, float alpha, "
    f"{_SETTINGS}) -> (Tensor, Tensor, Tensor)"
)
_library.impl("integrate_and_fire_backward", fire_backward_cpu, "CompositeExplicitAutograd")


def _like(x: Tensor, *settings: Any) -> Tensor:
    """Shape and layout of what neurons put out, for tracing without data: those of `x`."""
    return torch.empty_like(planes(x))


def _backward_like(gradient: Tensor, x: Tensor, *settings: Any) -> Tensor:
    return _like(x)


def _gradients_like(gradient: Tensor, x: Tensor, *settings: Any) -> tuple[Tensor, Tensor, Tensor]:
    by_rate, by_threshold = (torch.empty((), dtype=torch.float64, device=x.device) for _ in range(2))
    return _like(x), by_rate, by_threshold


_library.impl("lif", _like, "Meta")
_library.impl("lif_backward", _backward_like, "Meta")
_library.impl("integrate_and_fire", _like, "Meta")
_library.impl("integrate_and_activate", _like, "Meta")
_library.impl("integrate_and_fire_backward", _gradients_like, "Meta")
lif = torch.ops.saformer.lif.default
fire = torch.ops.saformer.integrate_and_fire.default
activate = torch.ops.saformer.integrate_and_activate.default


def run(x: Tensor, rate: Tensor | None, threshold: Tensor | None, rule: Rule) -> Tensor:
    """What neurons put out, by the operator that has this rule."""
    if rule.plain and rate is None and threshold is None:
        assert rule.reset is not None
        return lif(x, rule.tau, rule.threshold, rule.reset)
    operator = activate if rule.firing in ANALOG else fire
    return operator(x, rate, threshold, *rule)


class Firing(torch.autograd.Function):
    """Joins the operators with their surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: Tensor | None, threshold: Tensor | None, alpha: float, *rule: Any) -> Tensor:
        """What the neurons put out; the settings of a `Rule` come last."""
        ctx.save_for_backward(x, rate, threshold)
        ctx.alpha, ctx.rule = alpha, rule
        return run(x, rate, threshold, Rule(*rule))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients by the input and by what is learned."""
        x, *learned = ctx.saved_tensors
        rule, nothing = Rule(*ctx.rule), (None,) * (1 + len(ctx.rule))
        if rule.plain and learned == [None, None]:
            settings = (rule.tau, rule.threshold, rule.reset, ctx.alpha)
            return (torch.ops.saformer.lif_backward(gradient, x, *settings), None, None, *nothing)
        by_x, *by_learned = torch.ops.saformer.integrate_and_fire_backward(gradient, x, *learned, ctx.alpha, *rule)
        pairs = zip(learned, by_learned, strict=True)
        return (by_x, *(None if one is None else by.to(one).reshape(one.shape) for one, by in pairs), *nothing)
