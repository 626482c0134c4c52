"""Spikeformer (Li et al.): softmax attention over time and over space on real values, spikes in tokenizer and MLP."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from saformer.attention.spikeformer import SpaceAttention, TimeAttention
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import AttentiveConfig, check_heads
from saformer.naming import named
from saformer.neurons import PLIF
from saformer.steps import PerStep


class PLIAF(PLIF):
    """PLIF neurons that put out the positive part of the membrane, max(U, 0); their spikes reset alone."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = self.rule._replace(firing="relu")


_NEURONS: dict[str, type[PLIF]] = {"plif": PLIF, "pliaf": PLIAF}


@dataclass(frozen=True, kw_only=True)
class SpikeformerConfig(AttentiveConfig):
    """Settings of Spikeformer; another `attention` takes the place of that over space, and that over time stays.

    Args:
        depth: encoder blocks.
        dim: embedding dimension D.
        heads: attention heads.
        mlp_ratio: hidden width of the MLP over D.
        strides: of each block of the tokenizer, 1 or 2; channels double with each stride of 2 but the first, up to D.
        kernel: of the tokenizer's convolutions.
        neuron: "plif", which puts out spikes, or "pliaf", which puts out the positive part of the membrane.
    """

    depth: int
    dim: int
    heads: int = 4
    mlp_ratio: float = 2.0
    strides: tuple[int, ...] = (2, 1, 2, 1, 2, 1)
    kernel: int = 3
    neuron: str = "plif"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("depth", "dim", "kernel")
        check_heads(self.family, self.dim, self.heads)
        self.check_number("mlp_ratio", above=0)
        self.check_one_of("neuron", _NEURONS)
        if not isinstance(self.strides, tuple) or not self.strides or set(self.strides) - {1, 2}:
            raise InputError(f"{self.family}: strides are 1 or 2, one for each block that embeds, got {self.strides}")
        for what, halvings in (("image_size", self.strides.count(2)), ("dim", self.strides[1:].count(2))):
            if (value := getattr(self, what)) % 2**halvings:
                strides = ",".join(map(str, self.strides))
                raise InputError(
                    f"{self.family}: {what} must be a multiple of {2**halvings} with strides {strides}, got {value}"
                )
        if self.kernel % 2 == 0:
            raise InputError(f"{self.family}: kernel must be odd, got {self.kernel}")

    @property
    def grid(self) -> int:
        """Tokens along one side of the image."""
        return self.image_size // 2 ** self.strides.count(2)

    @property
    def tokens(self) -> int:
        """N, the number of tokens of a step."""
        return self.grid**2


def _conv(inputs: int, outputs: int, kernel: int, stride: int, neuron: str) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(PerStep(layer, nn.BatchNorm2d(outputs)), _NEURONS[neuron]())


class SEWBlock(nn.Module):
    """Two times Conv-BN-neuron beside a shortcut, added; where it halves the image, the shortcut averages, too."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, neuron: str) -> None:
        super().__init__()
        self.residual_function = nn.Sequential(
            _conv(inputs, outputs, kernel, stride, neuron), _conv(outputs, outputs, kernel, 1, neuron)
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(PerStep(nn.AvgPool2d(stride, stride)), _conv(inputs, outputs, 1, 1, neuron))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x C' x H' x W'."""
        return self.residual_function(x) + self.shortcut(x)


class Tokenizer(nn.Module):
    """SEW blocks from frames to tokens."""

    def __init__(self, config: SpikeformerConfig) -> None:
        super().__init__()
        inputs, blocks = config.in_channels, []
        for i, stride in enumerate(config.strides):
            outputs = config.dim // 2 ** config.strides[i + 1 :].count(2)
            blocks.append(SEWBlock(inputs, outputs, config.kernel, stride, config.neuron))
            inputs = outputs
        self.conv_layers = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x N x D."""
        return self.conv_layers(x).flatten(3).transpose(2, 3)


class MLP(nn.Module):
    """Linear(D, hidden)-neuron-Linear(hidden, D)."""

    def __init__(self, dim: int, hidden: int, neuron: str) -> None:
        super().__init__()
        self.mlp = nn.Sequential(PerStep(nn.Linear(dim, hidden)), _NEURONS[neuron](), PerStep(nn.Linear(hidden, dim)))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        return self.mlp(x)


class Block(nn.Module):
    """Attention over the steps of each token, over the tokens of each step, then the MLP; each after a LayerNorm."""

    def __init__(self, config: SpikeformerConfig) -> None:
        super().__init__()
        dim, heads = config.dim, config.heads
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = config.attention_at(
            lambda: SpaceAttention(dim, heads), dim, heads, config.grid, "linear", "values", "values"
        )
        self.temporal_norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.temporal_attn = TimeAttention(dim, heads)
        self.temporal_fc = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLP(dim, int(round(dim * config.mlp_ratio, 6)), config.neuron)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        x = x + self.temporal_fc(self.temporal_attn(self.temporal_norm1(x)))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """Everything; published checkpoints have it one level down, under `model.`"""

    def __init__(self, config: SpikeformerConfig) -> None:
        super().__init__()
        self.patch_embed = Tokenizer(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.tokens, config.dim))
        self.time_embed = nn.Parameter(torch.zeros(1, config.time_steps, config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.attention_pool = nn.Linear(config.dim, 1)
        self.head = nn.Linear(config.dim, config.num_classes)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> scores of the mean over all tokens of all steps, weighted by a learned softmax."""
        x = self.patch_embed(x) + self.pos_embed + self.time_embed.transpose(0, 1).unsqueeze(2)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x).permute(1, 2, 0, 3).flatten(1, 2)  # B x N T x D
        weights = self.attention_pool(x).softmax(1)
        with named("pool"):
            pooled = weights.transpose(1, 2) @ x
        return self.head(pooled.squeeze(1))


@register_model(
    "spikeformer",
    title="Spikeformer, softmax attention over time and space",
    config=SpikeformerConfig,
    presets={
        "spikeformer-7-256-dvs": {
            "depth": 7,
            "dim": 256,
            "in_channels": 2,
            "image_size": 128,
            "num_classes": 10,
            "time_steps": 4,
        },
        "spikeformer-7-256-gesture": {
            "depth": 7,
            "dim": 256,
            "in_channels": 2,
            "image_size": 128,
            "num_classes": 11,
            "time_steps": 16,
            "strides": (2, 2, 2),
            "kernel": 5,
        },
        "spikeformer-7-512": {
            "depth": 7,
            "dim": 512,
            "in_channels": 3,
            "image_size": 224,
            "num_classes": 1000,
            "time_steps": 4,
            "heads": 8,
            "mlp_ratio": 3.0,
            "strides": (2, 1, 2, 1, 2, 1, 2, 1),
            "neuron": "pliaf",
        },
    },
)
class Spikeformer(Model):
    """B x T x C x H x W event frames or B x C x H x W images -> B x classes."""

    config: SpikeformerConfig

    def __init__(self, config: SpikeformerConfig) -> None:
        super().__init__(config)
        self.model = Encoder(config)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Embeddings of position and time, and an attention over time."""
        stem = "model.patch_embed.conv_layers.{}.residual_function.0.0.0.weight"
        needed = (stem.format(0), "model.pos_embed", "model.time_embed", "model.head.weight")
        hidden = "model.blocks.0.mlp.mlp.0.0.weight"
        if any(name not in weights for name in (*needed, hidden, "model.blocks.0.temporal_fc.weight")):
            return None
        first, position, time, head = (weights[name] for name in needed)
        depth = blocks = 0
        while holds(weights, f"model.blocks.{depth}."):
            depth += 1
        while stem.format(blocks) in weights:
            blocks += 1
        strides = tuple(
            2 if holds(weights, f"model.patch_embed.conv_layers.{i}.shortcut.") else 1 for i in range(blocks)
        )
        shown: dict[str, Any] = {
            "depth": depth,
            "dim": head.shape[1],
            "num_classes": head.shape[0],
            "in_channels": first.shape[1],
            "kernel": first.shape[-1],
            "mlp_ratio": len(weights[hidden]) / head.shape[1],
            "strides": strides,
            "time_steps": time.shape[1],
            "image_size": isqrt(position.shape[1]) * 2 ** strides.count(2),
        }
        # The published constructors are PLIF_... (event data) and PLIAF_... (ImageNet); their weights look alike.
        events = shown["in_channels"] == 2
        variant = {"heads": 4 if events else 8}
        maker = str(stored.get("model", "")).split("_")[0].lower()
        if maker in _NEURONS:
            return Published({**shown, "neuron": maker}, variant)
        return Published(shown, {**variant, "neuron": "plif" if events else "pliaf"})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of all steps together."""
        return self.model(in_time(x, self.config))
