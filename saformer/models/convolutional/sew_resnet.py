"""SEW-ResNet and Spiking ResNet (Fang et al., arXiv 2102.04159): shortcuts joined behind or before the neuron."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.models.config import Model
from saformer.models.convolutional.residual import (
    ResidualConfig,
    before_time,
    conv1x1,
    conv3x3,
    initialise_residual,
    stage_sizes,
    stages,
    without_containers,
)
from saformer.models.recognition import Published, holds
from saformer.models.registry import register_model
from saformer.naming import named
from saformer.neurons import IF
from saformer.steps import PerStep

#: How spikes of a block and of its shortcut are joined.
CONNECTIONS = ("ADD", "AND", "IAND")

CIFAR = {"in_channels": 3, "image_size": 32, "stem": "3x3"}
IMAGENET = {"in_channels": 3, "image_size": 224, "num_classes": 1000, "time_steps": 4}

# Blocks of each stage by number of layers, and whether they are bottlenecks.
_DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def connect(connection: str, spikes: Tensor, shortcut: Tensor) -> Tensor:
    """g(A, S) of the paper's Table 1: S + A, S A or S (1 - A), with A the spikes of the block and S the shortcut."""
    if connection == "ADD":
        return spikes + shortcut
    with named("connect"):
        return spikes * shortcut if connection == "AND" else shortcut * (1.0 - spikes)


@dataclass(frozen=True, kw_only=True)
class SEWResNetConfig(ResidualConfig):
    """Settings of SEW-ResNet.

    Args:
        stem: "7x7", stride 2, with a max pool behind the neurons (ImageNet), or "3x3", stride 1, without (CIFAR).
        bottleneck: blocks of three convolutions that put out four times their width, as from 50 layers on.
        connect: ADD, AND or IAND; or MEMBRANE for Spiking ResNet, which adds before the neuron.
    """

    stem: str = "7x7"
    bottleneck: bool = False
    connect: str = "ADD"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("stem", ("7x7", "3x3"))
        self.check_one_of("connect", (*CONNECTIONS, "MEMBRANE"))

    @property
    def expansion(self) -> int:
        """Channels that a block puts out over its width."""
        return 4 if self.bottleneck else 1


class Block(nn.Module):
    """Two or three times Conv-BN-S, joined with the shortcut, under the published names."""

    def __init__(self, config: SEWResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.connect, outputs = config.connect, width * config.expansion
        if config.bottleneck:
            layers = [conv1x1(inputs, width), conv3x3(width, width, stride), conv1x1(width, outputs)]
        else:
            layers = [conv3x3(inputs, width, stride), conv3x3(width, width)]
        self.count = len(layers)
        for i, convolution in enumerate(layers, start=1):
            self.add_module(f"conv{i}", PerStep(convolution, nn.BatchNorm2d(convolution.out_channels)))
            self.add_module(f"sn{i}", IF())
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = PerStep(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
            if config.connect != "MEMBRANE":
                self.downsample = nn.Sequential(self.downsample, IF())

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x C' x H' x W'; spikes, or with ADD sums of them."""
        out = x
        for i in range(1, self.count):
            out = self.get_submodule(f"sn{i}")(self.get_submodule(f"conv{i}")(out))
        out, last = self.get_submodule(f"conv{self.count}")(out), self.get_submodule(f"sn{self.count}")
        shortcut = x if self.downsample is None else self.downsample(x)
        return last(out + shortcut) if self.connect == "MEMBRANE" else connect(self.connect, last(out), shortcut)


@register_model(
    "sewresnet",
    title="SEW-ResNet",
    config=SEWResNetConfig,
    presets={
        "sew-resnet-18": {**CIFAR, "num_classes": 100, "time_steps": 6},
        "sew-resnet-21": {**CIFAR, "num_classes": 10, "time_steps": 16},
        **{
            f"{name}-{depth}-imagenet": {**IMAGENET, "blocks": blocks, "bottleneck": bottleneck, "connect": connection}
            for name, connection in (("sew-resnet", "ADD"), ("spiking-resnet", "MEMBRANE"))
            for depth, (blocks, bottleneck) in _DEPTHS.items()
        },
    },
)
class SEWResNet(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    The published code is that for ImageNet. `sew-resnet-18` and `sew-resnet-21` (the same network, its three shortcuts
    counted) have the stem of ResNets for CIFAR, and otherwise are as published.
    """

    config: SEWResNetConfig

    def __init__(self, config: SEWResNetConfig) -> None:
        super().__init__(config)
        width = config.widths[0]
        large = config.stem == "7x7"
        kernel, stride = (7, 2) if large else (3, 1)
        self.conv1 = nn.Conv2d(config.in_channels, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.sn1 = IF()
        self.maxpool = PerStep(nn.MaxPool2d(3, stride=2, padding=1)) if large else nn.Identity()
        made = stages(
            lambda inputs, width, stride: Block(config, inputs, width, stride),
            width,
            config.widths,
            config.blocks,
            expansion=config.expansion,
        )
        self.stages = [f"layer{stage}" for stage in range(1, len(made) + 1)]
        for name, stage in zip(self.stages, made, strict=True):
            self.add_module(name, stage)
        self.fc = nn.Linear(config.widths[-1] * config.expansion, config.num_classes)
        initialise_residual(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Convolution and BatchNorm in SpikingJelly's containers; only Spiking ResNet has no neuron in shortcuts."""
        renamed = without_containers(weights)
        weights = {renamed[name]: tensor for name, tensor in weights.items()}
        if not {"conv1.weight", "fc.weight", "layer1.0.conv1.0.weight"} <= weights.keys():
            return None
        first = weights["conv1.weight"]
        large = first.shape[-1] == 7
        shown = {
            **stage_sizes(weights, "layer{}", "conv1.0.weight"),
            "stem": "7x7" if large else "3x3",
            "bottleneck": holds(weights, "layer1.0.conv3."),
            "num_classes": weights["fc.weight"].shape[0],
            "in_channels": first.shape[1],
        }
        if any(name.endswith(".downsample.0.weight") for name in weights):
            shown["connect"] = "MEMBRANE"
        defaults = {"time_steps": 4, "image_size": 224 if large else 32, "connect": "ADD"}
        return Published(shown, defaults, renamed=renamed)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over time of what the last block puts out: the head runs once, and so does the first
        convolution for an image.
        """
        x = self.maxpool(self.sn1(before_time(lambda image: self.bn1(self.conv1(image)), x, self.config)))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return self.fc(x.mean((3, 4)).mean(0))
