"""The SEW networks for event data (Fang et al., arXiv 2102.04159): 7B-Net and Wide-7B-Net, of PLIF neurons."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.convolutional.residual import conv1x1, conv3x3, initialise_residual, without_containers
from saformer.models.convolutional.sew_resnet import CONNECTIONS, connect
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.neurons import PLIF
from saformer.steps import PerStep


@dataclass(frozen=True, kw_only=True)
class SEW7BConfig(ModelConfig):
    """Settings of the SEW networks for event data.

    Args:
        widths: channels of each block; behind each the image is halved.
        connect: ADD, AND or IAND.
    """

    widths: tuple[int, ...] = (32,) * 7
    connect: str = "ADD"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole_each("widths")
        self.check_one_of("connect", CONNECTIONS)
        if self.grid < 1:
            raise InputError(
                f"{self.family}: {len(self.widths)} pools leave nothing of {self.image_size} pixels: "
                "give fewer widths, such as 32,32"
            )

    @property
    def grid(self) -> int:
        """Pixels along one side behind the last pool."""
        return self.image_size >> len(self.widths)


def layer(convolution: nn.Conv2d) -> nn.Sequential:
    """A convolution, BatchNorm and neurons."""
    return nn.Sequential(PerStep(convolution, nn.BatchNorm2d(convolution.out_channels)), PLIF())


class Block(nn.Module):
    """Two layers of 3x3 convolutions, joined with what they read."""

    def __init__(self, channels: int, connection: str) -> None:
        super().__init__()
        self.connection = connection
        self.conv = nn.Sequential(layer(conv3x3(channels, channels)), layer(conv3x3(channels, channels)))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`, T x B x C x H x W; with ADD sums of spikes."""
        return connect(self.connection, self.conv(x), x)


@register_model(
    "sew7b",
    title="SEW 7B-Net",
    config=SEW7BConfig,
    presets={
        "sew-7b-net-gesture": {"in_channels": 2, "image_size": 128, "num_classes": 11, "time_steps": 16},
        "wide-7b-net-dvs": {
            "in_channels": 2,
            "image_size": 128,
            "num_classes": 10,
            "time_steps": 16,
            "widths": (64, 64, 64, 64, 128, 128, 128),
        },
    },
)
class SEW7BNet(Model):
    """B x T x C x H x W event frames or B x C x H x W images -> B x classes."""

    config: SEW7BConfig

    def __init__(self, config: SEW7BConfig) -> None:
        super().__init__(config)
        self.conv = nn.Sequential()
        before = config.in_channels
        for channels in config.widths:
            if channels != before:
                self.conv.append(layer(conv1x1(before, channels)))
            self.conv.append(Block(channels, config.connect))
            self.conv.append(PerStep(nn.MaxPool2d(2)))
            before = channels
        self.out = nn.Linear(before * config.grid**2, config.num_classes)
        initialise_residual(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Blocks in one sequence, with a 1x1 convolution before those that read another number of channels."""
        renamed = without_containers(weights)
        weights = {renamed[name]: tensor for name, tensor in weights.items()}
        if "out.weight" not in weights or not any(re.fullmatch(r"conv\.[01]\.conv\.0\.1\.w", name) for name in weights):
            return None
        blocks: dict[int, int] = {}  # channels by place in the sequence
        for name, tensor in weights.items():
            if block := re.fullmatch(r"conv\.(\d+)\.conv\.0\.0\.0\.weight", name):
                blocks[int(block[1])] = tensor.shape[0]
        channels = tuple(blocks[place] for place in sorted(blocks))
        classes, features = weights["out.weight"].shape
        first = weights.get("conv.0.0.0.weight")
        shown = {
            "widths": channels,
            "num_classes": classes,
            "in_channels": channels[0] if first is None else first.shape[1],
        }
        grid = max(round((features / channels[-1]) ** 0.5), 1)
        defaults = {"image_size": grid << len(channels), "connect": "ADD", "time_steps": 16}
        return Published(shown, defaults, renamed=renamed)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean over time of what the last pool puts out: the head runs once."""
        return self.out(self.conv(in_time(x, self.config)).flatten(2).mean(0))
