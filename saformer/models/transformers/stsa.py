"""STS-Transformer: blocks of self-attention over space and time at once (STSA)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor, nn

from saformer.attention.stsa import STSA, sts_neuron
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import OneWidthConfig, check_heads
from saformer.pooling import MaxPool2d
from saformer.steps import per_step

_TABLE = "block.0.attn.relative_position_bias_table"


@dataclass(frozen=True, kw_only=True)
class STSAConfig(OneWidthConfig):
    """Settings of the STS-Transformer: T and the grid of tokens fix the size of the position bias.

    Args:
        dim: embedding dimension D, a multiple of 16.
        heads: attention heads; 1 as published.
    """

    in_channels: int = 2
    time_steps: int = 10
    heads: int = 1
    pooling: str = "1111"
    mlp_ratio: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)
        self.check_number("mlp_ratio", above=0)
        if self.dim % 16:
            raise InputError(f"{self.family}: dim must be a multiple of 16, got {self.dim}")

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Event frames unless told otherwise."""
        return super().completed({"in_channels": 2, **settings})


class ConvStem(nn.Module):
    """Five times Conv3x3-BN-LIF; the first four may pool spikes, and the last adds its spikes to what it read."""

    def __init__(self, config: STSAConfig) -> None:
        super().__init__()
        self.pooling = config.pooling
        dim = config.dim
        channels = (config.in_channels, dim // 16, dim // 8, dim // 4, dim, dim)
        for i in range(1, 6):
            self.add_module(f"block{i}_conv", nn.Conv2d(channels[i - 1], channels[i], 3, padding=1, bias=False))
            self.add_module(f"block{i}_bn", nn.BatchNorm2d(channels[i]))
            self.add_module(f"block{i}_lif", sts_neuron())
            if i < 5 and self.pooling[i - 1] == "1":
                self.add_module(f"block{i}_mp", MaxPool2d(3, stride=2, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> sums of two spikes, T x B x D x h x w."""
        spikes = x
        for i in range(1, 6):
            y = per_step(self.get_submodule(f"block{i}_conv"), spikes)
            y = self.get_submodule(f"block{i}_lif")(per_step(self.get_submodule(f"block{i}_bn"), y))
            if i == 5:
                return y + spikes
            spikes = per_step(self.get_submodule(f"block{i}_mp"), y) if self.pooling[i - 1] == "1" else y
        raise AssertionError("there are five stages")


class MLP(nn.Module):
    """Conv1x1(D, hidden)-BN-LIF-Conv1x1(hidden, D)-BN-LIF, as convolutions over time, rows and columns."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1_conv, self.fc1_bn, self.fc1_lif = nn.Conv3d(dim, hidden, 1), nn.BatchNorm3d(hidden), sts_neuron()
        self.fc2_conv, self.fc2_bn, self.fc2_lif = nn.Conv3d(hidden, dim, 1), nn.BatchNorm3d(dim), sts_neuron()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, both T x B x D x h x w."""
        x = self.fc1_lif(self.fc1_bn(self.fc1_conv(x.permute(1, 2, 0, 3, 4))).permute(2, 0, 1, 3, 4))
        return self.fc2_lif(self.fc2_bn(self.fc2_conv(x.permute(1, 2, 0, 3, 4))).permute(2, 0, 1, 3, 4))


class Block(nn.Module):
    """X' = STSA(X) + X; X = MLP(X') + X', sums of spikes."""

    def __init__(self, config: STSAConfig) -> None:
        super().__init__()
        self.attn = config.make_attention(
            "conv2d",
            "spikes",
            "spikes",
            own=lambda: STSA(config.dim, config.heads, config.time_steps, (config.grid, config.grid)),
        )
        self.mlp = MLP(config.dim, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Sums of spikes, T x B x D x h x w."""
        x = x + self.attn(x)
        return x + self.mlp(x)


@register_model(
    "stsa",
    title="STS-Transformer, STSA attention",
    config=STSAConfig,
    presets={
        "stsa-2-256-gesture": {
            "depth": 2,
            "dim": 256,
            "in_channels": 2,
            "image_size": 128,
            "num_classes": 11,
            "time_steps": 10,
        },
        "stsa-2-256-dvs": {
            "depth": 2,
            "dim": 256,
            "in_channels": 2,
            "image_size": 128,
            "num_classes": 10,
            "time_steps": 10,
        },
    },
)
class STSTransformer(Model):
    """B x T x C x H x W event frames or B x C x H x W images -> B x classes."""

    config: STSAConfig

    def __init__(self, config: STSAConfig) -> None:
        super().__init__(config)
        self.conv_stem = ConvStem(config)
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.classification = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """A stem of convolutions and a table of position biases; its size shows the tokens, and so T."""
        stem, hidden, index = (
            weights.get(name)
            for name in (
                "conv_stem.block1_conv.weight",
                "block.0.mlp.fc1_conv.weight",
                "block.0.attn.relative_position_index",
            )
        )
        table, head = weights.get(_TABLE), weights.get("classification.weight")
        if stem is None or hidden is None or index is None or table is None or head is None:
            return None
        # L = T g^2 tokens and (2T - 1) (2g - 1)^2 biases: the grid g is what makes both true.
        tokens, biases = len(index), len(table)
        fits = [
            g
            for g in range(1, isqrt(tokens) + 1)
            if tokens % g**2 == 0 and (2 * (tokens // g**2) - 1) * (2 * g - 1) ** 2 == biases
        ]
        if not fits:
            raise InputError(f"{_TABLE} has {biases} rows, which fit no grid of {tokens} tokens")
        depth = 0
        while holds(weights, f"block.{depth}."):
            depth += 1
        shown = {
            "dim": head.shape[1],
            "depth": depth,
            "num_classes": head.shape[0],
            "in_channels": stem.shape[1],
            "mlp_ratio": hidden.shape[0] / head.shape[1],
            "heads": table.shape[1],
            "time_steps": tokens // fits[-1] ** 2,
        }
        return Published(
            shown,
            {"image_size": 16 * fits[-1], "pooling": "1111"},
            unused=r"block\.\d+\.attn\.to_qkv_(proj|bn)\..*",
        )

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean sum of spikes over tokens, averaged over T."""
        x = self.conv_stem(in_time(x, self.config))
        for block in self.block:
            x = block(x)
        return self.classification(x.mean((3, 4)).flatten(0, 1)).unflatten(0, x.shape[:2]).mean(0)
