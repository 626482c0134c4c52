"""What Meta-SpikeFormer (SDT-V2) and E-SpikeFormer (SDT-V3) share: two stages of convolutions, two of attention."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention.projection import add_projection, project
from saformer.errors import InputError
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import holds
from saformer.models.transformer_config import AttentiveConfig, check_heads
from saformer.steps import per_step

#: Input of the published networks; the time steps are those of each family.
IMAGENET = {"in_channels": 3, "image_size": 224, "num_classes": 1000}


@dataclass(frozen=True, kw_only=True)
class MetaFormerConfig(AttentiveConfig):
    """Settings of a network of four stages.

    Args:
        widths: channels of the stages; the first half of stage 1 has half as many.
        blocks: transformer blocks of stages 3 and 4.
        heads: attention heads.
        mlp_ratio: hidden width of the MLPs and of the channel convolutions over that of their stage.
    """

    widths: tuple[int, ...] = (64, 128, 256, 360)
    blocks: tuple[int, ...] = (6, 2)
    heads: int = 8
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("mlp_ratio")
        self.check_whole_each("widths", 4)
        self.check_whole_each("blocks", 2)
        if self.widths[0] % 2:
            raise InputError(f"{self.family}: the first of widths is halved and must be even, got {self.widths[0]}")
        for dim in self.widths[2:]:
            check_heads(self.family, dim, self.heads)

    @property
    def tokens(self) -> int:
        """N, that of the stages with attention: pixels of the image at a sixteenth of its size."""
        return self.side**2

    @property
    def side(self) -> int:
        """Tokens along one side of the image."""
        return -(-self.image_size // 16)

    def make_attention(self, dim: int, own: Callable[[], nn.Module]) -> nn.Module:
        """The attention of a block with so many channels."""
        return self.attention_at(own, dim, self.heads, self.side, "conv2d", "membranes", "membranes")


class DownSampling(nn.Module):
    """Neuron (but for images), convolution with a bias, BatchNorm, under the published names.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: size of the convolution, odd; it pads by half.
        stride: of the convolution.
        word: what neurons are called in the parameter paths.
        neuron: makes a layer of neurons; None where images come in.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, word: str, neuron: Callable[[], nn.Module] | None
    ) -> None:
        super().__init__()
        self.encode_conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.encode_bn = nn.BatchNorm2d(outputs)
        self.add_module(f"encode_{word}", neuron() if neuron else nn.Identity())
        self.word = word

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from images or membranes, T x B x C x H x W."""
        spikes = self.get_submodule(f"encode_{self.word}")(x)
        return per_step(self.encode_bn, per_step(self.encode_conv, spikes))


class ConvBlock(nn.Module):
    """X' = SepConv(X) + X; X = ChannelConv(X') + X', sums of membranes; ChannelConv: twice neuron, Conv3x3, BN.

    Args:
        separable: the module SepConv.
        dim: channels.
        hidden: channels between the two convolutions.
        word: what neurons are called in the parameter paths.
        neuron: makes a layer of neurons.
    """

    def __init__(self, separable: nn.Module, dim: int, hidden: int, word: str, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.word = word
        self.Conv = separable  # as published
        self.add_module(f"{word}1", neuron())
        self.conv1 = nn.Conv2d(dim, hidden, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.add_module(f"{word}2", neuron())
        self.conv2 = nn.Conv2d(hidden, dim, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x C x H x W."""
        x = self.Conv(x) + x
        hidden = per_step(self.bn1, per_step(self.conv1, self.get_submodule(f"{self.word}1")(x)))
        return x + per_step(self.bn2, per_step(self.conv2, self.get_submodule(f"{self.word}2")(hidden)))


class MLP(nn.Module):
    """Neuron-Conv1x1(D, r D)-BN-neuron-Conv1x1(r D, D)-BN on membranes, over tokens."""

    def __init__(self, dim: int, hidden: int, word: str, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.word = word
        for layer, inputs, outputs in (("fc1", dim, hidden), ("fc2", hidden, dim)):
            self.add_module(f"{layer}_{word}", neuron())
            add_projection(self, layer, "conv1d", inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        tokens = x.flatten(3)
        for layer in ("fc1", "fc2"):
            tokens = project(self, layer, "conv1d", self.get_submodule(f"{layer}_{self.word}")(tokens))
        return tokens.view_as(x)


class MetaFormer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    Args:
        config: the settings.
        word: what neurons are called in the parameter paths, as the last one, before the head, is.
        neuron: makes a layer of neurons.
        last: makes that last one.
        separable: makes the SepConv of a ConvBlock with so many channels.
        block: makes a transformer block with so many channels.
    """

    def __init__(
        self,
        config: MetaFormerConfig,
        word: str,
        neuron: Callable[[], nn.Module],
        last: Callable[[], nn.Module],
        separable: Callable[[int], nn.Module],
        block: Callable[[int], nn.Module],
    ) -> None:
        super().__init__(config)
        half, (one, two, three, four) = config.widths[0] // 2, config.widths

        def convolutions(dim: int) -> nn.ModuleList:
            return nn.ModuleList([ConvBlock(separable(dim), dim, dim * config.mlp_ratio, word, neuron)])

        stages: dict[str, nn.Module] = {
            "downsample1_1": DownSampling(config.in_channels, half, 7, 2, word, None),
            "ConvBlock1_1": convolutions(half),
            "downsample1_2": DownSampling(half, one, 3, 2, word, neuron),
            "ConvBlock1_2": convolutions(one),
            "downsample2": DownSampling(one, two, 3, 2, word, neuron),
            "ConvBlock2_1": convolutions(two),
            "ConvBlock2_2": convolutions(two),
            "downsample3": DownSampling(two, three, 3, 2, word, neuron),
            "block3": nn.ModuleList(block(three) for _ in range(config.blocks[0])),
            "downsample4": DownSampling(three, four, 3, 1, word, neuron),
            "block4": nn.ModuleList(block(four) for _ in range(config.blocks[1])),
        }
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.stages = tuple(stages)
        self.add_module(word, last())
        self.word = word
        self.head = nn.Linear(four, config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """Spikes of the last neuron on the mean membrane over tokens, T x B x D."""
        x = in_time(x, self.config)
        for name in self.stages:
            stage = self.get_submodule(name)
            for part in stage if isinstance(stage, nn.ModuleList) else [stage]:
                x = part(x)
        return self.get_submodule(self.word)(x.flatten(3).mean(3))

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps."""
        return self.head(self.features(x)).mean(0)


def shown_settings(weights: Mapping[str, Tensor], pointwise: str) -> dict[str, Any]:
    """Settings that the weights of either family show.

    Args:
        weights: parameter name -> tensor.
        pointwise: the first 1x1 convolution of the first ConvBlock; the families tell each other apart by it.

    Raises:
        InputError: a layer is missing.
    """
    needed = [f"downsample{i}.encode_conv.weight" for i in ("1_1", "1_2", "2", "3", "4")]
    needed += [pointwise, "head.weight", "block3.0.mlp.fc1_conv.weight"]
    for name in needed:
        if name not in weights or weights[name].ndim < 2:
            raise InputError(f"parameter {name} is missing from the checkpoint, or is no matrix")
    first, *stages = (weights[name] for name in needed[:5])

    def depth(stage: str) -> int:
        count = 0
        while holds(weights, f"{stage}.{count}."):
            count += 1
        return count

    hidden = weights["block3.0.mlp.fc1_conv.weight"]
    return {
        "widths": tuple(stage.shape[0] for stage in stages),
        "blocks": (depth("block3"), depth("block4")),
        "mlp_ratio": hidden.shape[0] // hidden.shape[1],
        "num_classes": weights["head.weight"].shape[0],
        "in_channels": first.shape[1],
    }
