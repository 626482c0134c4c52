"""Spikformer: SSA with shortcuts that add spikes to spikes, so that blocks hand on small integers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SSA
from saformer.attention.projection import PROJECTION_KINDS, add_projection, project_and_fire
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import UNUSED, Published, common_settings, holds, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, IMAGENET, IMAGENET_SIZES, TransformerConfig, check_heads
from saformer.models.transformers.patch_embedding import PatchEmbedding
from saformer.neurons import LIF


@dataclass(frozen=True, kw_only=True)
class SpikformerConfig(TransformerConfig):
    """Settings of Spikformer; the published variants differ in them.

    Args:
        heads: attention heads.
        scale: 0.125, and 0.25 in the published event-data code.
        projection: layers of the attention: "linear" (CIFAR) or "conv1d" (event data, ImageNet).
        mlp_projection: layers of the MLP: "linear", "conv1d" (event data) or "conv2d" (ImageNet).
        keys_first: form K^T V first, as the published ImageNet code does.
        pool_first: pool before the neuron instead of behind it (CML Spikformer; its stages are named block1 to block4).
    """

    unnamed = ("scale", "projection", "mlp_projection")

    heads: int = 12
    scale: float = 0.125
    projection: str = "linear"
    mlp_projection: str = "linear"
    keys_first: bool = False
    pool_first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)
        self.check_number("scale", above=0)
        for key in ("projection", "mlp_projection"):
            self.check_one_of(key, PROJECTION_KINDS)
        if (self.projection == "linear") != (self.mlp_projection == "linear"):
            raise InputError("spikformer: projection and mlp_projection must both be linear or both be convolutions")


class MLP(nn.Module):
    """Linear-BN-LIF twice: spikes from sums of spikes; its layers are named `name`1 and `name`2."""

    def __init__(
        self, dim: int, hidden: int, kind: str, name: str = "fc", neuron: Callable[[], nn.Module] = LIF
    ) -> None:
        super().__init__()
        self.kind, self.names = kind, (f"{name}1", f"{name}2")
        for layer, inputs, outputs in zip(self.names, (dim, hidden), (hidden, dim), strict=True):
            add_projection(self, layer, kind, inputs, outputs)
            self.add_module(f"{layer}_lif", neuron())

    def forward(self, x: Tensor) -> Tensor:
        """Spikes in the layout of the input."""
        y = x.flatten(3) if self.kind == "conv1d" else x
        for layer in self.names:
            y = project_and_fire(self, layer, self.kind, y, self.get_submodule(f"{layer}_lif"))
        return y.view_as(x)


class Block(nn.Module):
    """X = X + SSA(X); X = X + MLP(X), sums of spikes."""

    def __init__(self, config: SpikformerConfig) -> None:
        super().__init__()
        self.kind = config.projection
        self.attn = config.make_attention(
            self.kind,
            "spikes",
            "spikes",
            own=lambda: SSA(config.dim, config.heads, config.projection, config.scale, config.keys_first),
        )
        self.mlp = MLP(config.dim, config.hidden, config.mlp_projection)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D, or T x B x D x h x w for convolutions."""
        tokens = x if self.kind == "linear" else x.flatten(3)
        x = x + self.attn(tokens).view_as(x)
        return x + self.mlp(x)


class TokenBody(Model):
    """What stands around blocks of tokens that are not Spikformer's own: its embedding and its head.

    B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    Args:
        config: settings.
        blocks: from sums of spikes to sums of spikes, T x B x N x D.
        neuron: makes a layer of neurons.
    """

    def __init__(
        self, config: TransformerConfig, blocks: Iterable[nn.Module], neuron: Callable[[], nn.Module] = LIF
    ) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(
            config.in_channels,
            config.dim,
            config.pooling,
            pool_first=(False, False, False, False),
            membrane_shortcut=False,
            neuron=neuron,
        )
        self.block = nn.ModuleList(blocks)
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over tokens and time steps."""
        x = self.patch_embed(in_time(x, self.config)).flatten(3).transpose(2, 3).contiguous()
        for block in self.block:
            x = block(x)
        return self.head(x.mean(2).mean(0))


@register_model(
    "spikformer",
    title="Spikformer, SSA attention",
    config=SpikformerConfig,
    presets={
        "spikformer-4-384": {**CIFAR, "heads": 12},
        "cml-spikformer-4-384": {**CIFAR, "depth": 4, "dim": 384, "heads": 12, "pool_first": True},
        "spikformer-2-256": {
            **EVENTS,
            "heads": 16,
            "scale": 0.25,
            "projection": "conv1d",
            "mlp_projection": "conv1d",
        },
        **{
            f"spikformer-{size}": {
                **IMAGENET,
                "heads": 8,
                "projection": "conv1d",
                "mlp_projection": "conv2d",
                "keys_first": True,
            }
            for size in IMAGENET_SIZES
        },
    },
)
class Spikformer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: SpikformerConfig

    def __init__(self, config: SpikformerConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(
            config.in_channels,
            config.dim,
            config.pooling,
            pool_first=(config.pool_first,) * 4,
            membrane_shortcut=False,
            neuron=LIF,
            stages="block" if config.pool_first else "proj",
        )
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Linear q, k and v with BatchNorm (CIFAR), or convolutions over tokens (event data, ImageNet)."""
        attention, mlp = "block.0.attn", "block.0.mlp.fc1_conv.weight"
        shown: dict[str, Any]
        defaults: dict[str, Any]
        if rank(weights, f"{attention}.q_linear.weight") == 2:
            learned = f"{attention}.v_lif.w" in weights  # DISTA
            if learned or not (holds(weights, f"{attention}.v_linear.") and holds(weights, f"{attention}.q_bn.")):
                return None
            mlp = "block.0.mlp.fc1_linear.weight"
            shown = {"projection": "linear", "mlp_projection": "linear"}
            defaults = {"time_steps": 4, "heads": 12, "scale": 0.125, "pooling": "0011"}
        elif rank(weights, f"{attention}.q_conv.weight") == 3 and rank(weights, mlp) == 3:
            shown = {"projection": "conv1d", "mlp_projection": "conv1d"}
            defaults = {"time_steps": 16, "heads": 16, "scale": 0.25, "image_size": 128, "pooling": "1111"}
        elif rank(weights, f"{attention}.q_conv.weight") == 3 and rank(weights, mlp) == 4:
            shown = {"projection": "conv1d", "mlp_projection": "conv2d", "keys_first": True}
            defaults = {"time_steps": 4, "heads": 8, "scale": 0.125, "image_size": 224, "pooling": "1111"}
        else:
            return None
        pool_first = "patch_embed.block1_conv.weight" in weights
        stem = "patch_embed.block1_conv.weight" if pool_first else "patch_embed.proj_conv.weight"
        return Published({**shown, **common_settings(weights, stem, mlp), "pool_first": pool_first}, defaults, UNUSED)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over tokens and time steps."""
        x = self.patch_embed(in_time(x, self.config))
        if self.config.projection == "linear":
            x = x.flatten(3).transpose(2, 3).contiguous()
        for block in self.block:
            x = block(x)
        tokens = 2 if self.config.projection == "linear" else (3, 4)
        return self.head(x.mean(tokens).mean(0))
