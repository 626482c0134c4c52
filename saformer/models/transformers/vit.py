"""The non-spiking reference: a softmax-attention transformer (VSA) of the same shape, one pass, real values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import VSA
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, common_settings, holds, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, TransformerConfig, check_heads
from saformer.models.transformers.patch_embedding import PatchEmbedding


@dataclass(frozen=True, kw_only=True)
class ViTConfig(TransformerConfig):
    """Settings of the reference; with event frames each frame is one pass and the scores are averaged.

    Args:
        heads: attention heads.
    """

    time_steps: int = 1
    heads: int = 12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)

    @property
    def spiking(self) -> bool:
        """Not, unless its attention is another's."""
        return self.attention is not None and self.attention != "vsa"


class MLP(nn.Module):
    """Linear(D, 4D)-GELU-Linear(4D, D)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1_linear = nn.Linear(dim, hidden)
        self.gelu = nn.GELU()
        self.fc2_linear = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        return self.fc2_linear(self.gelu(self.fc1_linear(x.flatten(0, 1)))).view_as(x)


class Block(nn.Module):
    """Pre-norm encoder block: X' = VSA(LN(X)) + X; X = MLP(LN(X')) + X'."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attn = config.make_attention("linear", "values", "values", own=lambda: VSA(config.dim, config.heads))
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = MLP(config.dim, config.hidden)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        x = self.attn(self.norm1(x)) + x
        return self.mlp(self.norm2(x)) + x


@register_model(
    "vit",
    title="softmax-attention transformer, not spiking",
    config=ViTConfig,
    presets={"vit-4-384": {**CIFAR, "heads": 12}, "vit-2-512": {**CIFAR, "heads": 8}},
)
class ViT(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(
            config.in_channels,
            config.dim,
            config.pooling,
            pool_first=(True, True, True, True),
            membrane_shortcut=True,
            neuron=nn.ReLU,
            neuron_name="relu",
        )
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Linear q, k and v without BatchNorm."""
        attention = "block.0.attn"
        if rank(weights, f"{attention}.q_linear.weight") != 2 or not holds(weights, f"{attention}.v_linear."):
            return None
        if holds(weights, f"{attention}.q_bn."):
            return None
        common = common_settings(weights, "patch_embed.proj_conv.weight", "block.0.mlp.fc1_linear.weight")
        return Published(common, {"time_steps": 1, "heads": 12})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean token, averaged over frames."""
        x = self.patch_embed(in_time(x, self.config)).flatten(3).transpose(2, 3).contiguous()
        for block in self.block:
            x = block(x)
        return self.head(self.norm(x).mean(2)).mean(0)
