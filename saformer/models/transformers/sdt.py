"""Spike-driven Transformer: SDSA with membrane shortcuts, 1x1 convolutions throughout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SDSA
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import UNUSED, Published, common_settings, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, IMAGENET, IMAGENET_SIZES, TransformerConfig, check_heads
from saformer.models.transformers.patch_embedding import PatchEmbedding
from saformer.models.transformers.saformer import MLP
from saformer.neurons import LIF


@dataclass(frozen=True, kw_only=True)
class SDTConfig(TransformerConfig):
    """Settings of the Spike-driven Transformer.

    Args:
        heads: attention heads.
        event_pooling: the event-data mode of SDSA; None turns it on for two-channel input.
    """

    unnamed = ("event_pooling",)

    heads: int = 8
    event_pooling: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)
        if self.hidden == self.dim:
            # The published MLP gains a second shortcut there, and nobody has published such a network.
            raise InputError("sdt: mlp_ratio 1 is not supported; give another mlp_ratio")

    @property
    def pools_events(self) -> bool:
        """Whether SDSA pools, the default resolved."""
        return self.in_channels == 2 if self.event_pooling is None else self.event_pooling


class Block(nn.Module):
    """X' = SDSA(X) + X; X = MLP(X') + X', sums of membranes."""

    def __init__(self, config: SDTConfig) -> None:
        super().__init__()
        self.attn = config.make_attention(
            "conv2d",
            "membranes",
            "membranes",
            own=lambda: SDSA(config.dim, config.heads, "conv2d", config.pools_events),
        )
        self.mlp = MLP(config.dim, config.hidden, "conv2d")

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        x = self.attn(x) + x
        return self.mlp(x) + x


@register_model(
    "sdt",
    title="Spike-driven Transformer, SDSA attention",
    config=SDTConfig,
    presets={
        "sdt-4-384": {**CIFAR, "heads": 8},
        "sdt-2-512": {**CIFAR, "heads": 8},
        "sdt-2-256": {**EVENTS, "heads": 8},
        **{f"sdt-{size}": {**IMAGENET, "heads": 8} for size in IMAGENET_SIZES},
    },
)
class SpikeDrivenTransformer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    def __init__(self, config: SDTConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(
            config.in_channels,
            config.dim,
            config.pooling,
            pool_first=(False, False, False, True),
            membrane_shortcut=True,
            neuron=LIF,
        )
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_lif = LIF()
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """1x1 convolutions of images throughout."""
        hidden = "block.0.mlp.fc1_conv.weight"
        if rank(weights, "block.0.attn.q_conv.weight") != 4 or hidden not in weights:
            return None
        return Published(common_settings(weights, "patch_embed.proj_conv.weight", hidden), {"heads": 8}, UNUSED)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps."""
        x = self.patch_embed(in_time(x, self.config))
        for block in self.block:
            x = block(x)
        return self.head(self.head_lif(x.mean((3, 4)))).mean(0)
