"""PreAct-ResNet of DSR (Meng et al., arXiv 2205.00459) and SLTT (Meng et al., arXiv 2302.14311)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.models.config import Model, in_time
from saformer.models.convolutional.residual import ResidualConfig, initialise_residual, stage_sizes, stages
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.neurons import IF, LIF, Neuron
from saformer.steps import StepBatchNorm2d, StepConv2d, per_step

CIFAR = {"in_channels": 3, "image_size": 32, "num_classes": 10}

# Settings of the published training scripts.
DSR_LIF = {
    "neuron": "dsr-lif",
    "threshold": 0.3,
    "fires_at": 0.3,
    "least_threshold": 0.0005,
    "tau": 1.0,
    "delta": 0.05,
}
DSR_IF = {"neuron": "dsr-if", "threshold": 6.0, "fires_at": 0.5, "least_threshold": 0.01}
#: What to know of the neurons that V_th hints at.
DSR_NEURON = {"neuron": "by V_th, which begins at 6 with IF and at 0.3 with LIF: --set neuron=dsr-if or dsr-lif"}
SLTT = {"neuron": "sltt", "tau": 1.1}


@dataclass(frozen=True, kw_only=True)
class PreActResNetConfig(ResidualConfig):
    """Settings of PreAct-ResNet.

    Args:
        neuron: "dsr-lif" and "dsr-if" learn V_th, put out spikes of its height (LIF: over `delta`), and there are two
            more layers of them around the head; "sltt" is a plain LIF neuron of V_th 1.
        threshold: V_th of DSR before training.
        fires_at: share of V_th at which neurons of DSR fire; the reset takes V_th off.
        least_threshold: what V_th of DSR cannot fall below.
        tau: time constant, in units of time with DSR and in steps with SLTT.
        delta: duration of a step, DSR.
    """

    neuron: str = "dsr-lif"
    threshold: float = 0.3
    fires_at: float = 0.3
    least_threshold: float = 0.0005
    tau: float = 1.0
    delta: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("neuron", ("dsr-lif", "dsr-if", "sltt"))
        for name in ("threshold", "fires_at", "least_threshold", "delta"):
            self.check_number(name, above=0)
        self.check_number("tau", above=1 if self.neuron == "sltt" else 0)

    @property
    def dsr(self) -> bool:
        """Whether neurons are those of DSR."""
        return self.neuron != "sltt"

    def make_neuron(self) -> nn.Module:
        """A layer of neurons."""
        if not self.dsr:
            return LIF(tau=self.tau, reset=None, decay_input=False)
        return make_dsr_neuron(self.neuron, self.threshold, self.fires_at, self.least_threshold, self.tau, self.delta)


class DSRNeuron(Neuron):
    """Neurons of a learned threshold `Vth` whose spikes are as high.

    IF: `U[t] = H[t-1] + X[t]`; LIF: `U[t] = leak H[t-1] + (1 - leak) X[t]`. They fire where `U >= fires_at Vth`, and
    `H = U - Vth S`; put out is `height Vth S`. Since the reset takes off more
    than the threshold, the membrane is counted from elsewhere and in units of Vth: V = U / Vth + 1 - fires_at, which
    fires from 1 on, begins at 1 - fires_at, and with LIF leaks to it.

    Args:
        threshold: Vth before training.
        fires_at: share of Vth at which they fire.
        least: what Vth cannot fall below.
        leak: of LIF; None for IF.
        height: of spikes, in units of Vth: one over the duration of a step with LIF.
    """

    def __init__(
        self, threshold: float, fires_at: float, least: float, leak: float | None = None, height: float = 1.0
    ) -> None:
        start = 1.0 - fires_at
        made = IF(reset=None, start=start) if leak is None else LIF(tau=1.0 / (1.0 - leak), reset=None, start=start)
        super().__init__(made.rule)
        self.Vth = nn.Parameter(torch.tensor(float(threshold)))
        self.least, self.height = least, height
        self.rest = 0.0 if leak is None else start

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of height Vth, or Vth / delta, of the shape of `x`, T x B x ..."""
        threshold = self.Vth.clamp(min=self.least)
        current = x / threshold
        return super().forward(current + self.rest if self.rest else current) * (threshold * self.height)


def make_dsr_neuron(kind: str, threshold: float, fires_at: float, least: float, tau: float, delta: float) -> DSRNeuron:
    """Neurons of DSR: "dsr-if", or "dsr-lif", which leak by exp(-delta / tau) and put out Vth / delta."""
    if kind == "dsr-if":
        return DSRNeuron(threshold, fires_at, least)
    return DSRNeuron(threshold, fires_at, least, math.exp(-delta / tau), 1.0 / delta)


def published_dsr_neuron(weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> str:
    """The neurons of a checkpoint of DSR: as told, or by V_th, which begins at 0.3 with LIF and at 6 with IF."""
    if (told := stored.get("neuron")) in ("dsr-lif", "dsr-if"):
        return str(told)
    learned = torch.stack([tensor.float() for name, tensor in weights.items() if name.endswith(".Vth")])
    return "dsr-lif" if learned.median() < 1 else "dsr-if"


def weighted_by_age(x: Tensor, tau: float, delta: float) -> Tensor:
    """Mean over the steps by weights exp(-age delta / tau), which fall off towards the past as a membrane does.

    Args:
        x: T x B x classes.
        tau: time constant, in units of time.
        delta: duration of a step.
    """
    ages = torch.arange(len(x) - 1, -1, -1, device=x.device, dtype=x.dtype)
    return (x * torch.softmax(ages * (-delta / tau), 0)[:, None, None]).sum(0)


class Block(nn.Module):
    """Y = S(BN(X)); Conv3x3(S(BN(Conv3x3(Y)))) + shortcut(Y), where the shortcut is Y itself or Conv1x1(Y)."""

    def __init__(self, config: PreActResNetConfig, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = StepBatchNorm2d(inputs)
        self.relu1 = config.make_neuron()
        self.conv1 = StepConv2d(inputs, width, 3, stride, padding=1)
        self.bn2 = StepBatchNorm2d(width)
        self.relu2 = config.make_neuron()
        self.conv2 = StepConv2d(width, width, 3, padding=1)
        same = stride == 1 and inputs == width
        self.shortcut = nn.Identity() if same else StepConv2d(inputs, width, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> T x B x C' x H' x W'."""
        x = self.relu1(self.bn1(x))
        return self.conv2(self.relu2(self.bn2(self.conv1(x)))) + self.shortcut(x)


@register_model(
    "preactresnet",
    title="PreAct-ResNet of DSR, SLTT",
    config=PreActResNetConfig,
    presets={
        "dsr-preact-resnet-18": {**CIFAR, **DSR_LIF, "time_steps": 20},
        "dsr-preact-resnet-18-if": {**CIFAR, **DSR_IF, "time_steps": 20},
        "sltt-preact-resnet-18": {**CIFAR, **SLTT, "time_steps": 6},
    },
)
class PreActResNet(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: PreActResNetConfig

    def __init__(self, config: PreActResNetConfig) -> None:
        super().__init__(config)
        width, features = config.widths[0], config.widths[-1]
        self.conv1 = StepConv2d(config.in_channels, width, 3, padding=1, bias=False)
        made = stages(
            lambda inputs, width, stride: Block(config, inputs, width, stride), width, config.widths, config.blocks
        )
        self.stages = [f"layer{stage}" for stage in range(1, len(made) + 1)]
        for name, stage in zip(self.stages, made, strict=True):
            self.add_module(name, stage)
        self.bn1 = StepBatchNorm2d(features)
        self.relu1 = config.make_neuron()
        self.linear = nn.Linear(features, config.num_classes)
        if config.dsr:
            self.relu2 = config.make_neuron()
            self.bn2 = nn.BatchNorm1d(config.num_classes)
            self.relu3 = config.make_neuron()
        initialise_residual(self)
        nn.init.zeros_(self.linear.bias)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Preactivation blocks of convolutions with biases; only DSR learns V_th. Whether its neurons leak, V_th alone
        hints at: those of the published scripts begin at 0.3 with LIF and at 6 with IF.
        """
        if not {"conv1.weight", "linear.weight", "layer1.0.conv1.bias", "layer1.0.bn1.weight"} <= weights.keys():
            return None
        first, classes = weights["conv1.weight"], weights["linear.weight"].shape[0]
        shown = {
            **stage_sizes(weights, "layer{}", "conv1.weight"),
            "num_classes": classes,
            "in_channels": first.shape[1],
        }
        if "relu1.Vth" not in weights:
            return Published({**shown, "neuron": "sltt"}, {"tau": SLTT["tau"], "time_steps": 6, "image_size": 32})
        settings = dict(DSR_LIF if published_dsr_neuron(weights, stored) == "dsr-lif" else DSR_IF)
        shown["threshold"] = settings.pop("threshold")  # of no effect on what is loaded
        return Published(shown, {**settings, "time_steps": 20, "image_size": 32}, notes=DSR_NEURON)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: with DSR what the last neurons put out, averaged over time, with LIF by weights that fall off
        towards the past as a membrane does; with SLTT the mean over time of what the head gives.
        """
        config = self.config
        x = self.conv1(in_time(x, config))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        x = self.relu1(self.bn1(x)).mean((3, 4))
        if not config.dsr:
            return self.linear(x).mean(0)
        x = self.relu3(per_step(self.bn2, self.linear(self.relu2(x))))
        return x.mean(0) if config.neuron == "dsr-if" else weighted_by_age(x, config.tau, config.delta)
