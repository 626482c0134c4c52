"""The large networks of E-SpikeFormer (83M, 173M), whose pretraining fills in masked images: another architecture."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.attention.esdsa_linear import DoubleConv, LinearESDSA
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.models.transformer_config import AttentiveConfig, check_heads
from saformer.models.transformers.espikeformer import check_levels
from saformer.models.transformers.metaformer import IMAGENET, MLP, DownSampling
from saformer.neurons import IntegerLIF
from saformer.steps import PerStep, per_step

_STAGES = (
    "downsample1_1",
    "ConvBlock1_1",
    "downsample1_2",
    "ConvBlock1_2",
    "downsample2",
    "ConvBlock2_1",
    "ConvBlock2_2",
    "downsample3",
)


@dataclass(frozen=True, kw_only=True)
class LargeESpikeformerConfig(AttentiveConfig):
    """Settings of a large E-SpikeFormer; T is 1, for its time lies in the integers.

    Args:
        widths: channels of the three stages; the first half of stage 1 has half as many.
        blocks: transformer blocks, all in stage 3.
        heads: attention heads.
        mlp_ratio: hidden width of the MLPs and of the channel convolutions over that of their stage.
        levels: D, the largest integer that a neuron puts out, and the number of virtual steps.
        pointwise: each block begins with two 1x1 convolutions in a row and a shortcut around them (83M).
        distilled: a second head, trained on a teacher; scores are the mean of both.
    """

    time_steps: int = 1
    widths: tuple[int, ...] = (128, 256, 512)
    blocks: int = 12
    heads: int = 8
    mlp_ratio: int = 4
    levels: int = 4
    pointwise: bool = True
    distilled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("blocks", "mlp_ratio")
        self.check_whole_each("widths", 3)
        check_levels(self, self.levels)
        if self.widths[0] % 2:
            raise InputError(f"{self.family}: the first of widths is halved and must be even, got {self.widths[0]}")
        check_heads(self.family, self.widths[2], self.heads)

    @property
    def side(self) -> int:
        """Tokens along one side of the image."""
        return -(-self.image_size // 16)

    @property
    def tokens(self) -> int:
        """N: pixels of the image at a sixteenth of its size."""
        return self.side**2


class ConvBlock(nn.Module):
    """X + twice neuron, Conv3x3 and BN, r times as many channels between: a sum of membranes."""

    def __init__(self, dim: int, hidden: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.neuron1, self.neuron2 = neuron(), neuron()
        self.conv1, self.conv2 = (
            nn.Sequential(PerStep(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)))
            for inputs, outputs in ((dim, hidden), (hidden, dim))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x C x H x W."""
        return x + self.conv2(self.neuron2(self.conv1(self.neuron1(x))))


class Block(nn.Module):
    """X = X + a attention(X); X = X + b MLP(X), sums of membranes, with factors a and b of each channel; before them
    X = X + BN(Conv1x1(BN(Conv1x1(S(X))))) where `pointwise`.
    """

    def __init__(self, config: LargeESpikeformerConfig, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        dim = config.widths[2]
        if config.pointwise:
            self.rep_conv, self.lif = DoubleConv(dim, dim), neuron()
        self.attn = config.attention_at(
            lambda: LinearESDSA(dim, config.heads, neuron),
            dim,
            config.heads,
            config.side,
            "conv1d",
            "membranes",
            "membranes",
        )
        self.mlp = MLP(dim, dim * config.mlp_ratio, "lif", neuron)
        self.layer_scale1, self.layer_scale2 = (nn.Parameter(torch.full((dim,), 1e-6)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x N."""
        if hasattr(self, "rep_conv"):
            x = x + per_step(self.rep_conv, self.lif(x))
        x = x + self.attn(x) * self.layer_scale1[:, None]
        return x + self.mlp(x) * self.layer_scale2[:, None]


@register_model(
    "espikeformerlarge",
    title="E-SpikeFormer (SDT-V3), large: E-SDSA with K^T V first",
    config=LargeESpikeformerConfig,
    presets={
        "espikeformer-83m": {**IMAGENET, "time_steps": 1, "widths": (128, 256, 512)},
        "espikeformer-173m": {**IMAGENET, "time_steps": 1, "widths": (196, 384, 768), "pointwise": False},
    },
)
class LargeESpikeformer(Model):
    """B x C x H x W images -> B x classes.

    The first head reads the mean membranes of the tokens, as published; the spikes of the last neurons go to the second
    alone. The published neurons round halves up, those here to even: only a membrane of exactly 1/2, 3/2, ... differs.
    """

    config: LargeESpikeformerConfig

    def __init__(self, config: LargeESpikeformerConfig) -> None:
        super().__init__(config)
        neuron = functools.partial(IntegerLIF, config.levels, height=1 / config.levels)
        half, (one, two, three) = config.widths[0] // 2, config.widths

        def convolutions(dim: int) -> nn.ModuleList:
            return nn.ModuleList([ConvBlock(dim, dim * config.mlp_ratio, neuron)])

        stages = (
            DownSampling(config.in_channels, half, 7, 2, "lif", None),
            convolutions(half),
            DownSampling(half, one, 3, 2, "lif", neuron),
            convolutions(one),
            DownSampling(one, two, 3, 2, "lif", neuron),
            convolutions(two),
            convolutions(two),
            DownSampling(two, three, 3, 2, "lif", neuron),
        )
        for name, stage in zip(_STAGES, stages, strict=True):
            self.add_module(name, stage)
        self.block3 = nn.ModuleList(Block(config, neuron) for _ in range(config.blocks))
        self.head = nn.Linear(three, config.num_classes)
        if config.distilled:
            self.lif = IntegerLIF(config.levels)
            self.head_kd = nn.Linear(three, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Two convolutions in a row in the projections of stage 3, and no stage behind it."""
        stem, needed = "downsample1_1.encode_conv.weight", "block3.0.attn.q_conv.0.conv1.0.weight"
        if needed not in weights or "block3.0.layer_scale1" not in weights:
            return None
        layers = [f"downsample{i}.encode_conv.weight" for i in ("1_2", "2", "3")]
        hidden = "block3.0.mlp.fc1_conv.weight"
        for name in (stem, *layers, hidden, "head.weight"):
            if name not in weights or weights[name].ndim < 2:
                raise InputError(f"parameter {name} is missing from the checkpoint, or is no matrix")
        blocks = 0
        while holds(weights, f"block3.{blocks}."):
            blocks += 1
        shown = {
            "widths": tuple(weights[name].shape[0] for name in layers),
            "blocks": blocks,
            "mlp_ratio": weights[hidden].shape[0] // weights[hidden].shape[1],
            "pointwise": holds(weights, "block3.0.rep_conv."),
            "distilled": "head_kd.weight" in weights,
            "num_classes": weights["head.weight"].shape[0],
            "in_channels": weights[stem].shape[1],
        }
        notes = {"levels": "a constant of the code; the networks called 1x8 have 8: --set levels=8"}
        return Published(shown, {"time_steps": 1, "heads": 8, "levels": 4, "image_size": 224}, notes=notes)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores; the mean of both heads where there are two."""
        x = in_time(x, self.config)
        for name in _STAGES:
            stage = self.get_submodule(name)
            for part in stage if isinstance(stage, nn.ModuleList) else [stage]:
                x = part(x)
        x = x.flatten(3)
        for block in self.block3:
            x = block(x)
        x = x.mean(3)
        scores = self.head(x).mean(0)
        return (scores + self.head_kd(self.lif(x)).mean(0)) / 2 if self.config.distilled else scores
