"""QKFormer: stages of Q-K token attention, then SSA, with patch embeddings whose shortcuts add spikes to spikes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SSA, QKAttention
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import check_heads
from saformer.models.transformers.hierarchy import CIFAR, EVENTS, IMAGENET, StagesConfig, stage_settings
from saformer.models.transformers.spikformer import MLP
from saformer.neurons import LIF
from saformer.pooling import MaxPool2d
from saformer.steps import per_step

# Convolutions of an embedding: name, output channels over those of the stage, whether a pool follows; and behind how
# many of them the shortcut begins. For the first embedding of each variant, and for the later ones.
_FIRST: Mapping[str, tuple[tuple[tuple[str, float, bool], ...], int]] = {
    "cifar": ((("proj", 1 / 2, False), ("proj1", 1, False)), 1),
    "imagenet": ((("proj", 1 / 2, True), ("proj1", 1, True), ("proj2", 1, False)), 1),
    "events": ((("proj", 1 / 8, False), ("proj1", 1 / 4, True), ("proj2", 1 / 2, True), ("proj3", 1, True)), 2),
}
_LATER: Mapping[str, tuple[tuple[tuple[str, float, bool], ...], int]] = {
    "cifar": ((("proj3", 1, False), ("proj4", 1, True)), 0),
    "imagenet": ((("proj3", 1, True), ("proj4", 1, False)), 0),
    "events": ((("proj", 1, False), ("proj4", 1, True)), 0),
}
# What the layers of the MLPs are called.
_MLP = {"cifar": "mlp", "imagenet": "fc", "events": "mlp"}


@dataclass(frozen=True, kw_only=True)
class QKFormerConfig(StagesConfig):
    """Settings of QKFormer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.widths[0], self.heads)


class Embedding(nn.Module):
    """Conv3x3-BN-optional pool-neuron several times, plus Conv1x1-BN-neuron of what came in or of an early output."""

    def __init__(self, inputs: int, width: int, layers: tuple[tuple[str, float, bool], ...], branch: int) -> None:
        super().__init__()
        self.branch, self.layers = branch, layers
        channels = [inputs, *(round(width * share) for _, share, _ in layers)]
        for i, (name, _, pools) in enumerate(layers):
            self.add_module(f"{name}_conv", nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False))
            self.add_module(f"{name}_bn", nn.BatchNorm2d(channels[i + 1]))
            if pools:
                self.add_module(f"{name}_maxpool", MaxPool2d(3, stride=2, padding=1))
            self.add_module(f"{name}_lif", LIF())
        stride = 2 ** sum(pools for _, _, pools in layers[branch:])
        self.proj_res_conv = nn.Conv2d(channels[branch], width, 1, stride=stride, bias=False)
        self.proj_res_bn = nn.BatchNorm2d(width)
        self.proj_res_lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        """Sums of spikes, T x B x width x h x w."""
        shortcut = x
        for i, (name, _, pools) in enumerate(self.layers):
            for part in ("conv", "bn", "maxpool") if pools else ("conv", "bn"):
                x = per_step(self.get_submodule(f"{name}_{part}"), x)
            x = self.get_submodule(f"{name}_lif")(x)
            if i + 1 == self.branch:
                shortcut = x
        return x + self.proj_res_lif(per_step(self.proj_res_bn, per_step(self.proj_res_conv, shortcut)))


class Block(nn.Module):
    """X = X + attention(X); X = X + MLP(X), sums of spikes; the attention has the published name `name`."""

    def __init__(self, name: str, attention: nn.Module, mlp: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, attention)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """T x B x D x h x w."""
        x = x + self.get_submodule(self.name)(x.flatten(3)).view_as(x)
        return x + self.mlp(x)


@register_model(
    "qkformer",
    title="QKFormer, Q-K token attention and SSA",
    config=QKFormerConfig,
    presets={
        "qkformer-4-384": {**CIFAR, "heads": 8},
        "qkformer-2-256": {**EVENTS, "heads": 16, "mlp_ratio": 1.0},
        "qkformer-2-256-gesture": {
            **EVENTS,
            "depth": 2,
            "dim": 256,
            "heads": 16,
            "num_classes": 11,
        },
        **{f"qkformer-10-{dim}": {**IMAGENET, "heads": dim // 64} for dim in (384, 512, 768)},
    },
)
class QKFormer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    The published self attention hands its last neurons T*B rows as if all were time steps, so that there potentials
    go on from one image of a batch to the next. Here each image stands on its own, which is what the published code
    computes for a batch of one.
    """

    config: QKFormerConfig

    def __init__(self, config: QKFormerConfig) -> None:
        super().__init__(config)
        inputs = config.in_channels
        for stage, (blocks, width) in enumerate(zip(config.blocks, config.widths, strict=True), 1):
            layers, branch = (_FIRST if stage == 1 else _LATER)[config.variant]
            self.add_module(f"patch_embed{stage}", Embedding(inputs, width, layers, branch))
            self.add_module(f"stage{stage}", nn.ModuleList(self._block(config, stage - 1) for _ in range(blocks)))
            inputs = width
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @staticmethod
    def _block(config: QKFormerConfig, stage: int) -> Block:
        width, heads = config.widths[stage], config.heads
        mlp = MLP(width, config.hidden(width), "conv2d", _MLP[config.variant])
        if stage < len(config.blocks) - 1:
            attention = config.make_attention(stage, "spikes", own=lambda: QKAttention(width, heads))
            return Block("tssa", attention, mlp)
        attention = config.make_attention(stage, "spikes", own=lambda: SSA(width, heads, "conv1d", keys_first=True))
        # The code for ImageNet calls it attn.
        return Block("attn" if config.variant == "imagenet" else "ssa", attention, mlp)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Q-K attention called tssa; the embeddings tell the variants apart."""
        if not holds(weights, "stage1.0.tssa.q_conv."):
            return None
        first = "patch_embed1.proj{}_conv.weight"
        variant = "events" if first.format(3) in weights else "imagenet" if first.format(2) in weights else "cifar"
        return stage_settings(weights, variant, first.format(""), f"stage1.0.mlp.{_MLP[variant]}1_conv.weight")

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over tokens and time steps."""
        x = in_time(x, self.config)
        for stage in range(1, len(self.config.blocks) + 1):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            for block in self.get_submodule(f"stage{stage}").children():
                x = block(x)
        return self.head(x.mean((3, 4)).mean(0))
