"""Parts of plain convolutional networks that PyTorch has not: encoders, standardised weights, filtered spikes."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.errors import InputError
from saformer.neurons import IF


class PoissonEncoder(nn.Module):
    """Spikes of both signs: sign(x) where rate |x| is at least a number drawn from 0 to 1, and 0 elsewhere.

    The numbers are the same in every call and for every image, so that a result depends on its image alone.

    Args:
        rate: spikes per step where |x| = 1.
        seed: of the numbers.
    """

    def __init__(self, rate: float, seed: int) -> None:
        super().__init__()
        self.rate, self.seed = rate, seed

    def forward(self, x: Tensor) -> Tensor:
        """-1, 0 and 1 in the shape of `x`, T x B x C x H x W."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (len(x), 1, *x.shape[2:])
        drawn = torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu").to(x.device, x.dtype)
        return (drawn <= x.abs() * self.rate).to(x.dtype) * x.sign()


class DelayedIF(IF):
    """Neurons that do not leak and reset by subtraction; the spikes of step t are put out at step t + 1."""

    def __init__(self, threshold: float) -> None:
        super().__init__(threshold, None, strict=True)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the shape of `x`, T x B x ..., none at the first step."""
        spikes = super().forward(x)
        return torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])


def check_leak(stored: Mapping[str, Any]) -> None:
    """Raise InputError where a checkpoint of hybrid conversion says that its neurons leak: `DelayedIF` does not."""
    if stored.get("leak", 1.0) != 1.0:
        raise InputError(
            f"its neurons leak, by a factor of {stored['leak']} a step, and only those that do not are known here: run "
            "its own code with these weights, --model package.module:factory --ckpt FILE"
        )


class Trace(nn.Module):
    """Spikes filtered by a synapse, `a[t] = a[t-1] + (S[t] - a[t-1]) / tau` from `a = 0`.

    Args:
        tau: time constant in steps.
    """

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.tau = tau

    def forward(self, x: Tensor) -> Tensor:
        """Traces of the shape of `x`, T x B x ..."""
        trace, traces = torch.zeros_like(x[0]), []
        for spikes in x:
            trace = trace + (spikes - trace) / self.tau
            traces.append(trace)
        return torch.stack(traces)


class StandardisedConv2d(nn.Conv2d):
    """A convolution with weights `gain (w - mean(w)) / sqrt(n var(w) + 1e-4)`, of each output channel with n inputs."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)
        self.gain = nn.Parameter(torch.ones(outputs, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> B x C' x H x W."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True)
        fan_in = self.weight[0].numel()
        weight = (self.weight - mean) / (variance * fan_in + 1e-4).sqrt() * self.gain
        return F.conv2d(x, weight, self.bias, padding=1)


class NormOfEachStep(nn.ModuleList):
    """BatchNorm through time (BNTT, Kim & Panda 2021): one of each step, scales without offsets."""

    def __init__(self, norms: Iterable[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__(norms)
        for norm in self:
            norm.register_parameter("bias", None)

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`, T x B x C x ..."""
        return torch.stack([norm(current) for norm, current in zip(self, x, strict=True)])


class SteadyDropout(nn.Module):
    """Dropout that leaves out the same values at all steps.

    Args:
        share: of the values that are left out in training.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`, T x B x ..."""
        return x * F.dropout(torch.ones_like(x[0]), self.share) if self.training else x


class SumPool(nn.Module):
    """1.1 times the sum of 2 x 2 values (TSSL-BP, which writes it as a convolution of fixed weights)."""

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> B x C x H/2 x W/2."""
        return F.avg_pool2d(x, 2, divisor_override=1) * 1.1
