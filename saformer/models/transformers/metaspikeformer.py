"""Meta-SpikeFormer, the Spike-driven Transformer V2: convolutions, then SDSA-3 whose projections are RepConvs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention.sdsa3 import SDSA3
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.models.transformers.metaformer import IMAGENET, MLP, MetaFormer, MetaFormerConfig, shown_settings
from saformer.neurons import LIF
from saformer.steps import per_step


@dataclass(frozen=True, kw_only=True)
class MetaSpikeformerConfig(MetaFormerConfig):
    """Settings of Meta-SpikeFormer.

    Args:
        distilled: a second head, trained on a teacher; scores are the mean of both.
    """

    distilled: bool = False


class SepConv(nn.Module):
    """LIF-Conv1x1-BN-LIF-depthwise Conv7x7-Conv1x1-BN on membranes, twice as many channels between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.lif1 = LIF()
        self.pwconv1 = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(2 * dim)
        self.lif2 = LIF()
        self.dwconv = nn.Conv2d(2 * dim, 2 * dim, 7, padding=3, groups=2 * dim, bias=False)
        self.pwconv2 = nn.Conv2d(2 * dim, dim, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x C x H x W."""
        hidden = per_step(self.bn1, per_step(self.pwconv1, self.lif1(x)))
        return per_step(self.bn2, per_step(self.pwconv2, per_step(self.dwconv, self.lif2(hidden))))


class Block(nn.Module):
    """X' = SDSA-3(X) + X; X = MLP(X') + X', sums of membranes."""

    def __init__(self, dim: int, config: MetaSpikeformerConfig) -> None:
        super().__init__()
        self.attn = config.make_attention(dim, own=lambda: SDSA3(dim, config.heads))
        self.mlp = MLP(dim, dim * config.mlp_ratio, "lif", LIF)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        x = x + self.attn(x)
        return x + self.mlp(x)


@register_model(
    "metaspikeformer",
    title="Meta-SpikeFormer (SDT-V2), SDSA-3 attention",
    config=MetaSpikeformerConfig,
    presets={
        "metaspikeformer-15m": {**IMAGENET, "time_steps": 4, "widths": (64, 128, 256, 360)},
        "metaspikeformer-31m": {**IMAGENET, "time_steps": 4, "widths": (96, 192, 384, 480)},
        "metaspikeformer-55m": {**IMAGENET, "time_steps": 4, "widths": (128, 256, 512, 640)},
    },
)
class MetaSpikeformer(MetaFormer):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    def __init__(self, config: MetaSpikeformerConfig) -> None:
        super().__init__(
            config,
            word="lif",
            neuron=LIF,
            last=LIF,
            separable=SepConv,
            block=lambda dim: Block(dim, config),
        )
        self.head_kd = nn.Linear(config.widths[-1], config.num_classes) if config.distilled else None

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """RepConvs in the projections of stage 3, plain convolutions in the ConvBlocks."""
        pointwise = "ConvBlock1_1.0.Conv.pwconv1.weight"
        if pointwise not in weights or "block3.0.attn.q_conv.0.body.0.weight" not in weights:
            return None
        shown = {**shown_settings(weights, pointwise), "distilled": "head_kd.weight" in weights}
        defaults = {"time_steps": 1, "heads": 8, "image_size": 224}
        return Published(shown, defaults, notes={"time_steps": "that of the code; fine-tuned networks have 4: -T 4"})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps; the mean of both heads where there are two."""
        spikes = self.features(x)
        scores = self.head(spikes).mean(0)
        return scores if self.head_kd is None else (scores + self.head_kd(spikes).mean(0)) / 2
