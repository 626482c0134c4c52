"""The residual network of conv_snn (Samadzadeh et al., arXiv 2003.12346), in the place of Rollout's DenseNet."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import Model, ModelConfig, in_time
from saformer.models.convolutional.residual import conv3x3, leaky
from saformer.models.recognition import Published, holds, rank
from saformer.models.registry import register_model
from saformer.neurons import LIF
from saformer.steps import per_step

POOL = 7


@dataclass(frozen=True, kw_only=True)
class ConvSNNConfig(ModelConfig):
    """Settings of conv_snn's network.

    Args:
        width: channels of every convolution.
        blocks: residual blocks; the head reads the first, third, fifth and so on. Behind the last of an even number
            nothing reads its spikes, and it runs nevertheless, as in the public code.
        inner_spikes: whether the second convolution of a block reads the spikes of the neurons behind the first. In
            the public code it reads the real values that these neurons read, and nothing reads their spikes.
    """

    width: int = 64
    blocks: int = 8
    inner_spikes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("width", "blocks")
        if self.grid < 1:
            raise InputError(f"{self.family}: its pools need images of 25 pixels or more, got {self.image_size}")

    @property
    def grid(self) -> int:
        """Pixels along one side behind the last pool."""
        return -(-self.image_size // 4) // POOL

    @property
    def features(self) -> int:
        """Values that the head reads."""
        return -(-self.blocks // 2) * self.width * self.grid**2


def neurons() -> LIF:
    """A membrane of which 0.8 stays, V_th 0.5."""
    return leaky(0.5, 5.0)


class Block(nn.Module):
    """Two convolutions with biases; what the block reads is added to the current of its last neurons."""

    def __init__(self, config: ConvSNNConfig) -> None:
        super().__init__()
        self.inner_spikes = config.inner_spikes
        self.conv1 = conv3x3(config.width, config.width, bias=True)
        self.neuron1 = neurons()
        self.conv2 = conv3x3(config.width, config.width, bias=True)
        self.neuron2 = neurons()
        self.drop2 = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of the shape of `x`, T x B x C x H x W."""
        current = per_step(self.conv1, x)
        spikes = self.neuron1(current)
        return self.drop2(self.neuron2(per_step(self.conv2, spikes if self.inner_spikes else current) + x))


@register_model(
    "convsnn",
    title="conv_snn's network, a stand-in for Rollout's DenseNet",
    config=ConvSNNConfig,
    presets={"rollout-densenet-dvs": {"in_channels": 2, "image_size": 128, "num_classes": 10, "time_steps": 10}},
)
class ConvSNN(Model):
    """B x T x C x H x W event frames or B x C x H x W images -> B x classes.

    This is not the DenseNet of Kugele et al. 2020 (Front. Neurosci. 14:439), of which neither code nor a description of
    its layers could be had, but another network for CIFAR10-DVS whose head reads several layers at once: that of the
    public code aa-samad/conv_snn (0b63b68), with T = 10. All blocks are as wide and as large, so that a shortcut
    never has a convolution. That code keeps its blocks outside the parameters: they are neither trained nor saved. Here
    they are both. In training it resets membranes by the spikes that dropout leaves; here by all.
    """

    config: ConvSNNConfig

    def __init__(self, config: ConvSNNConfig) -> None:
        super().__init__(config)
        self.conv1_custom = nn.Conv2d(config.in_channels, config.width, 7, stride=2, padding=3, bias=False)
        self.neuron = neurons()
        self.avgpool1 = nn.AvgPool2d(3, stride=2, padding=1)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.avgpool2 = nn.AvgPool2d(POOL)
        self.fc_custom = nn.Linear(config.features, config.num_classes)
        self.fc_neuron = neurons()
        nn.init.normal_(self.conv1_custom.weight, std=(49 * config.width) ** -0.5)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """A first convolution and a head called "custom".

        Raises:
            InputError: the blocks are missing, as in every file that the public code saves.
        """
        if rank(weights, "conv1_custom.weight") != 4 or rank(weights, "fc_custom.weight") != 2:
            return None
        if not holds(weights, "layers.0.conv1."):
            raise InputError(
                "the checkpoint has no blocks, for conv_snn's code keeps them out of what it saves: its network is "
                "--model rollout-densenet-dvs, without its weights; or save its blocks, too, as layers.#"
            )
        first, head = weights["conv1_custom.weight"], weights["fc_custom.weight"]
        blocks = sum(name.endswith(".conv1.weight") for name in weights)
        grid = max(round((head.shape[1] / first.shape[0] / -(-blocks // 2)) ** 0.5), 1)
        shown = {
            "num_classes": head.shape[0],
            "in_channels": first.shape[1],
            "width": first.shape[0],
            "blocks": blocks,
        }
        # Of the sizes that leave this grid, the one in the middle; 128 for the published grid of 4.
        defaults = {"image_size": 4 * (POOL * grid + POOL // 2 + 1), "time_steps": 10, "inner_spikes": False}
        return Published(shown, defaults)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores: the mean over time of one neuron's spikes for each class."""
        x = per_step(self.avgpool1, self.neuron(per_step(self.conv1_custom, in_time(x, self.config))))
        spikes = []
        for block in self.layers:
            x = block(x)
            spikes.append(x)
        joined = per_step(self.avgpool2, torch.cat(spikes[::2], dim=2))
        return self.fc_neuron(self.fc_custom(joined.flatten(2))).mean(0)
