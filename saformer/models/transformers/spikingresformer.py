"""SpikingResformer: a spiking ResNet of three stages whose blocks are DSSA and group-wise feed-forward networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.attention.dssa import DSSA
from saformer.errors import InputError
from saformer.models.config import Model, in_time
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.models.transformer_config import AttentiveConfig, check_heads
from saformer.neurons import LIF, PLIF
from saformer.pooling import MaxPool2d
from saformer.steps import StepNorm, per_step

IMAGENET = {"in_channels": 3, "image_size": 224, "num_classes": 1000, "time_steps": 4}
_EVENTS = {"stem": "conv3x3", "in_channels": 2, "image_size": 64, "time_steps": 16, "summed": True}
# The same weights at T of 16 and images of 64 pixels.
_ALIKE = {"summed": "the network for CIFAR10-DVS has the same parameters: --set summed=true"}
_NEURONS = {"lif": LIF, "plif": PLIF}


@dataclass(frozen=True, kw_only=True)
class SpikingResformerConfig(AttentiveConfig):
    """Settings of SpikingResformer; tuples have an entry for each stage.

    Args:
        widths: channels.
        blocks: pairs of DSSA and feed-forward network.
        heads: attention heads.
        patches: side of the patches that DSSA sees keys in.
        group: channels of a group of the grouped convolutions.
        stem: "conv7x7" with stride 2 and a max pool (ImageNet), or "conv3x3".
        neuron: "lif", or "plif" (DVS128 Gesture).
        summed: event frames get a third channel, the sum of both polarities, as the published code gives them.
    """

    widths: tuple[int, ...] = (64, 192, 384)
    blocks: tuple[int, ...] = (1, 2, 3)
    heads: tuple[int, ...] = (1, 3, 6)
    patches: tuple[int, ...] = (4, 2, 1)
    group: int = 64
    stem: str = "conv7x7"
    neuron: str = "lif"
    summed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("group")
        self.check_one_of("stem", ("conv7x7", "conv3x3"))
        self.check_one_of("neuron", _NEURONS)
        if self.summed and self.in_channels != 2:
            raise InputError(
                f"{self.family}: summed adds a channel to the two of event frames; in_channels is {self.in_channels}"
            )
        self.check_whole_each("widths")
        for name in ("blocks", "heads", "patches"):
            self.check_whole_each(name, len(self.widths))
        for dim, heads in zip(self.widths, self.heads, strict=True):
            check_heads(self.family, dim, heads)
            if 4 * dim % self.group:
                raise InputError(f"{self.family}: group must divide the {4 * dim} hidden channels, got {self.group}")
        for size, patch in zip(self.sizes, self.patches, strict=True):
            if size < patch:
                raise InputError(
                    f"{self.family}: an image of {self.image_size} pixels leaves {size} in a stage "
                    f"whose patches have {patch}: give a larger image_size"
                )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Height of the image in each stage, as the published code takes it."""
        first = self.image_size // 4 if self.stem == "conv7x7" else self.image_size
        return tuple(first // 2**stage for stage in range(len(self.widths)))

    @property
    def sides(self) -> tuple[int, ...]:
        """Height of the image in each stage, as its convolutions leave it."""
        first = -(-self.image_size // 4) if self.stem == "conv7x7" else self.image_size
        return tuple(-(-first // 2**stage) for stage in range(len(self.widths)))

    def make_attention(self, stage: int, neuron: Callable[[], nn.Module]) -> nn.Module:
        """DSSA of a stage (from 0) with its shortcut, or another attention with it."""
        dim, heads, patch = self.widths[stage], self.heads[stage], self.patches[stage]
        length = (self.sizes[stage] // patch) ** 2
        made = self.attention_at(
            lambda: DSSA(dim, heads, length, (patch, patch), neuron, shortcut=True),
            dim,
            heads,
            self.sides[stage],
            "conv2d",
            "membranes",
            "membranes",
        )
        return made if self.attention is None else Shortcut(made)


class Shortcut(nn.Module):
    """X + attention(X), as the module DSSA does by itself."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x H x W."""
        return x + self.inner(x)


class GWFFN(nn.Module):
    """Group-wise feed-forward network: Conv1x1 to 4 D, a grouped Conv3x3 with a shortcut, Conv1x1 to D, shortcut."""

    def __init__(self, dim: int, group: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        hidden = 4 * dim
        middle = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden // group, bias=False)
        self.up = nn.Sequential(neuron(), nn.Conv2d(dim, hidden, 1, bias=False), StepNorm(hidden))
        self.conv = nn.ModuleList([nn.Sequential(neuron(), middle, StepNorm(hidden))])
        self.down = nn.Sequential(neuron(), nn.Conv2d(hidden, dim, 1, bias=False), StepNorm(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x H x W."""
        hidden = inner = _run(self.up, x)
        for layer in self.conv:
            inner = _run(layer, inner)
        return _run(self.down, inner + hidden) + x


def _run(layer: nn.Module, x: Tensor) -> Tensor:
    """Neuron, convolution, BatchNorm."""
    neuron, convolution, norm = layer.children()
    return norm(per_step(convolution, neuron(x)))


class DownSample(nn.Module):
    """Neuron, Conv3x3 of stride 2, BatchNorm."""

    def __init__(self, inputs: int, outputs: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.norm = StepNorm(outputs)
        self.activation = neuron()

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, at half the size."""
        return self.norm(per_step(self.conv, self.activation(x)))


@register_model(
    "spikingresformer",
    title="SpikingResformer, DSSA attention",
    config=SpikingResformerConfig,
    presets={
        "spikingresformer-ti": {**IMAGENET, "widths": (64, 192, 384), "heads": (1, 3, 6)},
        "spikingresformer-s": {**IMAGENET, "widths": (64, 256, 512), "heads": (1, 4, 8)},
        "spikingresformer-m": {**IMAGENET, "widths": (64, 384, 768), "heads": (1, 6, 12)},
        "spikingresformer-l": {**IMAGENET, "widths": (128, 512, 1024), "heads": (2, 8, 16)},
        "spikingresformer-cifar": {
            "stem": "conv3x3",
            "in_channels": 3,
            "image_size": 32,
            "num_classes": 10,
            "time_steps": 4,
        },
        "spikingresformer-dvs": {**_EVENTS, "num_classes": 10},
        "spikingresformer-gesture": {
            **_EVENTS,
            "num_classes": 11,
            "widths": (32, 96, 192),
            "group": 32,
            "neuron": "plif",
        },
    },
)
class SpikingResformer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: SpikingResformerConfig

    def __init__(self, config: SpikingResformerConfig) -> None:
        super().__init__(config)
        first, neuron = config.widths[0], _NEURONS[config.neuron]
        inputs = config.in_channels + config.summed
        if config.stem == "conv7x7":
            self.prologue = nn.Sequential(
                nn.Conv2d(inputs, first, 7, 2, 3, bias=False),
                StepNorm(first),
                MaxPool2d(3, 2, 1),
            )
        else:
            self.prologue = nn.Sequential(nn.Conv2d(inputs, first, 3, 1, 1, bias=False), StepNorm(first))
        self.layers = nn.Sequential()
        inputs = first
        for stage, (dim, blocks) in enumerate(zip(config.widths, config.blocks, strict=True)):
            parts: list[nn.Module] = [DownSample(inputs, dim, neuron)] if stage else []
            for _ in range(blocks):
                parts.append(config.make_attention(stage, neuron))
                parts.append(GWFFN(dim, config.group, neuron))
            self.layers.append(nn.Sequential(*parts))
            inputs = dim
        self.classifier = nn.Linear(inputs, config.num_classes, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Rates of the spikes of each head, in DSSA, and a prologue.

        A prologue of three channels reads images, or events with their sum: the network for CIFAR10-DVS has the
        parameters of that for CIFAR, and only PLIF neurons, published for gestures alone, tell events by themselves.
        """
        stem, head = weights.get("prologue.0.weight"), weights.get("classifier.weight")
        if stem is None or head is None or "layers.0.0.firing_rate_x" not in weights:
            return None
        group = weights.get("layers.0.1.conv.0.1.weight")
        if stem.ndim != 4 or head.ndim != 2 or group is None or group.ndim != 4:
            raise InputError("prologue.0, layers.0.1.conv.0.1 or classifier is missing or has a wrong shape")
        stages = [[name for name in weights if name.startswith(f"layers.{s}.")] for s in range(len(weights))]
        kernels = [
            [weights[name] for name in stage if name.endswith(".W.weight") and weights[name].ndim == 4]
            for stage in stages
            if stage
        ]
        rates = [[weights[name] for name in stage if name.endswith(".firing_rate_x")] for stage in stages if stage]
        if not all(kernels) or not all(rate and rate[0].ndim == 5 for rate in rates):
            raise InputError("a stage of the checkpoint has no layer W, or no firing_rate_x, in its DSSA")
        learned = "layers.0.0.activation_in.w" in weights
        shown = {
            "widths": tuple(stage[0].shape[1] for stage in kernels),
            "blocks": tuple(len(stage) for stage in kernels),
            "heads": tuple(stage[0].shape[2] for stage in rates),
            "patches": tuple(stage[0].shape[2] for stage in kernels),
            "group": group.shape[1],
            "stem": "conv7x7" if stem.shape[2] == 7 else "conv3x3",
            "neuron": "plif" if learned else "lif",
            "num_classes": head.shape[0],
        }
        channels, large = stem.shape[1], shown["stem"] == "conv7x7"
        if channels == 3 and stored.get("summed", learned or stored.get("in_channels") == 2):
            return Published({**shown, "in_channels": 2}, {"time_steps": 16, "image_size": 64, "summed": True})
        defaults = {"time_steps": 4, "image_size": 224 if large else 32, "summed": False}
        if channels == 3 and not large:
            return Published(shown, {**defaults, "in_channels": channels}, notes=_ALIKE)
        return Published({**shown, "in_channels": channels}, defaults)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps; the classifier reads the mean membrane over pixels."""
        convolution, norm, *pool = self.prologue.children()
        x = in_time(x, self.config)
        if self.config.summed:
            x = torch.cat((x, x.sum(2, keepdim=True)), 2)
        x = norm(per_step(convolution, x))
        for module in pool:
            x = per_step(module, x)
        return self.classifier(self.layers(x).mean((3, 4))).mean(0)
