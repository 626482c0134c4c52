"""Attention-free Spikformer: a fixed Fourier or wavelet transform over channels and tokens in the place of SSA.

Its mixing is no registered attention (`saformer/attention/`): the work of a transform depends on the prime factors of
its length, which no formula in N and D holds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.recognition import Published, common_settings
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, TransformerConfig
from saformer.models.transformers.spikformer import MLP, TokenBody
from saformer.neurons import LIF


class Fourier(nn.Module):
    """The discrete Fourier transform of the last axis but that of the parts, by its prime factors (Cooley and Tukey).

    The stage of a factor r multiplies n/r groups of r complex values with r x r complex matrices, each made of four
    real ones: 4 r n operations. Where real values come in, the first stage has half as many, and where only the real
    part is kept, the last. For n a power of two that is O(n log n), as the paper says. The matrices are constants.

    Args:
        length: n.
        from_real: one part comes in, not two (real and imaginary).
        to_real: one part goes out.
    """

    def __init__(self, length: int, from_real: bool, to_real: bool) -> None:
        super().__init__()
        self.length, self.factors = length, _prime_factors(length)
        rest = length
        for i, factor in enumerate(self.factors):
            span, rest = rest, rest // factor
            out, at, first = torch.arange(factor), torch.arange(rest), torch.arange(factor)
            # The sum over what lies `rest` apart, and the turn that each result takes: one angle for (at, first, out).
            turns = (first[None, :, None] * rest + at[:, None, None]) * out[None, None, :]
            angle = -2 * math.pi / span * (turns % span).double()
            cos, sin = angle.cos(), angle.sin()
            # Rows: real and imaginary input; columns: real and imaginary output.
            parts = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], 2)
            kept_in = 1 if from_real and i == 0 else 2
            kept_out = 1 if to_real and i == len(self.factors) - 1 else 2
            matrix = parts[:, :, :kept_in, :, :kept_out].reshape(rest, factor * kept_in, factor * kept_out)
            self.register_buffer(f"stage{i}", matrix.to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """rows x n x parts -> rows x n x parts."""
        rows, rest = len(x), self.length
        for i, factor in enumerate(self.factors):
            rest //= factor
            groups = x.unflatten(1, (factor, rest)).permute(2, 0, 1, 3).flatten(2)
            done = torch.bmm(groups, self.get_buffer(f"stage{i}"))
            x = done.unflatten(2, (factor, -1)).permute(1, 2, 0, 3).flatten(0, 1)
        # Digits of the frequency come out in the reverse order of the factors.
        x = x.reshape(rows, *self.factors, x.shape[-1])
        digits = range(len(self.factors), 0, -1)
        return x.permute(0, *digits, len(self.factors) + 1).reshape(rows, self.length, -1)


def _prime_factors(number: int) -> list[int]:
    factors, candidate = [], 2
    while number > 1:
        while number % candidate == 0:
            factors.append(candidate)
            number //= candidate
        candidate += 1
    # The largest first: the first stage has real values and half the operations.
    return factors[::-1] or [1]


class FourierMixing(nn.Module):
    """Real part of the two-dimensional Fourier transform over channels and tokens, ... x N x D."""

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.channels = Fourier(dim, from_real=True, to_real=False)
        self.tokens = Fourier(tokens, from_real=False, to_real=True)

    def forward(self, x: Tensor) -> Tensor:
        """Real values in the layout of the input."""
        tokens, dim = x.shape[-2:]
        y = self.channels(x.reshape(-1, dim, 1)).unflatten(0, (-1, tokens))
        y = self.tokens(y.transpose(1, 2).flatten(0, 1))
        return y.reshape(-1, dim, tokens).transpose(1, 2).reshape(x.shape)


class WaveletMixing(nn.Module):
    """One level of the Haar transform over channels, then over tokens, ... x N x D: sums first, then differences.

    Each axis takes two operations for each element.
    """

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        if tokens % 2 or dim % 2:
            raise InputError(f"affspikformer: wavelet takes an even number of tokens, got {tokens}: set pooling")
        haar = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) * 0.5**0.5
        for axis in ("channels", "tokens"):
            self.register_buffer(axis, haar.clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Real values in the layout of the input."""
        y = (x.unflatten(-1, (-1, 2)) @ self.get_buffer("channels")).transpose(-1, -2).flatten(-2).transpose(-1, -2)
        return (y.unflatten(-1, (-1, 2)) @ self.get_buffer("tokens")).transpose(-1, -2).flatten(-2).transpose(-1, -2)


_MIXINGS = {"fourier": FourierMixing, "wavelet": WaveletMixing}


@dataclass(frozen=True, kw_only=True)
class AFFSpikformerConfig(TransformerConfig):
    """Settings of the attention-free Spikformer.

    Args:
        mixing: "fourier" or "wavelet", the transform that mixes channels and tokens.
    """

    mixing: str = "fourier"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("mixing", _MIXINGS)


class Mixing(nn.Module):
    """S(BN(transform of X)): spikes from sums of spikes, without a weight but those of BatchNorm."""

    def __init__(self, config: AFFSpikformerConfig) -> None:
        super().__init__()
        self.transform = _MIXINGS[config.mixing](config.tokens, config.dim)
        self.bn = nn.BatchNorm1d(config.dim)
        self.lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D."""
        return self.lif(self.bn(self.transform(x).flatten(0, 2)).view_as(x))


class Block(nn.Module):
    """X = X + mixing(X); X = X + MLP(X), sums of spikes."""

    def __init__(self, config: AFFSpikformerConfig) -> None:
        super().__init__()
        self.mixing = config.make_attention("linear", "spikes", "spikes", own=lambda: Mixing(config))
        self.mlp = MLP(config.dim, config.hidden, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D."""
        x = x + self.mixing(x)
        return x + self.mlp(x)


@register_model(
    "affspikformer",
    title="Attention-free Spikformer, Fourier or wavelet transform",
    config=AFFSpikformerConfig,
    presets={"affspikformer-4-384": {**CIFAR}, "affspikformer-2-256": {**EVENTS}},
)
class AFFSpikformer(TokenBody):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    After "Attention-free Spikformer: Mixing Spike Sequences with Simple Linear Transforms" (arXiv 2308.02557), whose
    code is not public. The paper decides: the body of Spikformer, an unparameterised transform instead of SSA,
    log-linear cost. Decided here: the transform runs over channels and tokens and its real part goes on, BatchNorm and
    a neuron follow, the Fourier transform is not scaled, the wavelets are Haar's at one level.
    """

    def __init__(self, config: AFFSpikformerConfig) -> None:
        super().__init__(config, (Block(config) for _ in range(config.depth)))

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """A mixing of which BatchNorm alone has weights; the transform does not show."""
        if "block.0.mixing.bn.weight" not in weights:
            return None
        common = common_settings(weights, "patch_embed.proj_conv.weight", "block.0.mlp.fc1_linear.weight")
        return Published(common, {"mixing": "fourier"})
