"""MS-ResNet: shortcuts of membranes, a neuron before every convolution (Hu et al., arXiv 2112.08954)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, in_time
from saformer.models.convolutional.residual import ResidualConfig, initialise_residual, leaky, stage_sizes, stages
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.steps import StepConv2d, StepNorm

CIFAR = {"in_channels": 3, "image_size": 32, "stem": "3x3"}
IMAGENET = {"in_channels": 3, "image_size": 224, "num_classes": 1000, "time_steps": 6}

# Kernel and stride of the convolutions of the stem, and whether they have biases.
_STEMS = {"3x3": ((3, 1),), "7x7": ((7, 2),), "3x3x3": ((3, 2), (3, 1), (3, 1))}


@dataclass(frozen=True, kw_only=True)
class MSResNetConfig(ResidualConfig):
    """Settings of MS-ResNet.

    Args:
        stem: "3x3" keeps the image (CIFAR); "7x7" halves it (ImageNet, 18 and 34 layers), and so do the three
            convolutions "3x3x3" (104 layers). After the last two the first stage halves the image, too.
        shortcut: "stride" where the 1x1 convolution of a shortcut has the stride, "pool" behind an average pool.
        threshold: V_th.
        tau: time constant of the membrane in steps, of which 1 - 1/tau stays after one.
    """

    stem: str = "7x7"
    shortcut: str = "stride"
    threshold: float = 0.5
    tau: float = 4 / 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("stem", _STEMS)
        self.check_one_of("shortcut", ("stride", "pool"))
        self.check_number("threshold", above=0)
        self.check_number("tau", above=1)
        if self.shortcut == "pool" and self.image_size < self.least_size:
            raise InputError(f"{self.family}: its pools need images of {self.least_size} pixels, got {self.image_size}")

    @property
    def first_stride(self) -> int:
        """Of the first stage."""
        return 1 if self.stem == "3x3" else 2

    @property
    def least_size(self) -> int:
        """Pixels that leave the pools of all shortcuts an even number."""
        halvings = len(self.widths) - 1 + (2 if self.first_stride == 2 else 0)
        return 2**halvings


class Block(nn.Module):
    """BN(Conv3x3(S(BN(Conv3x3(S(x)))))) + x, a sum of membranes; BN(Conv1x1(x)) instead of x where the size changes."""

    def __init__(self, config: MSResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()

        def neuron() -> nn.Module:
            return leaky(config.threshold, config.tau)

        self.residual_function = nn.Sequential(
            neuron(),
            StepConv2d(inputs, width, 3, stride, padding=1, bias=False),
            StepNorm(width),
            neuron(),
            StepConv2d(width, width, 3, padding=1, bias=False),
            StepNorm(width),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            pools = config.shortcut == "pool"
            if pools:
                self.shortcut.append(nn.AvgPool3d((1, stride, stride)))
            self.shortcut.append(StepConv2d(inputs, width, 1, 1 if pools else stride, bias=False))
            self.shortcut.append(StepNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x C x H x W."""
        return self.residual_function(x) + self.shortcut(x)


@register_model(
    "msresnet",
    title="MS-ResNet",
    config=MSResNetConfig,
    presets={
        "ms-resnet-18": {**CIFAR, "num_classes": 100, "time_steps": 6},
        "ms-resnet-21": {**CIFAR, "num_classes": 10, "time_steps": 16},
        "ms-resnet-20-dvs": {"in_channels": 2, "image_size": 48, "num_classes": 10, "time_steps": 10, "stem": "3x3"},
        "ms-resnet-18-imagenet": IMAGENET,
        "ms-resnet-34-imagenet": {**IMAGENET, "blocks": (3, 4, 6, 3)},
        "ms-resnet-104-imagenet": {**IMAGENET, "blocks": (3, 8, 32, 8), "stem": "3x3x3", "shortcut": "pool"},
    },
)
class MSResNet(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    The published code is that for ImageNet. For CIFAR-10 and CIFAR-100 the paper's ResNet-18 (17 convolutions and the
    head; with its three shortcuts 21 weighted layers) has the stem of ResNets for CIFAR, and for CIFAR10-DVS a network
    of 20 layers is named but not described: `ms-resnet-20-dvs` is the same network on 48 x 48 pixels.
    """

    config: MSResNetConfig

    def __init__(self, config: MSResNetConfig) -> None:
        super().__init__(config)
        self.conv1 = nn.Sequential()
        inputs, width = config.in_channels, config.widths[0]
        several = len(_STEMS[config.stem]) > 1
        for kernel, stride in _STEMS[config.stem]:
            self.conv1.append(StepConv2d(inputs, width, kernel, stride, padding=kernel // 2, bias=several))
            inputs = width
        self.conv1.append(StepNorm(width))
        made = stages(
            lambda inputs, width, stride: Block(config, inputs, width, stride),
            width,
            config.widths,
            config.blocks,
            config.first_stride,
        )
        self.stages = [f"conv{stage + 2}_x" for stage in range(len(made))]
        for name, stage in zip(self.stages, made, strict=True):
            self.add_module(name, stage)
        self.mem_update = leaky(config.threshold, config.tau)
        self.fc = nn.Linear(config.widths[-1], config.num_classes)
        initialise_residual(self)
        for module in self.modules():
            if isinstance(module, StepNorm):
                nn.init.constant_(module.bn.weight, config.threshold)
        for module in self.modules():
            if isinstance(module, Block):  # it begins as its shortcut
                nn.init.zeros_(module.get_parameter("residual_function.5.bn.weight"))

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Residual functions and shortcuts in stages conv2_x, conv3_x, ...; V_th and tau are constants of the code."""
        convolution = "residual_function.1.weight"
        if not {"conv1.0.weight", "fc.weight", f"conv2_x.0.{convolution}"} <= weights.keys():
            return None
        first = weights["conv1.0.weight"]
        stem = "3x3x3" if "conv1.2.weight" in weights else "7x7" if first.shape[-1] == 7 else "3x3"
        pools = any(name.endswith(".shortcut.2.bn.weight") for name in weights)
        shown = {
            **stage_sizes(weights, "conv{}_x", convolution, first=2),
            "stem": stem,
            "shortcut": "pool" if pools else "stride",
            "num_classes": weights["fc.weight"].shape[0],
            "in_channels": first.shape[1],
        }
        size = {"image_size": 32 if stem == "3x3" else 224}
        return Published(shown, {"time_steps": 6, "threshold": 0.5, "tau": 4 / 3, **size})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over time of the rates of the last neurons: the head runs once."""
        x = self.conv1(in_time(x, self.config))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return self.fc(self.mem_update(x).mean((3, 4)).mean(0))
