"""`saformer::norm_lif_`: BatchNorm in evaluation and the LIF neurons behind it in one pass over memory, in place.

Fresh memory costs more than the arithmetic: spikes are written over what BatchNorm reads.

BatchNorm is then a factor and a summand for each channel, which are taken from PyTorch's own, and rounded as its are:
the spikes are the same, bit for bit.
"""

import functools
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from saformer.native.passes import Affine, fits
from saformer.neurons import one_pass
from saformer.neurons.integrate_and_fire import lif


class Normalised(NamedTuple):
    """Arguments of `saformer::norm_lif_`.

    Args:
        x: what BatchNorm reads, T x B x ..., contiguous; then the spikes.
        weight: of BatchNorm.
        bias: of BatchNorm.
        mean: running mean.
        var: running variance.
        eps: of BatchNorm.
        channel: the dimension of channels: 2, or the last.
        tau: membrane time constant.
        threshold: V_th.
        reset: V_reset, and rest.
    """

    x: Tensor
    weight: Tensor | None
    bias: Tensor | None
    mean: Tensor
    var: Tensor
    eps: float
    channel: int
    tau: float
    threshold: float
    reset: float

    def normalise(self) -> Tensor:
        """What BatchNorm puts out, in the shape of `x`."""
        rows = self.x.flatten(0, 1 if self.channel == 2 else -2)
        return F.batch_norm(rows, self.mean, self.var, self.weight, self.bias, False, 0.0, self.eps).view_as(self.x)

    def fire(self, in_words: bool = False) -> one_pass.Fired | None:
        """Write the spikes over `x` in one pass, each in a bit, too, if asked; None where the library does not fit."""
        fused = rounded_once()
        if fused is None or not (fits(self.x) and self.x.is_contiguous()):
            return None
        zero, one = torch.zeros_like(self.mean)[None], torch.ones_like(self.mean)[None]
        shift = F.batch_norm(zero, self.mean, self.var, self.weight, self.bias, False, 0.0, self.eps)
        slope = F.batch_norm(one, zero[0], self.var, self.weight, None, False, 0.0, self.eps)
        inner = self.x[0, 0, 0].numel() if self.channel == 2 else 1
        norm = Affine(slope, shift, inner, fused)
        return one_pass.fire(self.x, self.tau, self.threshold, self.reset, norm=norm, result=self.x, in_words=in_words)


@functools.cache
def rounded_once() -> bool | None:
    """Whether PyTorch's BatchNorm rounds x slope + shift once, or twice; None if it does neither."""
    generator = torch.Generator().manual_seed(0)
    found = set()
    # One plane for each channel, channels side by side; neither is a multiple of a vector.
    for shape in ((5, 67, 9, 3), (135, 67)):
        x = torch.randn(shape, generator=generator)
        slope, shift = torch.randn(2, 67, generator=generator).unbind()
        mean, var = torch.zeros(67), torch.ones(67)
        out = F.batch_norm(x, mean, var, slope, shift, False, 0.0, 0.0)
        slope, shift = (one.view(-1, *[1] * (x.ndim - 2)) for one in (slope, shift))
        twice = x * slope + shift
        once = (x.double() * slope.double() + shift.double()).float()  # the product is exact in float64
        found.add(True if out.equal(once) else False if out.equal(twice) else None)
    return found.pop() if len(found) == 1 else None


def _norm_lif(*args: Any) -> Tensor:
    given = Normalised(*args)
    if given.fire() is None:
        given.x.copy_(lif(given.normalise(), given.tau, given.threshold, given.reset))
    return given.x


_library = torch.library.Library("saformer", "FRAGMENT")
_library.define(
    "norm_lif_(Tensor(a!) x, Tensor? weight, Tensor? bias, Tensor mean, Tensor var, float eps, int channel, float tau, "
    "float threshold, float reset) -> Tensor(a!)"
)
_library.impl("norm_lif_", _norm_lif, "CompositeExplicitAutograd")
norm_lif_ = torch.ops.saformer.norm_lif_.default
