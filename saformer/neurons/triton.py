"""The LIF neuron on a CUDA device: one Triton kernel for all T steps forwards, one backwards.

Membranes live in registers. Forwards reads the current and writes the spikes; backwards reads the current and the
gradient and writes the gradient: nothing else goes through memory, whatever T.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from saformer.neurons.layout import laid_out_as, planes

#: Steps are unrolled, and backwards all membranes of a neuron are held at once: more steps would spill.
MAX_STEPS = 32

#: Four for each thread, which is one transfer of 16 bytes in float32.
NEURONS_PER_PROGRAM = 512

_WIDE = {
    torch.float16: tl.float32,
    torch.bfloat16: tl.float32,
    torch.float32: tl.float32,
    torch.float64: tl.float64,
}


@triton.jit
def _charge(membrane, current, TAU: tl.constexpr, RESET: tl.constexpr, EXACT: tl.constexpr):
    """Eq. 1, with the roundings of the CPU: no multiplication that a fused multiply-add could round otherwise."""
    difference = current - (membrane - RESET)
    if EXACT:  # tau is a power of two: times 1/tau is the same number as division by tau
        change = difference * (1.0 / TAU)
    elif difference.dtype == tl.float64:
        change = difference / TAU
    else:  # the plain division of float32 is an approximation
        change = tl.div_rn(difference, tl.full(difference.shape, TAU, tl.float32))
    return membrane + change


@triton.jit
def forward_kernel(
    x,
    spikes,
    N,
    T: tl.constexpr,
    TAU: tl.constexpr,
    THRESHOLD: tl.constexpr,
    RESET: tl.constexpr,
    EXACT: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Eqs. 1-3 for BLOCK neurons, all T steps: reads the current, writes the spikes."""
    neuron = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = neuron < N
    membrane = tl.zeros((BLOCK,), WIDE)
    for _ in tl.static_range(T):
        current = tl.load(x + neuron, inside, 0.0).to(WIDE)
        membrane = _charge(membrane, current, TAU, RESET, EXACT)
        fired = membrane >= THRESHOLD
        tl.store(spikes + neuron, fired.to(WIDE).to(spikes.dtype.element_ty), inside)
        membrane = tl.where(fired, RESET, membrane)
        x += N
        spikes += N


@triton.jit
def backward_kernel(
    gradient,
    x,
    result,
    N,
    T: tl.constexpr,
    TAU: tl.constexpr,
    THRESHOLD: tl.constexpr,
    RESET: tl.constexpr,
    ALPHA: tl.constexpr,
    EXACT: tl.constexpr,
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradient of `forward_kernel` by the current: sigmoid surrogate, the reset detached (`lif_backward`)."""
    neuron = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = neuron < N
    membrane = tl.zeros((BLOCK,), WIDE)
    charged = ()
    for _ in tl.static_range(T):
        current = tl.load(x + neuron, inside, 0.0).to(WIDE)
        membrane = _charge(membrane, current, TAU, RESET, EXACT)
        charged = charged + (membrane,)  # type: ignore[assignment]  # noqa: RUF005
        membrane = tl.where(membrane >= THRESHOLD, RESET, membrane)
        x += N
        gradient += N
        result += N
    by_current = tl.zeros((BLOCK,), WIDE)
    for step in tl.static_range(T):
        gradient -= N
        result -= N
        potential = charged[T - 1 - step]  # type: ignore[var-annotated]
        slope = tl.sigmoid(ALPHA * (potential - THRESHOLD))
        by_spikes = tl.load(gradient + neuron, inside, 0.0).to(WIDE)
        carried = tl.where(potential < THRESHOLD, (1.0 - 1.0 / TAU) * by_current, 0.0)
        by_current = (ALPHA / TAU) * (by_spikes * slope * (1.0 - slope)) + carried
        tl.store(result + neuron, by_current.to(result.dtype.element_ty), inside)


def fits(x: Tensor) -> bool:
    """Whether the kernels can take a current of T x ..."""
    return x.dtype in _WIDE and 0 < len(x) <= MAX_STEPS and x.numel() > 0


def _launch(kernel: Any, tensors: list[Tensor], tau: float, **settings: float) -> None:
    x = tensors[0]
    neurons = x[0].numel()
    with torch.cuda.device_of(x):
        kernel[(triton.cdiv(neurons, NEURONS_PER_PROGRAM),)](
            *tensors,
            neurons,
            T=len(x),
            TAU=tau,
            EXACT=math.frexp(tau)[0] == 0.5,
            WIDE=_WIDE[x.dtype],
            BLOCK=NEURONS_PER_PROGRAM,
            # Settings are compiled in: a float argument would reach the kernel in single precision.
            **settings,
        )


def forward(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """`saformer.neurons.lif` on a CUDA device, bit for bit."""
    x = planes(x)
    spikes = torch.empty_like(x)
    _launch(forward_kernel, [x, spikes], tau, THRESHOLD=threshold, RESET=reset)
    return spikes


def backward(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """Its gradient by `x`, to rounding."""
    x = planes(x)
    gradient, result = laid_out_as(x, gradient), torch.empty_like(x)
    _launch(backward_kernel, [gradient, x, result], tau, THRESHOLD=threshold, RESET=reset, ALPHA=alpha)
    return result
