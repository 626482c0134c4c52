"""Max-Former: membrane shortcuts, max pools in the embeddings, depthwise convolutions before SSA in the last stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SSA
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import check_heads
from saformer.models.transformers.hierarchy import CIFAR, EVENTS, IMAGENET, StagesConfig, stage_settings
from saformer.models.transformers.saformer import MLP
from saformer.neurons import LIF
from saformer.pooling import MaxPool2d
from saformer.steps import per_step

# Side of the depthwise convolution in the stages before the last; 0 where a block mixes no tokens.
_KERNELS: Mapping[str, tuple[int, ...]] = {"cifar": (0, 3), "imagenet": (7, 5), "events": (3,)}


@dataclass(frozen=True)
class Part:
    """A convolution of an embedding.

    Args:
        name: of its module.
        share: its output channels over those of the stage.
        size: of the kernel.
        stride: of the convolution.
        fires: a neuron stands before it.
        pools: a max pool follows.
    """

    name: str
    share: float
    size: int = 3
    stride: int = 1
    fires: bool = True
    pools: bool = False


# The convolutions in a row, the one of the shortcut, and whose input it shares (in the row; -1: an own neuron fires on
# what the row's second sees). For the first embedding of each variant, and for the later ones of all.
_FIRST: Mapping[str, tuple[tuple[Part, ...], Part, int]] = {
    "cifar": ((Part("embed1", 1),), Part("embed2", 1, size=1), 0),
    "imagenet": (
        (
            Part("embed1", 1 / 2, stride=2, fires=False),
            Part("embed2", 1, stride=2),
            Part("embed3", 1),
        ),
        Part("embed4", 1, size=1, stride=2, fires=False),
        1,
    ),
    "events": (
        (
            Part("max_embed1", 1 / 4, pools=True),
            Part("max_embed2", 1 / 2, pools=True),
            Part("max_embed3", 1, pools=True),
        ),
        Part("embed1", 1, size=1, stride=4, fires=False),
        1,
    ),
}
_LATER = (
    (Part("max_embed1", 1, pools=True), Part("embed1", 1)),
    Part("max_embed2", 1, size=1, fires=False, pools=True),
    0,
)
# Channels of the plain convolution in front of the first embedding over those of the stage; ImageNet has none.
_STEM = {"cifar": 1 / 2, "events": 1 / 8}


class Embed(nn.Module):
    """Neuron-Conv-BN-max pool, the first and the last where `part` says so."""

    def __init__(self, inputs: int, width: int, part: Part) -> None:
        super().__init__()
        outputs = round(width * part.share)
        if part.fires:
            self.embed_lif = LIF()
        self.embed_conv = nn.Conv2d(inputs, outputs, part.size, stride=part.stride, padding=part.size // 2, bias=False)
        self.embed_bn = nn.BatchNorm2d(outputs)
        self.maxpool = MaxPool2d(3, stride=2, padding=1) if part.pools else nn.Identity()

    def fire(self, x: Tensor) -> Tensor:
        """Spikes of the membranes; what has no neuron passes."""
        return self.embed_lif(x) if hasattr(self, "embed_lif") else x

    def forward(self, spikes: Tensor) -> Tensor:
        """Membranes from what `fire` gave."""
        return per_step(self.maxpool, per_step(self.embed_bn, per_step(self.embed_conv, spikes)))


class Embedding(nn.Module):
    """Convolutions in a row, each behind a neuron, plus a 1x1 convolution around them: sums of membranes."""

    def __init__(self, inputs: int, width: int, variant: str, first: bool) -> None:
        super().__init__()
        self.row, self.shortcut, self.branch = _FIRST[variant] if first else _LATER
        self.has_stem = first and variant in _STEM
        if self.has_stem:
            channels = round(width * _STEM[variant])
            self.proj_conv = nn.Conv2d(inputs, channels, 3, padding=1, bias=False)
            self.proj_bn = nn.BatchNorm2d(channels)
            inputs = channels
        for i, part in enumerate(self.row):
            if i == self.branch:
                self.add_module(self.shortcut.name, Embed(inputs, width, self.shortcut))
            self.add_module(part.name, Embed(inputs, width, part))
            inputs = round(width * part.share)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes, T x B x width x h x w, from membranes or the input."""
        if self.has_stem:
            x = per_step(self.proj_bn, per_step(self.proj_conv, x))
        around = self.get_submodule(self.shortcut.name)
        assert isinstance(around, Embed)
        added = x
        for i, part in enumerate(self.row):
            layer = self.get_submodule(part.name)
            assert isinstance(layer, Embed)
            spikes = layer.fire(x)
            if i == self.branch:
                added = around(around.fire(x) if self.shortcut.fires else spikes)
            x = layer(spikes)
        return x + added


class DepthwiseMixer(nn.Module):
    """X + BN(depthwise convolution of S(X)), under the published names."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        # The code for a kernel of 7 calls its parts conv5.
        self.name = "conv5" if size == 7 else "conv"
        self.add_module(self.name, nn.Conv2d(width, width, size, padding=size // 2, groups=width))
        self.add_module(f"{self.name}_bn", nn.BatchNorm2d(width))
        self.add_module(f"{self.name}_neuron", LIF())

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes."""
        spikes = self.get_submodule(f"{self.name}_neuron")(x)
        return x + per_step(self.get_submodule(f"{self.name}_bn"), per_step(self.get_submodule(self.name), spikes))


class ShortcutMLP(MLP):
    """The MLP with its shortcut; where the hidden width is that of the stage, a shortcut around each layer."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(width, hidden, "conv2d")
        self.each = width == hidden

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes."""
        if not self.each:
            return x + super().forward(x)
        x = x + self.layer("fc1", x)
        return x + self.layer("fc2", x)


class Block(nn.Module):
    """Mixes tokens by a depthwise convolution (`mixer`), by SSA (`attn`) or not at all; then the MLP."""

    def __init__(self, config: "MaxFormerConfig", stage: int, kernel: int | None) -> None:
        super().__init__()
        width = config.widths[stage]
        if kernel is None:
            self.attn = config.make_attention(
                stage,
                "membranes",
                own=lambda: SSA(width, config.heads, "conv1d", keys_first=True, spikes_out=False, first="x_lif"),
            )
        elif kernel:
            self.mixer = DepthwiseMixer(width, kernel)
        self.mlp = ShortcutMLP(width, config.hidden(width))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        if hasattr(self, "attn"):
            x = x + self.attn(x.flatten(3)).view_as(x)
        elif hasattr(self, "mixer"):
            x = self.mixer(x)
        return self.mlp(x)


@dataclass(frozen=True, kw_only=True)
class MaxFormerConfig(StagesConfig):
    """Settings of Max-Former."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)


@register_model(
    "maxformer",
    title="Max-Former, depthwise convolutions and SSA",
    config=MaxFormerConfig,
    presets={
        "maxformer-4-384": {**CIFAR, "heads": 8},
        "maxformer-2-256": {**EVENTS, "heads": 16, "mlp_ratio": 1.0},
        **{f"maxformer-10-{dim}": {**IMAGENET, "heads": dim // 64} for dim in (384, 512, 768)},
    },
)
class MaxFormer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: MaxFormerConfig

    def __init__(self, config: MaxFormerConfig) -> None:
        super().__init__(config)
        inputs = config.in_channels
        kernels = (*_KERNELS[config.variant], None)
        for i, (blocks, width, kernel) in enumerate(zip(config.blocks, config.widths, kernels, strict=True)):
            self.add_module(f"patch_embed{i + 1}", Embedding(inputs, width, config.variant, first=i == 0))
            self.add_module(f"stage{i + 1}", nn.ModuleList(Block(config, i, kernel) for _ in range(blocks)))
            inputs = width
        self.head_lif = LIF()
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Embeddings of embed and max_embed; the first of them tells the variants apart."""
        if not holds(weights, "patch_embed2.max_embed2.") or not holds(weights, "stage1.0.mlp.fc1_conv."):
            return None
        variant = "cifar"
        if holds(weights, "patch_embed1.embed4."):
            variant = "imagenet"
        elif holds(weights, "patch_embed1.max_embed3."):
            variant = "events"
        stem = "patch_embed1.embed1.embed_conv.weight" if variant == "imagenet" else "patch_embed1.proj_conv.weight"
        return stage_settings(weights, variant, stem, "stage1.0.mlp.fc1_conv.weight")

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps: behind the head in the code for ImageNet, else before it."""
        x = in_time(x, self.config)
        for stage in range(1, len(self.config.blocks) + 1):
            x = self.get_submodule(f"patch_embed{stage}")(x)
            for block in self.get_submodule(f"stage{stage}").children():
                x = block(x)
        spikes = self.head_lif(x.mean((3, 4)))
        if self.config.variant == "imagenet":
            return self.head(spikes).mean(0)
        return self.head(spikes.mean(0))
