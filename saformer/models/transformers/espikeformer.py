"""E-SpikeFormer, the Spike-driven Transformer V3: neurons put out integers, which stand for as many spikes."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention.esdsa import ESDSA
from saformer.errors import InputError
from saformer.models.config import BaseConfig
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.models.transformers.metaformer import IMAGENET, MLP, MetaFormer, MetaFormerConfig, shown_settings
from saformer.neurons import IntegerLIF
from saformer.steps import per_step


@dataclass(frozen=True, kw_only=True)
class ESpikeformerConfig(MetaFormerConfig):
    """Settings of E-SpikeFormer; T is 1, for its time lies in the integers.

    Args:
        levels: D, the largest integer that a neuron puts out, and the number of virtual steps.
        expansion: channels of V over those of the stage.
    """

    time_steps: int = 1
    levels: int = 4
    expansion: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("expansion")
        check_levels(self, self.levels)


def check_levels(config: BaseConfig, levels: int) -> None:
    """Raise InputError unless `levels` is a whole number from 1, and T is 1."""
    config.check_whole("levels")
    if config.time_steps != 1:
        raise InputError(
            f"{config.family}: its time lies in the integers of its neurons, levels={levels}: "
            f"time_steps must be 1, got {config.time_steps}"
        )


class SepConv(nn.Module):
    """Three times neuron, convolution and BN: 1x1 to twice the channels, depthwise, 1x1 back."""

    def __init__(self, dim: int, kernel: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        hidden = 2 * dim
        depthwise = nn.Conv2d(hidden, hidden, kernel, padding=kernel // 2, groups=hidden, bias=False)
        self.spike1 = neuron()
        self.pwconv1 = nn.Sequential(nn.Conv2d(dim, hidden, 1, bias=False), nn.BatchNorm2d(hidden))
        self.spike2 = neuron()
        self.dwconv = nn.Sequential(depthwise, nn.BatchNorm2d(hidden))
        self.spike3 = neuron()
        self.pwconv2 = nn.Sequential(nn.Conv2d(hidden, dim, 1, bias=False), nn.BatchNorm2d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x C x H x W."""
        x = per_step(self.pwconv1, self.spike1(x))
        x = per_step(self.dwconv, self.spike2(x))
        return per_step(self.pwconv2, self.spike3(x))


class Block(nn.Module):
    """X' = SepConv(X) + X; X'' = E-SDSA(X') + X'; X = MLP(X'') + X'', sums of membranes."""

    def __init__(self, dim: int, config: ESpikeformerConfig, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv = SepConv(dim, 3, neuron)
        self.attn = config.make_attention(dim, own=lambda: ESDSA(dim, config.heads, config.expansion, neuron))
        self.mlp = MLP(dim, dim * config.mlp_ratio, "spike", neuron)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        x = x + self.conv(x)
        x = x + self.attn(x)
        return x + self.mlp(x)


@register_model(
    "espikeformer",
    title="E-SpikeFormer (SDT-V3), E-SDSA attention",
    config=ESpikeformerConfig,
    presets={
        "espikeformer-3m": {**IMAGENET, "time_steps": 1, "widths": (24, 48, 96, 128)},
        "espikeformer-5m": {**IMAGENET, "time_steps": 1, "widths": (32, 64, 128, 192)},
        "espikeformer-10m": {**IMAGENET, "time_steps": 1, "widths": (48, 96, 192, 240)},
        "espikeformer-19m": {**IMAGENET, "time_steps": 1, "widths": (64, 128, 256, 360)},
    },
)
class ESpikeformer(MetaFormer):
    """B x C x H x W images -> B x classes."""

    def __init__(self, config: ESpikeformerConfig) -> None:
        neuron = functools.partial(IntegerLIF, config.levels, height=1 / config.levels)
        super().__init__(
            config,
            word="spike",
            neuron=neuron,
            last=functools.partial(IntegerLIF, config.levels),
            separable=lambda dim: SepConv(dim, 7, neuron),
            block=lambda dim: Block(dim, config, neuron),
        )

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """1x1 convolutions in the projections of stage 3, those of the ConvBlocks with their BatchNorm."""
        pointwise, wide = "ConvBlock1_1.0.Conv.pwconv1.0.weight", "block3.0.attn.v_conv.0.weight"
        if pointwise not in weights or wide not in weights or weights[wide].ndim != 4:
            return None
        expansion = weights[wide].shape[0] // weights[wide].shape[1]
        shown = {**shown_settings(weights, pointwise), "expansion": expansion}
        return Published(shown, {"time_steps": 1, "heads": 8, "levels": 4, "image_size": 224})
