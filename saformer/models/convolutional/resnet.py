"""ResNets with the neuron behind the sum: ResNet-19 of tdBN and TET and as an ANN, ResNet-18 of Dspike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from saformer.models.config import Model, in_time
from saformer.models.convolutional.residual import ResidualConfig, initialise_residual, leaky, stage_sizes, stages
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.steps import StepConv2d, StepNorm, per_step

RESNET_19 = {"in_channels": 3, "image_size": 32, "num_classes": 10}
DSPIKE = {
    "blocks": (2, 2, 2, 2),
    "widths": (64, 128, 256, 512),
    "stem": 3,
    "shortcut": "pool",
    "hidden": 0,
    "norm": "batch",
    "head_spikes": False,
    "threshold": 1.0,
    "tau": 2.0,
}
TET = {"norm": "batch", "head_spikes": False, "threshold": 1.0, "tau": 2.0}

_ALIKE = {"neuron": "its ANN has the same parameters: --set neuron=relu"}

#: Names under which the published code registers a layer again.
REPEATED = r"(.+\.)?(conv|fc)\d_s\..+|(.+\.)?seqbn\..+"


@dataclass(frozen=True, kw_only=True)
class ResNetConfig(ResidualConfig):
    """Settings of ResNets with the neuron behind the sum.

    Args:
        stem_width: channels of the stem.
        stem: number of 3x3 convolutions in it; behind several the image is halved by an average pool.
        shortcut: "stride" where the 1x1 convolution of a shortcut has the stride, "pool" behind an average pool.
        hidden: width of the layer before the last one; 0 for none.
        neuron: "lif", or "relu" for an ANN.
        norm: "tdbn" scales what BatchNorm gives by V_th, and by sqrt(1/2) before a sum (Zheng et al. 2021); "batch"
            does not.
        head_spikes: neurons stand behind the head, and their spikes are averaged; otherwise its currents are.
        threshold: V_th.
        tau: time constant of the membrane in steps, of which 1 - 1/tau stays after one.
    """

    blocks: tuple[int, ...] = (3, 3, 2)
    widths: tuple[int, ...] = (128, 256, 512)
    stem_width: int = 64
    stem: int = 1
    shortcut: str = "stride"
    hidden: int = 256
    neuron: str = "lif"
    norm: str = "tdbn"
    head_spikes: bool = True
    threshold: float = 0.2
    tau: float = 4 / 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("stem_width", "stem")
        if self.hidden != 0:
            self.check_whole("hidden")
        self.check_one_of("shortcut", ("stride", "pool"))
        self.check_one_of("neuron", ("lif", "relu"))
        self.check_one_of("norm", ("tdbn", "batch"))
        self.check_number("threshold", above=0)
        self.check_number("tau", above=1)

    def make_neuron(self) -> nn.Module:
        """A layer of neurons."""
        return leaky(self.threshold, self.tau) if self.spiking else nn.ReLU()

    @property
    def spiking(self) -> bool:
        """Whether its neurons are no ReLU."""
        return self.neuron != "relu"

    def make_norm(self, channels: int, summed: bool = False) -> nn.Module:
        """BatchNorm of a layer, whose result is part of a sum or is not."""
        if self.norm == "batch":
            return StepNorm(channels)
        return ThresholdNorm(channels, self.threshold * (0.5**0.5 if summed else 1.0))


class ThresholdNorm(nn.BatchNorm2d):
    """tdBN: scale weight (x - mean) / sqrt(var + eps) + bias over batch, space and time, T x B x C x H x W."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__(channels)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x`."""
        statistics = self.running_mean, self.running_var
        normed = F.batch_norm(
            x.flatten(0, 1),
            *statistics,
            self.weight * self.scale,
            self.bias,
            self.training,
            self.momentum or 0.0,
            self.eps,
        )
        return normed.unflatten(0, x.shape[:2])


class Shortcut(nn.Module):
    """An average pool where the setting says so, Conv1x1 and BatchNorm, under the names of the published code."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        pools = config.shortcut == "pool" and stride != 1
        self.pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if pools else nn.Identity()
        convolution = nn.Conv2d(inputs, width, 1, 1 if pools else stride, bias=False)
        self.layer = convolution if config.norm == "tdbn" else Module(convolution)
        self.bn = config.make_norm(width, summed=True)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x C' x H' x W'."""
        return self.bn(per_step(lambda image: self.layer(self.pool(image)), x))


class Module(nn.Module):
    """A layer under the name `module`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives."""
        return self.module(x)


class Block(nn.Module):
    """S(BN(Conv3x3(S(BN(Conv3x3(x))))) + shortcut(x)), spikes from spikes."""

    def __init__(self, config: ResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = StepConv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = config.make_norm(width)
        self.spike1 = config.make_neuron()
        self.conv2 = StepConv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = config.make_norm(width, summed=True)
        self.downsample = Shortcut(config, inputs, width, stride) if stride != 1 or inputs != width else nn.Identity()
        self.spike2 = config.make_neuron()

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x C' x H' x W'."""
        out = self.spike1(self.bn1(self.conv1(x)))
        return self.spike2(self.bn2(self.conv2(out)) + self.downsample(x))


@register_model(
    "resnet",
    title="ResNet of tdBN, TET, Dspike",
    config=ResNetConfig,
    presets={
        "ann-resnet-19": {**RESNET_19, **TET, "time_steps": 1, "neuron": "relu"},
        "tdbn-resnet-19": {**RESNET_19, "time_steps": 6},
        "tdbn-resnet-19-dvs": {"in_channels": 2, "image_size": 48, "num_classes": 10, "time_steps": 10},
        "tdbn-resnet-19-gesture": {"in_channels": 2, "image_size": 128, "num_classes": 11, "time_steps": 40},
        "tet-resnet-19": {**RESNET_19, **TET, "time_steps": 4},
        "dspike-resnet-18": {**DSPIKE, "in_channels": 3, "image_size": 32, "num_classes": 100, "time_steps": 6},
        "dspike-resnet-18-dvs": {**DSPIKE, "in_channels": 2, "image_size": 48, "num_classes": 10, "time_steps": 10},
    },
)
class ResNet(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    tdBN's own code is not public: its ResNet-19 is that of a public implementation, which the code of TET took over
    (without the scale of tdBN, and without neurons at the output). Dspike's code is not public either:
    `dspike-resnet-18` is the ResNet with three convolutions in its stem that later papers compare with it.
    """

    config: ResNetConfig

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__(config)
        inputs = config.in_channels
        for i in range(1, config.stem + 1):
            self.add_module(f"conv{i}", StepConv2d(inputs, config.stem_width, 3, padding=1, bias=False))
            self.add_module(f"bn{i}", config.make_norm(config.stem_width))
            self.add_module(f"spike{i}", config.make_neuron())
            inputs = config.stem_width
        self.stem_pool = nn.AvgPool2d(2, ceil_mode=True) if config.stem > 1 else nn.Identity()
        made = stages(
            lambda inputs, width, stride: Block(config, inputs, width, stride), inputs, config.widths, config.blocks
        )
        self.stages = [f"layer{stage}" for stage in range(1, len(made) + 1)]
        for name, stage in zip(self.stages, made, strict=True):
            self.add_module(name, stage)
        features = config.widths[-1]
        if config.hidden:
            self.fc1 = nn.Linear(features, config.hidden)
            self.fc1_spike = config.make_neuron()
        self.fc2 = nn.Linear(config.hidden or features, config.num_classes)
        self.fc2_spike = config.make_neuron() if config.head_spikes else nn.Identity()
        initialise_residual(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """ResNet-19 of tdBN, or of TET, whose BatchNorm lies a level deeper; V_th and tau are constants there.

        The ANN of TET's code has the same parameters.
        """
        if not {"conv1.weight", "layer1.0.conv1.weight", "fc1.weight", "fc2.weight"} <= weights.keys():
            return None
        if "bn1.bn.weight" in weights:
            code = TET
        elif "layer1.0.downsample.layer.weight" in weights:
            code = {"norm": "tdbn", "head_spikes": True, "threshold": 0.2, "tau": 4 / 3}
        else:
            return None
        first = weights["conv1.weight"]
        shown = {
            **stage_sizes(weights, "layer{}", "conv1.weight"),
            "norm": code["norm"],
            "stem_width": first.shape[0],
            "hidden": weights["fc1.weight"].shape[0],
            "num_classes": weights["fc2.weight"].shape[0],
            "in_channels": first.shape[1],
        }
        defaults = {key: code[key] for key in ("head_spikes", "threshold", "tau")}
        if code is not TET:
            return Published({**shown, "neuron": "lif"}, defaults, repeated=REPEATED)
        return Published(shown, {**defaults, "neuron": "lif"}, repeated=REPEATED, notes=_ALIKE)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps."""
        x = in_time(x, self.config)
        for i in range(1, self.config.stem + 1):
            x = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x))
            x = self.get_submodule(f"spike{i}")(x)
        x = per_step(self.stem_pool, x)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        x = x.mean((3, 4))
        if self.config.hidden:
            x = self.fc1_spike(self.fc1(x))
        return self.fc2_spike(self.fc2(x)).mean(0)
