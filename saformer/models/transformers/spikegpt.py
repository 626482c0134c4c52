"""SpikeGPT: a language model, RWKV's recurrence over the tokens with spikes between the blocks.

The recurrence is no registered attention (`saformer/attention/`): its tokens are the time steps, not a grid at each.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, TokenConfig
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.naming import named
from saformer.neurons import LIF

#: Tokens of the tokenizer of GPT-NeoX, which the released network of 216M parameters was trained with.
_NEOX = 50277


@dataclass(frozen=True, kw_only=True)
class SpikeGPTConfig(TokenConfig):
    """Settings of SpikeGPT.

    Args:
        depth: blocks.
        dim: embedding dimension D.
        binary_embedding: the embedding is made spikes, 1 where it is not negative, as in the paper and the training
            code; the released inference code for 50,277 tokens reads it as it is.
    """

    without: ClassVar[Mapping[str, str]] = {
        "attention": "a recurrence over the tokens (WKV) stands where transformers have attention"
    }

    num_classes: int = _NEOX
    time_steps: int = 1024
    depth: int
    dim: int
    binary_embedding: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("depth", "dim")


def _before(x: Tensor) -> Tensor:
    """What each token reads of the one before it, zeros for the first: B x T x D."""
    return nn.functional.pad(x, (0, 0, 1, -1))


def _mixed(x: Tensor, before: Tensor, share: Tensor) -> Tensor:
    """x * share + before * (1 - share), channel by channel."""
    return x * share + before * (1 - share)


def _shares(dim: int, power: float) -> Tensor:
    """Initial shares of the present token, rising over the channels."""
    return (torch.arange(dim) / dim).pow(power).view(1, 1, dim)


def wkv(keys: Tensor, values: Tensor, decay: Tensor, first: Tensor) -> Tensor:
    """RWKV's weighted mean of the values so far, token by token, for each channel.

        y[t] = (sum_{i<t} e^(k[i] - (t-1-i) decay) v[i] + e^(first + k[t]) v[t]) / (the same without v)

    Sums are kept divided by e to their largest exponent, so that none overflows, as the published kernel does.

    Args:
        keys: k, B x T x D.
        values: v, B x T x D.
        decay: how fast a token is forgotten, D, positive.
        first: bonus of the token itself, D.

    Returns:
        y, B x T x D.
    """
    above = torch.zeros_like(keys[:, 0])
    below, largest = above, torch.full_like(above, -1e38)
    means = []
    for key, value in zip(keys.unbind(1), values.unbind(1), strict=True):
        present = first + key
        top = torch.maximum(largest, present)
        past, now = (largest - top).exp(), (present - top).exp()
        means.append((past * above + now * value) / (past * below + now))
        largest = largest - decay
        top = torch.maximum(largest, key)
        past, now = (largest - top).exp(), (key - top).exp()
        above, below, largest = past * above + now * value, past * below + now, top
    return torch.stack(means, 1)


class TimeMix(nn.Module):
    """Linear(sigmoid(R) * WKV(K, V)), with R, K and V from the token and the one before it."""

    def __init__(self, config: SpikeGPTConfig, layer: int) -> None:
        super().__init__()
        dim, depth = config.dim, config.depth
        late, early = layer / max(depth - 1, 1), 1 - layer / depth
        place = torch.arange(dim) / max(dim - 1, 1)
        self.time_decay = nn.Parameter(-5 + 8 * place.pow(0.7 + 1.3 * late))
        self.time_first = nn.Parameter(math.log(0.3) + 0.5 * ((torch.arange(dim) + 1) % 3 - 1))
        self.time_mix_k = nn.Parameter(_shares(dim, early))
        self.time_mix_v = nn.Parameter(_shares(dim, early) + 0.3 * late)
        self.time_mix_r = nn.Parameter(_shares(dim, 0.5 * early))
        self.key, self.value, self.receptance, self.output = (nn.Linear(dim, dim, bias=False) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """B x T x D -> B x T x D."""
        before = _before(x)
        keys = self.key(_mixed(x, before, self.time_mix_k))
        values = self.value(_mixed(x, before, self.time_mix_v))
        gate = self.receptance(_mixed(x, before, self.time_mix_r)).sigmoid()
        with named("wkv"):
            means = wkv(keys, values, self.time_decay.exp(), self.time_first)
        with named("gate"):
            gated = gate * means
        return self.output(gated)


class ChannelMix(nn.Module):
    """sigmoid(R) * Linear(ReLU(K)^2), with R and K from the token and the one before it."""

    def __init__(self, config: SpikeGPTConfig, layer: int) -> None:
        super().__init__()
        dim, early = config.dim, 1 - layer / config.depth
        self.time_mix_k = nn.Parameter(_shares(dim, early))
        self.time_mix_r = nn.Parameter(_shares(dim, early))
        self.key = nn.Linear(dim, 4 * dim, bias=False)
        self.receptance = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """B x T x D -> B x T x D."""
        before = _before(x)
        values = self.value(self.key(_mixed(x, before, self.time_mix_k)).relu().square())
        gate = self.receptance(_mixed(x, before, self.time_mix_r)).sigmoid()
        with named("gate"):
            return gate * values


class Block(nn.Module):
    """X' = LIF(TimeMix(LN(X))) + X; X = LIF(ChannelMix(LN(X'))) + X', the neurons stepping from token to token."""

    def __init__(self, config: SpikeGPTConfig, layer: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.lif1, self.lif2 = LIF(), LIF()
        if layer == 0:
            self.ln0 = nn.LayerNorm(config.dim)
        self.first = layer == 0
        self.att = TimeMix(config, layer)
        self.ffn = ChannelMix(config, layer)

    def forward(self, x: Tensor) -> Tensor:
        """B x T x D -> B x T x D."""
        if self.first:
            x = self.ln0(x)
        x = x + self.lif1(self.att(self.ln1(x)).transpose(0, 1)).transpose(0, 1)
        return x + self.lif2(self.ffn(self.ln2(x)).transpose(0, 1)).transpose(0, 1)


@register_model(
    "spikegpt",
    title="SpikeGPT, language model",
    config=SpikeGPTConfig,
    presets={
        "spikegpt-216m": {
            "depth": 18,
            "dim": 768,
            "num_classes": _NEOX,
            "time_steps": 1024,
            "binary_embedding": False,
        },
    },
)
class SpikeGPT(Model):
    """B x T token ids -> B x T x vocabulary, scores of the token that follows each."""

    config: SpikeGPTConfig

    def __init__(self, config: SpikeGPTConfig) -> None:
        super().__init__(config)
        self.emb = nn.Embedding(config.num_classes, config.dim)
        if config.binary_embedding:
            self.atan = LIF(threshold=0.0, tau=1.0)
        self.blocks = nn.Sequential(*(Block(config, i) for i in range(config.depth)))
        self.ln_out = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.num_classes, bias=False)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """An embedding of tokens, and the decays of RWKV."""
        if "emb.weight" not in weights or "blocks.0.att.time_decay" not in weights:
            return None
        depth = 0
        while holds(weights, f"blocks.{depth}."):
            depth += 1
        vocabulary, dim = weights["emb.weight"].shape
        shown = {"depth": depth, "dim": dim, "num_classes": vocabulary}
        return Published(shown, {"time_steps": 1024, "binary_embedding": vocabulary != _NEOX})

    def forward(self, x: Tensor) -> Tensor:
        """Scores after each token."""
        steps = self.config.time_steps
        if x.ndim != 2 or x.is_floating_point() or x.shape[1] != steps:
            shape = " x ".join(map(str, x.shape))
            raise InputError(
                f"{self.config.name} is set to sequences of {steps} tokens, B x {steps} whole numbers, got {shape} of "
                f"{str(x.dtype).removeprefix('torch.')}: set time steps to the length of yours"
            )
        x = self.emb(x)
        if self.config.binary_embedding:
            x = self.atan(x.unsqueeze(0)).squeeze(0)  # each token by itself: no membrane is carried on
        return self.head(self.ln_out(self.blocks(x)))
