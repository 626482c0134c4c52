"""TCJA-SNN (Zhu et al., arXiv 2206.10177): a plain network whose last layers weigh spikes by time step and channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.convolutional.vgg_parts import SteadyDropout
from saformer.models.recognition import Published, rank
from saformer.models.registry import register_model
from saformer.naming import named
from saformer.neurons import LIF
from saformer.steps import PerStep

VOTES = 10


@dataclass(frozen=True, kw_only=True)
class TCJAConfig(ModelConfig):
    """Settings of TCJA-SNN.

    Args:
        width: channels of the convolutions.
        blocks: convolutions, each with a pool behind it.
        attended: how many of the last ones have the attention.
        step_kernel: how many channels the convolution over channels, which mixes steps, sees.
        channel_kernel: how many steps the convolution over steps, which mixes channels, sees.
    """

    width: int = 128
    blocks: int = 5
    attended: int = 2
    step_kernel: int = 4
    channel_kernel: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("width", "blocks", "attended", "step_kernel", "channel_kernel")
        if self.attended > self.blocks:
            raise InputError(f"{self.family}: attended must be at most blocks, {self.blocks}, got {self.attended}")
        if self.image_size >> self.blocks < 1:
            raise InputError(
                f"{self.family}: an image of {self.image_size} pixels is too small for {self.blocks} pools"
            )

    @property
    def features(self) -> int:
        """Values that the first linear layer reads."""
        return self.width * (self.image_size >> self.blocks) ** 2


class TCJA(nn.Module):
    """Temporal-channel joint attention: `x sigmoid(Conv_T(m) Conv_C(m))`, m the mean of x over the image.

    `Conv_T` slides over the channels and mixes the steps, `Conv_C` slides over the steps and mixes the channels.
    """

    def __init__(self, config: TCJAConfig) -> None:
        super().__init__()
        steps, channels = config.time_steps, config.width
        self.conv = nn.Conv1d(steps, steps, config.step_kernel, padding="same", bias=False)
        self.conv_c = nn.Conv1d(channels, channels, config.channel_kernel, padding="same", bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> the same shape."""
        mean = x.mean((3, 4)).transpose(0, 1)
        by_step = self.conv(mean).transpose(0, 1)
        by_channel = self.conv_c(mean.transpose(1, 2)).permute(2, 0, 1)
        with named("joint"):
            joint = by_channel * by_step
        with named("attended"):
            return x * joint.sigmoid()[..., None, None]


@register_model(
    "tcja",
    title="TCJA-SNN, temporal-channel joint attention",
    config=TCJAConfig,
    presets={"tcja-snn-gesture": {"in_channels": 2, "image_size": 128, "num_classes": 11, "time_steps": 20}},
)
class TCJASNN(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes; T is that of the weights."""

    config: TCJAConfig

    def __init__(self, config: TCJAConfig) -> None:
        super().__init__(config)
        self.conv = nn.Sequential()
        inputs = config.in_channels
        for block in range(config.blocks):
            convolution = nn.Conv2d(inputs, config.width, 3, padding=1, bias=False)
            self.conv.append(PerStep(convolution, nn.BatchNorm2d(config.width)))
            self.conv.append(LIF())
            if block >= config.blocks - config.attended:
                self.conv.append(TCJA(config))
            self.conv.append(PerStep(nn.MaxPool2d(2)))
            inputs = config.width
        hidden = max(config.features // 4, 1)
        self.fc = nn.Sequential(
            nn.Flatten(2),
            SteadyDropout(0.5),
            PerStep(nn.Linear(config.features, hidden, bias=False)),
            LIF(),
            SteadyDropout(0.5),
            PerStep(nn.Linear(hidden, config.num_classes * VOTES, bias=False)),
            LIF(),
        )

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Convolution and norm in a container at `conv.0`, and somewhere behind it convolutions over T and channels."""
        joint = sorted(name for name in weights if name.startswith("conv.") and name.endswith(".conv_c.weight"))
        first, head = weights.get("conv.0.0.weight"), weights.get("fc.5.0.weight")
        if not joint or first is None or head is None or rank(weights, "fc.2.0.weight") != 2 or head.shape[0] % VOTES:
            return None
        by_step, by_channel = weights[joint[0].replace("conv_c", "conv")], weights[joint[0]]
        blocks = sum(name.startswith("conv.") and name.endswith(".0.weight") for name in weights)
        channels = first.shape[0]
        side = max(round((weights["fc.2.0.weight"].shape[1] / channels) ** 0.5), 1)
        shown = {
            "num_classes": head.shape[0] // VOTES,
            "in_channels": first.shape[1],
            "time_steps": by_step.shape[0],
            "width": channels,
            "blocks": blocks,
            "attended": len(joint),
            "step_kernel": by_step.shape[2],
            "channel_kernel": by_channel.shape[2],
        }
        return Published(shown, {"image_size": side << blocks})

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: the mean over time of the spikes of ten neurons for each class."""
        spikes = self.fc(self.conv(in_time(x, self.config)))
        return spikes.mean(0).unflatten(-1, (self.config.num_classes, VOTES)).mean(-1)
