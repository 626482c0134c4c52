"""Masked Spiking Transformer: softmax attention in windows between integrate-and-fire neurons, of an ANN."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor, nn

from saformer.attention.mst import ScaledIF, WindowAttention, in_windows, joined, shift_mask
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import AttentiveConfig, check_heads
from saformer.steps import per_step


@dataclass(frozen=True, kw_only=True)
class MSTConfig(AttentiveConfig):
    """Settings of the Masked Spiking Transformer: those of a Swin transformer.

    Another `attention` stands in each window, shifted ones included, without the position bias and the mask.

    Args:
        dim: channels of the first stage; each later one has twice as many, for a quarter of the tokens.
        blocks: how many each stage has.
        heads: attention heads of each stage.
        window: tokens along one side of a window.
        patch_size: pixels along one side of a patch.
        mlp_ratio: hidden width of the MLP over the channels.
        mlp_norm: BatchNorm in the MLP, as in the network for ImageNet.
    """

    image_size: int = 224
    time_steps: int = 128
    dim: int = 96
    blocks: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    patch_size: int = 4
    mlp_ratio: float = 4.0
    mlp_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("dim", "window", "patch_size")
        self.check_number("mlp_ratio", above=0)
        self.check_whole_each("blocks")
        self.check_whole_each("heads")
        if len(self.blocks) != len(self.heads):
            raise InputError(
                f"{self.family}: blocks has {len(self.blocks)} stages and needs as many heads, got {len(self.heads)}"
            )
        size = self.patch_size * 2 ** (len(self.blocks) - 1)
        if self.image_size % size:
            raise InputError(f"{self.family}: image_size must be a multiple of {size}, got {self.image_size}")
        for stage, heads in enumerate(self.heads):
            check_heads(self.family, self.dim * 2**stage, heads)
            side, window = self.side(stage), self.window_of(stage)
            if side % window:
                raise InputError(
                    f"{self.family}: stage {stage} has {side} x {side} tokens, no multiple of the window of {window}: "
                    "change window or image_size"
                )

    def side(self, stage: int) -> int:
        """Tokens along one side of the image."""
        return self.image_size // self.patch_size // 2**stage

    def window_of(self, stage: int) -> int:
        """Tokens along one side of a window: no more than the image has."""
        return min(self.window, self.side(stage))


def _per_channel(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """BatchNorm of ... x C, channel by channel."""
    return norm(x.flatten(0, -2)).view_as(x)


class MLP(nn.Module):
    """IF(Linear(IF(Linear(X)))), with BatchNorm before the neurons or without."""

    def __init__(self, dim: int, hidden: int, norm: bool) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.norm1 = nn.BatchNorm1d(hidden) if norm else None
        self.norm2 = nn.BatchNorm1d(dim) if norm else None
        self.fc1_if, self.fc2_if = ScaledIF(), ScaledIF()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x C -> spikes, T x B x N x C."""
        y = self.fc1(x)
        y = self.fc1_if(y if self.norm1 is None else _per_channel(self.norm1, y))
        y = self.fc2(y)
        return self.fc2_if(y if self.norm2 is None else _per_channel(self.norm2, y))


class Block(nn.Module):
    """X' = attention(IF(BN(X))) + X; Y = BN(X'); X = MLP(IF(Y)) + Y. The second shortcut starts after BatchNorm."""

    attn_mask: Tensor | None

    def __init__(self, config: MSTConfig, stage: int, shifted: bool) -> None:
        super().__init__()
        dim, self.side, self.window = config.dim * 2**stage, config.side(stage), config.window_of(stage)
        # Where one window holds the whole image there is nothing to shift.
        self.shift = config.window // 2 if shifted and self.side > config.window else 0
        self.norm1, self.shortcut1_if = nn.BatchNorm1d(dim), ScaledIF()
        heads, self.own = config.heads[stage], config.attention is None
        self.attn = config.attention_at(
            lambda: WindowAttention(dim, heads, *self._cut()), dim, heads, self.window, "linear", "spikes", "spikes"
        )
        self.norm2, self.shortcut2_if = nn.BatchNorm1d(dim), ScaledIF()
        self.mlp = MLP(dim, int(round(dim * config.mlp_ratio, 6)), config.mlp_norm)
        self.register_buffer("attn_mask", shift_mask(*self._cut()) if self.shift and self.own else None)

    def _cut(self) -> tuple[tuple[int, int], tuple[int, int], int]:
        """How the image is cut into windows: its grid, a window, and the shift."""
        return (self.side, self.side), (self.window, self.window), self.shift

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x C -> T x B x N x C."""
        spikes = self.shortcut1_if(_per_channel(self.norm1, x))
        if self.own:
            x = x + self.attn(spikes, self.attn_mask)
        else:
            rows = in_windows(spikes.flatten(0, 1), *self._cut()).unflatten(0, (len(x), -1))
            x = x + joined(self.attn(rows).flatten(0, 1), *self._cut()).view_as(x)
        x = _per_channel(self.norm2, x)
        return x + self.mlp(self.shortcut2_if(x))


class PatchMerging(nn.Module):
    """IF(Linear(BN(four neighbours side by side))): a quarter of the tokens, twice the channels."""

    def __init__(self, dim: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.BatchNorm1d(4 * dim)
        self.reduction_if = ScaledIF()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x C -> spikes, T x B x N/4 x 2C."""
        half = self.side // 2
        x = x.unflatten(2, (half, 2, half, 2)).permute(0, 1, 2, 4, 5, 3, 6).flatten(4).flatten(2, 3)
        return self.reduction_if(self.reduction(_per_channel(self.norm, x)))


class Stage(nn.Module):
    """Blocks whose windows are shifted in every second, then a merging of patches unless it is the last stage."""

    def __init__(self, config: MSTConfig, stage: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, stage, shifted=i % 2 == 1) for i in range(config.blocks[stage]))
        last = stage == len(config.blocks) - 1
        self.downsample = None if last else PatchMerging(config.dim * 2**stage, config.side(stage))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x C -> T x B x N' x C'."""
        for block in self.blocks:
            x = block(x)
        return x if self.downsample is None else self.downsample(x)


class PatchEmbedding(nn.Module):
    """IF(BN(Conv(X))), one patch a token."""

    def __init__(self, config: MSTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(config.in_channels, config.dim, config.patch_size, stride=config.patch_size)
        self.norm = nn.BatchNorm1d(config.dim)
        self.proj_if = ScaledIF()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> spikes, T x B x N x D."""
        tokens = per_step(self.proj, x).flatten(3).transpose(2, 3)
        return self.proj_if(_per_channel(self.norm, tokens))


_PUBLISHED = {"in_channels": 3, "image_size": 224, "time_steps": 128}


@register_model(
    "mst",
    title="Masked Spiking Transformer, converted",
    config=MSTConfig,
    presets={
        "mst-imagenet": {**_PUBLISHED, "num_classes": 1000, "mlp_norm": True},
        "mst-cifar10": {**_PUBLISHED, "num_classes": 10},
        "mst-cifar100": {**_PUBLISHED, "num_classes": 100},
    },
)
class MaskedSpikingTransformer(Model):
    """B x C x H x W images -> B x classes: the spiking network, which is shown the image T times.

    The published training is that of its ANN, whose quantised activations have the height `up`; the published masks
    are random, so that what is here is the network with a masking ratio of 0.
    """

    config: MSTConfig

    def __init__(self, config: MSTConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(config)
        self.layers = nn.ModuleList(Stage(config, i) for i in range(len(config.blocks)))
        width = config.dim * 2 ** (len(config.blocks) - 1)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Windows with position biases, and activations that know their height."""
        table, index = (f"layers.0.blocks.0.attn.relative_position_{x}" for x in ("bias_table", "index"))
        stem, head, hidden = "patch_embed.proj.weight", "head.weight", "layers.0.blocks.0.mlp.fc1.weight"
        needed = (table, index, stem, head, hidden, "patch_embed.proj_if.up")
        if any(name not in weights for name in needed):
            return None
        blocks: list[int] = []
        while holds(weights, f"layers.{len(blocks)}."):
            stage, count = len(blocks), 0
            while holds(weights, f"layers.{stage}.blocks.{count}."):
                count += 1
            blocks.append(count)
        heads = tuple(
            weights[f"layers.{i}.blocks.0.attn.relative_position_bias_table"].shape[1] for i in range(len(blocks))
        )
        dim, channels, patch_size, _ = weights[stem].shape
        window = isqrt(len(weights[index]))
        shown: dict[str, Any] = {
            "dim": dim,
            "blocks": tuple(blocks),
            "heads": heads,
            "in_channels": channels,
            "num_classes": len(weights[head]),
            "patch_size": patch_size,
            "window": window,
            "mlp_ratio": len(weights[hidden]) / dim,
            "mlp_norm": holds(weights, "layers.0.blocks.0.mlp.norm1."),
        }
        # A mask has a row for each window of the image.
        mask = weights.get("layers.0.blocks.1.attn_mask")
        if mask is not None:
            shown["image_size"] = isqrt(len(mask)) * window * patch_size
        return Published(shown, {"image_size": 224, "time_steps": 128})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean token, summed over the T presentations."""
        x = self.patch_embed(in_time(x, self.config))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(2)).sum(0)
