"""ResNet-20 of DIET-SNN (Rathi & Roy, arXiv 2008.03658) and of hybrid conversion (Rathi et al., arXiv 2005.01807)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, in_time
from saformer.models.convolutional.residual import ResidualConfig, initialise_residual, stage_sizes, stages
from saformer.models.convolutional.vgg_parts import DelayedIF, PoissonEncoder, check_leak
from saformer.models.recognition import Published
from saformer.models.registry import register_model
from saformer.neurons import LearnableLIF
from saformer.steps import PerStep, StepConv2d

CIFAR = {"in_channels": 3, "image_size": 32, "num_classes": 10}

# Layers of neurons in front of the first stage, in the sequence of the published code: convolution, neurons, dropout.
_STEM = (0, 3, 6)


@dataclass(frozen=True, kw_only=True)
class DietResNetConfig(ResidualConfig):
    """Settings of ResNet-20 of DIET-SNN and of hybrid conversion.

    Args:
        neuron: "learnable" learns leak and threshold of each layer; "delayed" is the neuron that does not leak, whose
            spikes reach the next layer a step later.
        encoding: "direct", or "poisson" for spikes of both signs: sign(x) where 0.9 |x| exceeds a random number. The
            numbers are the same in every call and for every image, so that a result depends on its image alone.
        thresholds: V_th of the layers of neurons of "delayed", before training with "learnable", in the order of the
            data; one for all of them, or one for each.
    """

    neuron: str = "learnable"
    encoding: str = "direct"
    thresholds: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_one_of("neuron", ("learnable", "delayed"))
        self.check_one_of("encoding", ("direct", "poisson"))
        layers = len(_STEM) + 2 * sum(self.blocks)
        given = self.thresholds
        if not isinstance(given, tuple) or len(given) not in (1, layers) or not all(value > 0 for value in given):
            raise InputError(f"{self.family}: thresholds takes 1 or {layers} numbers above 0, got {given!r}")
        if self.image_size < 2:
            raise InputError(f"{self.family}: its pool needs images of 2 pixels or more")

    @property
    def grid(self) -> int:
        """Pixels along one side of what the head reads."""
        size = self.image_size // 2
        for _ in self.widths[1:]:
            size = (size + 1) // 2
        return size

    def neurons(self) -> Iterator[nn.Module]:
        """Layers of neurons, in the order of the data."""
        layers = len(_STEM) + 2 * sum(self.blocks)
        for threshold in self.thresholds * (layers if len(self.thresholds) == 1 else 1):
            yield LearnableLIF(threshold) if self.neuron == "learnable" else DelayedIF(threshold)


class Block(nn.Module):
    """S(Conv3x3(S(Conv3x3(x))) + shortcut(x)), without BatchNorm or biases, under the published names."""

    def __init__(self, inputs: int, width: int, stride: int, neurons: Iterator[nn.Module]) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            StepConv2d(inputs, width, 3, stride, padding=1, bias=False),
            next(neurons),
            nn.Identity(),  # dropout
            StepConv2d(width, width, 3, padding=1, bias=False),
        )
        self.identity = nn.Sequential()
        if stride != 1 or inputs != width:
            self.identity.append(StepConv2d(inputs, width, 1, stride, bias=False))
        self.spike = next(neurons)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from spikes, T x B x C x H x W -> T x B x C' x H' x W'."""
        return self.spike(self.residual(x) + self.identity(x))


@register_model(
    "dietresnet",
    title="ResNet of DIET-SNN, Hybrid",
    config=DietResNetConfig,
    presets={
        "diet-resnet-20": {**CIFAR, "time_steps": 5},
        "hybrid-resnet-20": {**CIFAR, "time_steps": 250, "neuron": "delayed", "encoding": "poisson"},
    },
)
class DietResNet(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: DietResNetConfig

    def __init__(self, config: DietResNetConfig) -> None:
        super().__init__(config)
        neurons = config.neurons()
        inputs, width = config.in_channels, config.widths[0]
        self.encoder = PoissonEncoder(rate=0.9, seed=0) if config.encoding == "poisson" else nn.Identity()
        self.pre_process = nn.Sequential()
        for place in _STEM:
            self.pre_process.append(StepConv2d(inputs, width, 3, padding=1, bias=False))
            self.pre_process.append(next(neurons))
            self.pre_process.append(PerStep(nn.AvgPool2d(2)) if place == _STEM[-1] else nn.Identity())  # dropout
            inputs = width
        made = stages(
            lambda inputs, width, stride: Block(inputs, width, stride, neurons), width, config.widths, config.blocks
        )
        self.stages = [f"layer{stage}" for stage in range(1, len(made) + 1)]
        for name, stage in zip(self.stages, made, strict=True):
            self.add_module(name, stage)
        self.classifier = nn.Sequential(nn.Linear(config.widths[-1] * config.grid**2, config.num_classes, bias=False))
        initialise_residual(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Blocks `residual` and `identity` behind three convolutions; DIET-SNN has leaks and thresholds beside them."""
        if not {"pre_process.0.weight", "layer1.0.residual.0.weight", "classifier.0.weight"} <= weights.keys():
            return None
        sizes = stage_sizes(weights, "layer{}", "residual.0.weight")
        classes, features = weights["classifier.0.weight"].shape
        grid = max(round((features / sizes["widths"][-1]) ** 0.5), 1)
        diet = "threshold.t0" in weights or "pre_process.1.threshold" in weights
        shown = {
            **sizes,
            "neuron": "learnable" if diet else "delayed",
            "num_classes": classes,
            "in_channels": weights["pre_process.0.weight"].shape[1],
        }
        defaults: dict[str, Any] = {"image_size": grid << len(sizes["widths"])}
        defaults |= {"time_steps": 5, "encoding": "direct"} if diet else {"time_steps": 250, "encoding": "poisson"}
        if not diet:
            check_leak(stored)
            defaults["thresholds"] = (1.0,)
        # The published code numbers the layers: by their place in front of the first stage, and one by one from there.
        layers = [f"pre_process.{place + 1}" for place in _STEM]
        numbers = list(_STEM)
        for stage, blocks in enumerate(sizes["blocks"], start=1):
            for block in range(blocks):
                layers += [f"layer{stage}.{block}.residual.1", f"layer{stage}.{block}.spike"]
        numbers += range(_STEM[-1] + 3, _STEM[-1] + 3 + len(layers) - len(_STEM))
        renamed = {
            f"{kind}.{kind[0]}{number}": f"{layer}.{kind}"
            for number, layer in zip(numbers, layers, strict=True)
            for kind in ("threshold", "leak")
        }
        return Published(shown, defaults, renamed=renamed)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, summed over the T steps."""
        x = self.pre_process(self.encoder(in_time(x, self.config)))
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return self.classifier(x.flatten(2)).sum(0)
