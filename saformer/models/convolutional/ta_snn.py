"""TA-SNN (Yao et al., ICCV 2021) and LIAF-Net (Wu et al. 2021) for event data: attention to time, or none."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.recognition import Published, rank
from saformer.models.registry import register_model
from saformer.naming import named
from saformer.neurons import Neuron
from saformer.neurons.rule import Rule
from saformer.steps import per_step

# Without attention to time, what the neurons put out does not show.
_ALIKE = {"analog": "LIAF-Net has the same parameters: --set analog=true"}

GESTURE = {"in_channels": 2, "image_size": 32, "num_classes": 11, "time_steps": 60}
# The body that MA-SNN's code has for CIFAR10-DVS.
DVS: dict[str, Any] = {
    "in_channels": 2,
    "image_size": 128,
    "num_classes": 10,
    "time_steps": 10,
    "widths": (32, 64, 128, 256, 512),
    "pools": (2, 2, 2, 2, 4),
}


@dataclass(frozen=True, kw_only=True)
class TASNNConfig(ModelConfig):
    """Settings of TA-SNN and LIAF-Net.

    Args:
        widths: channels of the convolutions.
        pools: side of the average pool behind each of them; 1 where there is none.
        hidden: values between the two linear layers.
        temporal: before the neurons, each step is weighed: "mean" by its mean (TA-SNN), "mean-max" by its maximum too
            (temporal attention of MA-SNN, Yao et al. 2023), or "none".
        reduction: of T by how much between the two layers of the attention.
        analog: neurons put out the ReLU of their membranes instead of spikes (LIAF).
    """

    widths: tuple[int, ...] = (64, 128, 128)
    pools: tuple[int, ...] = (1, 2, 2)
    hidden: int = 256
    temporal: str = "mean"
    reduction: int = 5
    analog: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("hidden", "reduction")
        self.check_one_of("temporal", ("mean", "mean-max", "none"))
        self.check_whole_each("widths")
        self.check_whole_each("pools", len(self.widths))
        if self.side < 1:
            raise InputError(f"{self.family}: an image of {self.image_size} pixels is too small for its pools")
        if self.temporal != "none" and self.time_steps < self.reduction:
            raise InputError(f"{self.family}: reduction must be at most time_steps, got {self.reduction}")

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with pools of 2 x 2 behind all convolutions but the first."""
        found = super().completed(settings)
        widths = found.get("widths", cls.widths)
        return {"pools": (1,) + (2,) * (len(widths) - 1) if isinstance(widths, tuple) else (), **found}

    @property
    def side(self) -> int:
        """Of the image before the linear layers, in pixels."""
        side = self.image_size
        for pool in self.pools:
            side //= pool
        return side

    def make_neuron(self) -> Neuron:
        """U = 0.3 H + X; a spike where U >= 0.3 sets H to 0.3."""
        firing = "relu" if self.analog else "spikes"
        return Neuron(Rule(firing=firing, decay_input=False, leak=0.3, threshold=0.3, reset=0.3))


def weighed(x: Tensor, weights: Tensor) -> Tensor:
    """Each step of each image times its weight: T x B x ... and B x T -> T x B x ..."""
    with named("attended"):
        return x * weights.T.reshape(*x.shape[:2], *(1,) * (x.ndim - 2))


class MeanAttention(nn.Module):
    """`x sigmoid(W2 ReLU(W1 m + b1) + b2)`, with m the mean of each step (TA-SNN).

    Args:
        steps: T.
        reduction: T over the values between W1 and W2.
    """

    def __init__(self, steps: int, reduction: int) -> None:
        super().__init__()
        inner = steps // reduction
        self.temporal_excitation = nn.Sequential(
            nn.Linear(steps, inner), nn.ReLU(), nn.Linear(inner, steps), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """T x B x ... -> the same shape."""
        return weighed(x, self.temporal_excitation(x.flatten(2).mean(2).T))


class MeanMaxAttention(nn.Module):
    """`ReLU(x sigmoid(f(m) + f(n)))`, with m the mean and n the maximum of each step, f(y) = W2 ReLU(W1 y) (MA-SNN).

    Args:
        steps: T.
        reduction: T over the values between W1 and W2.
        dimensions: 1 behind linear layers, 3 behind convolutions: W1 and W2 are stored as convolutions of as many.
    """

    def __init__(self, steps: int, reduction: int, dimensions: int) -> None:
        super().__init__()
        convolution = nn.Conv1d if dimensions == 1 else nn.Conv3d
        self.ones = (...,) + (None,) * dimensions
        inner = steps // reduction
        layers = convolution(steps, inner, 1, bias=False), nn.ReLU(), convolution(inner, steps, 1, bias=False)
        self.ta = nn.ModuleDict({"sharedMLP": nn.Sequential(*layers)})

    def forward(self, x: Tensor) -> Tensor:
        """T x B x ... -> the same shape."""
        steps = x.flatten(2)
        mean, largest = (self.ta["sharedMLP"](pooled.T[self.ones]) for pooled in (steps.mean(2), steps.amax(2)))
        return weighed(x, (mean + largest).flatten(1).sigmoid()).relu()


class Layer(nn.Module):
    """Convolution or linear layer, BatchNorm, pool, attention, neurons, under the published names."""

    def __init__(self, config: TASNNConfig, name: str, layer: nn.Conv2d | nn.Linear, pool: int = 1) -> None:
        super().__init__()
        self.name, flat, outputs = name, isinstance(layer, nn.Linear), layer.weight.shape[0]
        self.add_module(name, layer)
        self.BNLayer = nn.BatchNorm1d(outputs) if flat else nn.BatchNorm2d(outputs)
        self.pooling = nn.AvgPool2d(pool) if pool > 1 else nn.Identity()
        steps, reduction = config.time_steps, config.reduction
        if config.temporal == "mean":
            self.attention: nn.Module = MeanAttention(steps, reduction)
        elif config.temporal == "mean-max":
            self.attention = MeanMaxAttention(steps, reduction, 1 if flat else 3)
        else:
            self.attention = nn.Identity()
        self.network = nn.Module()
        self.network.add_module("IF" if flat else "ConvIF", config.make_neuron())

    def forward(self, x: Tensor) -> Tensor:
        """T x B x ... -> T x B x ..."""
        for layer in (self.get_submodule(self.name), self.BNLayer, self.pooling):
            x = per_step(layer, x)
        (neuron,) = self.network.children()
        return neuron(self.attention(x))


@register_model(
    "tasnn",
    title="TA-SNN and LIAF-Net for event data",
    config=TASNNConfig,
    presets={
        "ta-snn-gesture": GESTURE,
        "ta-snn-dvs": DVS,
        "liaf-net-gesture": {**GESTURE, "temporal": "none", "analog": True},
        "liaf-net-dvs": {**DVS, "temporal": "none", "analog": True},
    },
)
class TASNN(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes; attention is to the T of the weights."""

    config: TASNNConfig

    def __init__(self, config: TASNNConfig) -> None:
        super().__init__(config)
        inputs = config.in_channels
        for place, (width, pool) in enumerate(zip(config.widths, config.pools, strict=True)):
            layer = nn.Conv2d(inputs, width, 3, padding=1)
            self.add_module(f"convAttLIF{place}", Layer(config, "conv2d", layer, pool))
            inputs = width
        self.FC0 = Layer(config, "linear", nn.Linear(inputs * config.side**2, config.hidden))
        self.FC1 = Layer(config, "linear", nn.Linear(config.hidden, config.num_classes))

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """`convAttLIF#`, `FC0` and `FC1`; attention to channels or places is another network."""
        first, hidden, head = (weights.get(f"{n}.weight") for n in ("convAttLIF0.conv2d", "FC0.linear", "FC1.linear"))
        other = any(".attention.ca." in name or ".attention.sa." in name for name in weights)
        if first is None or hidden is None or head is None or other or rank(weights, "FC0.BNLayer.weight") != 1:
            return None
        widths: list[int] = []
        while (layer := weights.get(f"convAttLIF{len(widths)}.conv2d.weight")) is not None:
            widths.append(layer.shape[0])
        side = max(round((hidden.shape[1] / widths[-1]) ** 0.5), 1)
        # Pools have no weights: those of the published network of as many convolutions.
        pools = DVS["pools"] if len(widths) == len(DVS["pools"]) else (1,) + (2,) * (len(widths) - 1)
        shown: dict[str, Any] = {
            "widths": tuple(widths),
            "hidden": hidden.shape[0],
            "num_classes": head.shape[0],
            "in_channels": first.shape[1],
        }
        defaults = {"analog": False, "pools": pools, "image_size": side * prod(pools)}
        kinds = {
            "mean": "FC0.attention.temporal_excitation.0.weight",
            "mean-max": "FC0.attention.ta.sharedMLP.0.weight",
        }
        shown["temporal"] = next((kind for kind, name in kinds.items() if name in weights), "none")
        if shown["temporal"] == "none":
            return Published(shown, {**defaults, "time_steps": 60}, notes=_ALIKE)
        inner, steps = weights[kinds[shown["temporal"]]].shape[:2]
        return Published({**shown, "time_steps": steps, "reduction": steps // inner}, defaults)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: the mean over time of what the last neurons put out."""
        x = in_time(x, self.config)
        for place in range(len(self.config.widths)):
            x = self.get_submodule(f"convAttLIF{place}")(x)
        return self.FC1(self.FC0(x.flatten(2))).mean(0)
