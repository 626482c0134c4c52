"""The leaky integrate-and-fire neuron (Eqs. 1-3), multi-step, without state between calls."""

import functools
import math
from collections.abc import Iterable, Iterator
from itertools import repeat
from types import ModuleType

import torch
from torch import Tensor, nn

from saformer.neurons.layout import flat, laid_out_as, planes

# Neurons per pass on a CPU, for each thread. A step is several passes over the membrane; with blocks of this size the
# membrane and the current step stay in the cache between them, which halves the time of a whole-tensor loop.
CPU_BLOCK = 1 << 17


def _membrane_type(x: Tensor) -> torch.dtype:
    """Half precision has too few digits to integrate in: membranes and their gradients are float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def _charged(
    currents: Iterable[Tensor], rows: Iterable[Tensor], vectors: Tensor, tau: float, threshold: float, reset: float
) -> Iterator[Tensor]:
    """Eqs. 1 and 3 from rest: the membranes after charging at each step, with their sign changed.

    Changed, because then one operator resets: `torch.threshold` replaces what does not exceed a number. Few operators
    matter, for threads wait for one another after each. No rounding is affected.

    Args:
        currents: X[t] for each step.
        rows: memory for each step, where -U[t] = -H[t-1] - (X[t] - (H[t-1] - V_reset)) / tau is written; it may be the
            same for all.
        vectors: memory for two more.
        tau: membrane time constant.
        threshold: V_th.
        reset: V_reset.
    """
    membrane, drive = vectors
    exact = math.frexp(tau)[0] == 0.5  # a power of two: times 1/tau is the same number as division by tau
    before = None
    for current, charge in zip(currents, rows, strict=True):
        if before is None:  # H[0] = 0
            start = torch.add(current, reset, out=drive) if reset else current
            torch.mul(start, -1.0 / tau, out=charge) if exact else torch.div(start, -tau, out=charge)
        else:
            torch.threshold(before, -threshold, -reset, out=membrane)
            if reset:
                torch.add(membrane, reset, out=drive).add_(current)
            else:
                torch.add(current, membrane, out=drive)
            if exact:
                torch.sub(membrane, drive, alpha=1.0 / tau, out=charge)
            else:
                torch.sub(membrane, drive.div_(tau), out=charge)
        before = charge
        yield charge


def _block(x: Tensor) -> int:
    """How many of the neurons of T x neurons one pass works on; at least 1."""
    size = max(x.shape[1], 1)
    return min(CPU_BLOCK * torch.get_num_threads(), size) if x.device.type == "cpu" else size


def lif_cpu(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """Spikes of LIF neurons at rest before the first step.

    Args:
        x: input current, T x ..., floating.
        tau: membrane time constant, in steps.
        threshold: V_th; a neuron fires where its membrane reaches it.
        reset: V_reset, the membrane after a spike (H[0] = 0 as in the published neurons).

    Returns:
        Spikes of the shape and type of `x`, each 0 or 1. The membrane is float32 where `x` is narrower.
    """
    x = planes(x)
    spikes = torch.empty_like(x)
    x, fired_at = flat(x), flat(spikes)
    wide, size = _membrane_type(x), _block(x)
    memory = torch.empty(4 if x.dtype != wide else 3, size, dtype=wide, device=x.device)
    for inputs, outputs in zip(x.split(size, 1), fired_at.split(size, 1), strict=True):
        rows = memory[:, : inputs.shape[1]]
        currents = inputs if x.dtype == wide else (rows[3].copy_(current) for current in inputs)
        steps = _charged(currents, repeat(rows[2], len(x)), rows[:2], tau, threshold, reset)
        for charged, fired in zip(steps, outputs, strict=True):
            torch.le(charged, -threshold, out=fired)  # Eq. 2: U >= V_th
    return spikes


def lif_backward_cpu(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """Gradient of `lif` by its input: sigmoid surrogate, the reset detached from the graph.

    With s = sigmoid(alpha (U - V_th)), dS/dU = alpha s (1 - s); and since dU[t+1]/dH[t] = 1 - 1/tau and
    dU[t]/dX[t] = 1/tau, backwards from T:

        dX[t] = alpha/tau s[t] (1 - s[t]) dS[t] + (1 - 1/tau) (1 - S[t]) dX[t+1]

    The membranes are computed again from the input: cheaper than keeping T of them per layer.
    """
    x = planes(x)
    result = torch.empty_like(x)
    x, gradient, targets = flat(x), flat(laid_out_as(x, gradient)), flat(result)
    wide, steps, size = _membrane_type(x), len(x), _block(x)
    same = x.dtype == wide
    # Made once: fresh memory costs more than the arithmetic done in it.
    memory = torch.empty(3 * steps + 1, size, dtype=wide, device=x.device)
    offset = memory.new_full((), -alpha * threshold)
    pieces = (tensor.split(size, 1) for tensor in (x, gradient, targets))
    for currents, by_spikes, target in zip(*pieces, strict=True):
        vectors, charged, silent, buffer = memory[:, : currents.shape[1]].split([2, steps, steps - 1, steps])
        by_current = target if same else buffer
        for _ in _charged(currents if same else charged.copy_(currents), charged, vectors, tau, threshold, reset):
            pass
        torch.gt(charged[:-1], -threshold, out=silent)
        slope = torch.add(offset, charged, alpha=-alpha, out=charged).sigmoid_()
        # sigmoid_backward(d, s) = d s (1 - s), in one pass
        torch.ops.aten.sigmoid_backward.grad_input(
            by_spikes if same else buffer.copy_(by_spikes), slope, grad_input=by_current
        )
        by_current.mul_(alpha / tau)
        for t in reversed(range(steps - 1)):
            by_current[t].addcmul_(by_current[t + 1], silent[t], value=1.0 - 1.0 / tau)
        if not same:
            target.copy_(buffer)
    return result


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
_library.define("lif(Tensor x, float tau, float threshold, float reset) -> Tensor")
_library.impl("lif", lif_cpu, "CompositeExplicitAutograd")
_library.impl("lif", lif_cuda, "CUDA")
_library.define(
    "lif_backward(Tensor gradient, Tensor x, float tau, float threshold, float reset, float alpha) -> Tensor"
)
_library.impl("lif_backward", lif_backward_cpu, "CompositeExplicitAutograd")
_library.impl("lif_backward", lif_backward_cuda, "CUDA")


def _like(*args: Tensor | float) -> Tensor:
    """Shape and layout of either operator's result, for tracing without data: those of `x`."""
    x = next(arg for arg in reversed(args) if isinstance(arg, Tensor))
    return torch.empty_like(planes(x))


_library.impl("lif", _like, "Meta")
_library.impl("lif_backward", _like, "Meta")
lif = torch.ops.saformer.lif.default


class _LIFFunction(torch.autograd.Function):
    """Joins `lif` with its surrogate gradient."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        x: Tensor,
        tau: float,
        threshold: float,
        reset: float,
        alpha: float,
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.settings = (tau, threshold, reset, alpha)  # type: ignore[attr-defined]
        return lif(x, tau, threshold, reset)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return (torch.ops.saformer.lif_backward(gradient, x, *ctx.settings), None, None, None, None)  # type: ignore[attr-defined]


class LIF(nn.Module):
    """A layer of leaky integrate-and-fire neurons (Eqs. 1-3), all T steps in one call.

    Charge `U[t] = H[t-1] + (X[t] - (H[t-1] - V_reset)) / tau`, fire `S[t] = 1{U[t] >= V_th}`, hard reset
    `H[t] = V_reset S[t] + U[t] (1 - S[t])`, from rest (`H[0] = 0`) at every call. The gradient is that of a
    sigmoid of steepness `alpha`, with the reset detached.

    Args:
        threshold: V_th; 1.0, and 0.5 in the neuron that follows an attention product.
        tau: membrane time constant, in steps.
        reset: V_reset.
        alpha: steepness of the surrogate gradient.
    """

    def __init__(self, threshold: float = 1.0, tau: float = 2.0, reset: float = 0.0, alpha: float = 4.0) -> None:
        super().__init__()
        self.threshold, self.tau, self.reset, self.alpha = threshold, tau, reset, alpha

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (0 or 1) of the shape of `x`, T x B x ..."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _LIFFunction.apply(x, self.tau, self.threshold, self.reset, self.alpha)
        return lif(x, self.tau, self.threshold, self.reset)

    def extra_repr(self) -> str:
        """The settings, as `print(model)` shows them."""
        return f"threshold={self.threshold}, tau={self.tau}, reset={self.reset}"
