"""The LIF neuron on a CPU in one pass over memory, by the compiled library; spikes are counted on the way."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from saformer.native.passes import MOST_STEPS, Affine, fits, native, words_for
from saformer.neurons.layout import flat, laid_out_as, planes
from saformer.neurons.rule import exact


class Use:
    """Whether somebody used what was written beside spikes."""

    __slots__ = ("words",)

    def __init__(self) -> None:
        self.words = False


@dataclass(frozen=True)
class Fired:
    """What one pass shows.

    Args:
        spikes: of the shape of the currents.
        counts: how many at each step in each image, T x B, int64; None where an image's are not side by side.
        finite: all currents are finite.
        words: a bit for each spike, in the order of their memory (int16), if they were asked for; None where runs of
            them are no multiples of 16.
        use: what was used of it.
    """

    spikes: Tensor
    counts: Tensor | None
    finite: bool
    words: Tensor | None = None
    use: Use = field(default_factory=Use)


def fire(
    x: Tensor,
    tau: float,
    threshold: float,
    reset: float,
    *,
    norm: Affine | None = None,
    result: Tensor | None = None,
    in_words: bool = False,
) -> Fired | None:
    """Spikes of LIF neurons (Eqs. 1-3), T x B x ...; None where the library does not fit.

    Args:
        x: currents, or, with `norm`, what makes them, contiguous.
        tau: membrane time constant.
        threshold: V_th.
        reset: V_reset, and rest.
        norm: how it makes them.
        result: where spikes are written, laid out as `x`; may be `x`. New memory unless given.
        in_words: give the spikes by a bit each, too.
    """
    if not (fits(x) and x.numel()) or (library := native()) is None:
        return None
    x = planes(x)
    spikes = torch.empty_like(x) if result is None else result
    images = x.shape[1] if x.ndim > 1 else 1
    apart = images == 1 or x.stride(1) * images * len(x) == x.numel()
    segments = images if apart else 1
    words = None
    if in_words and _run(x, segments, norm) % 16 == 0:
        words = words_for(x)
    counts, finite = library.lif(flat(x), flat(spikes), segments, tau, threshold, reset, exact(tau), norm, words)
    return Fired(spikes, counts if apart else None, finite, words)


def _run(x: Tensor, segments: int, norm: Affine | None) -> int:
    """Neurons that one loop goes over: of one channel, of all channels at one place, or of a segment."""
    if norm is None:
        return x[0].numel() // segments
    return norm.inner if norm.inner > 1 else norm.slope.numel()


def gradient_of(gradient: Tensor, x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor | None:
    """Gradient by the currents of that by the spikes; None where the library does not fit."""
    if not (fits(x) and fits(gradient) and x.numel() and len(x) <= MOST_STEPS) or (library := native()) is None:
        return None
    x = planes(x)
    result = torch.empty_like(x)
    library.lif_backward(
        flat(laid_out_as(x, gradient)), flat(x), flat(result), tau, threshold, reset, alpha, exact(tau)
    )
    return result
