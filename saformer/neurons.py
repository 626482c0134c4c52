"""The leaky integrate-and-fire neuron (Eqs. 1-3), multi-step, without state between calls."""

import math

import torch
from torch import Tensor, nn

# Elements per pass on a CPU. A step is five passes over the membrane; with blocks of this size the membrane
# and the current step stay in the cache between them, which halves the time of a whole-tensor loop.
_CPU_BLOCK = 1 << 18


def _charge(membrane: Tensor, current: Tensor, scratch: Tensor, tau: float, reset: float) -> None:
    """Eq. 1 in place: membrane += (current - (membrane - reset)) / tau."""
    if reset:
        torch.sub(membrane, reset, out=scratch)
        torch.sub(current, scratch, out=scratch)
    else:
        torch.sub(current, membrane, out=scratch)
    if math.frexp(tau)[0] == 0.5:  # a power of two: times 1/tau is the same number as division by tau
        membrane.add_(scratch, alpha=1.0 / tau)
    else:
        membrane.add_(scratch.div_(tau))


def _reset(membrane: Tensor, spikes: Tensor, reset: float) -> None:
    """Eq. 3 in place: membrane = reset * spikes + membrane * (1 - spikes)."""
    membrane.addcmul_(membrane, spikes, value=-1.0)
    if reset:
        membrane.add_(spikes, alpha=reset)


def _blocks(x: Tensor) -> list[slice]:
    """Ranges of the flattened neurons that one pass works on."""
    size = x[0].numel()
    step = _CPU_BLOCK if x.device.type == "cpu" else max(size, 1)
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _lif(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """Spikes of LIF neurons at rest before the first step.

    Args:
        x: input current, T x ..., floating.
        tau: membrane time constant, in steps.
        threshold: V_th; a neuron fires where its membrane reaches it.
        reset: V_reset, the membrane after a spike (H[0] = 0 as in the published neurons).

    Returns:
        Spikes of the shape and type of `x`, each 0 or 1.
    """
    x = x.contiguous()
    spikes = torch.empty_like(x)
    flat_x, flat_spikes = x.flatten(1), spikes.flatten(1)
    for block in _blocks(flat_x):
        membrane = torch.zeros_like(flat_x[0, block])
        scratch = torch.empty_like(membrane)
        for current, fired in zip(flat_x[:, block], flat_spikes[:, block], strict=True):
            _charge(membrane, current, scratch, tau, reset)
            torch.ge(membrane, threshold, out=fired)
            _reset(membrane, fired, reset)
    return spikes


def _lif_backward(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """Gradient of `lif` by its input: sigmoid surrogate, the reset detached from the graph.

    The membranes are computed again from the input: cheaper than keeping T of them per layer.
    """
    x, gradient = x.contiguous(), gradient.contiguous()
    result = torch.empty_like(x)
    flat_x, flat_gradient, flat_result = x.flatten(1), gradient.flatten(1), result.flatten(1)
    steps = len(flat_x)
    for block in _blocks(flat_x):
        membrane = torch.zeros_like(flat_x[0, block])
        scratch = torch.empty_like(membrane)
        charged, fired = torch.empty_like(flat_x[:, block]), torch.empty_like(flat_x[:, block])
        for t in range(steps):
            _charge(membrane, flat_x[t, block], scratch, tau, reset)
            charged[t].copy_(membrane)
            torch.ge(membrane, threshold, out=fired[t])
            _reset(membrane, fired[t], reset)
        # dS/dU = alpha * s * (1 - s) with s = sigmoid(alpha * (U - V_th))
        slope = charged.sub_(threshold).mul_(alpha).sigmoid_()
        slope.addcmul_(slope, slope, value=-1.0).mul_(alpha)
        carried = torch.zeros_like(membrane)  # gradient by the membrane after the reset, H[t]
        for t in reversed(range(steps)):
            carried.addcmul_(carried, fired[t], value=-1.0)
            carried.addcmul_(flat_gradient[t, block], slope[t])
            torch.mul(carried, 1.0 / tau, out=flat_result[t, block])
            carried.mul_(1.0 - 1.0 / tau)
    return result


# One operator for the whole neuron: whoever watches the dispatcher or a trace sees a neuron, not its arithmetic.
_library = torch.library.Library("saformer", "DEF")
_library.define("lif(Tensor x, float tau, float threshold, float reset) -> Tensor")
_library.impl("lif", _lif, "CompositeExplicitAutograd")
_library.define(
    "lif_backward(Tensor gradient, Tensor x, float tau, float threshold, float reset, float alpha) -> Tensor"
)
_library.impl("lif_backward", _lif_backward, "CompositeExplicitAutograd")


def _like(*args: Tensor | float) -> Tensor:
    """Shape of either operator's result, for tracing without data: that of `x`."""
    x = next(arg for arg in reversed(args) if isinstance(arg, Tensor))
    return torch.empty_like(x, memory_format=torch.contiguous_format)


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
