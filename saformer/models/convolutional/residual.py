"""What residual networks share: their settings, layers that run at every time step, and stages of blocks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import ModelConfig, in_time
from saformer.models.recognition import holds
from saformer.neurons import LIF
from saformer.steps import per_step


@dataclass(frozen=True, kw_only=True)
class ResidualConfig(ModelConfig):
    """Settings that residual networks have in common.

    Args:
        blocks: number of blocks of each stage.
        widths: channels of each stage.
    """

    blocks: tuple[int, ...] = (2, 2, 2, 2)
    widths: tuple[int, ...] = (64, 128, 256, 512)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole_each("blocks")
        self.check_whole_each("widths")
        if len(self.blocks) != len(self.widths):
            raise InputError(
                f"{self.family}: blocks and widths give one number for each stage, "
                f"got {len(self.blocks)} and {len(self.widths)}"
            )


def without_containers(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Names of parameters in `PerStep` by those in a file: SpikingJelly's container had a `module` at first."""
    return {name: name.replace(".module.", ".") for name in weights}


def conv3x3(inputs: int, outputs: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or divides it by the stride."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


def conv1x1(inputs: int, outputs: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    """A 1x1 convolution."""
    return nn.Conv2d(inputs, outputs, 1, stride, bias=bias)


def leaky(threshold: float, tau: float) -> LIF:
    """The neuron of STBP and its descendants: U[t] = (1 - 1/tau) H[t-1] + X[t], fires where U > V_th, reset to 0."""
    return LIF(threshold, tau, decay_input=False, strict=True)


def stages(
    block: Callable[[int, int, int], nn.Module],
    inputs: int,
    widths: Sequence[int],
    blocks: Sequence[int],
    first_stride: int = 1,
    expansion: int = 1,
) -> list[nn.Sequential]:
    """Stages of residual blocks; every stage but the first halves the image.

    Args:
        block: makes one from its input channels, its width, and the stride of its first convolution.
        inputs: channels of what the first stage reads.
        widths: of each stage.
        blocks: how many of them each stage has.
        first_stride: stride of the first stage.
        expansion: channels that a block puts out over its width.
    """
    made = []
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        made.append(nn.Sequential())
        for number in range(count):
            made[-1].append(block(inputs, width, 1 if number else 2 if stage else first_stride))
            inputs = width * expansion
    return made


def before_time(layers: Callable[[Tensor], Tensor], x: Tensor, config: ModelConfig) -> Tensor:
    """Layers that the published code runs once for an image, before it is repeated T times.

    Args:
        layers: without state.
        x: B x C x H x W images, or B x T x C x H x W event frames, at each of which they run.
        config: the model's settings.

    Returns:
        T x B x ...
    """
    steps = in_time(x, config)
    if x.ndim == 4:
        return layers(x).expand(config.time_steps, *(-1 for _ in range(x.ndim)))
    return per_step(layers, steps)


def stage_sizes(weights: Mapping[str, Tensor], stage: str, convolution: str, first: int = 1) -> dict[str, Any]:
    """The settings `blocks` and `widths` of a published checkpoint.

    Args:
        weights: parameter name -> tensor.
        stage: name of a stage, with {} where its number is.
        convolution: name of the weights of the first convolution inside a block.
        first: number of the first stage.

    Raises:
        InputError: a stage has no such convolution.
    """
    blocks: list[int] = []
    widths: list[int] = []
    while holds(weights, f"{(name := stage.format(len(blocks) + first))}.0."):
        count = 0
        while holds(weights, f"{name}.{count}."):
            count += 1
        if (weight := f"{name}.0.{convolution}") not in weights:
            raise InputError(f"parameter {weight} is missing from the checkpoint")
        blocks.append(count)
        widths.append(weights[weight].shape[0])
    return {"blocks": tuple(blocks), "widths": tuple(widths)}


def initialise_residual(model: nn.Module) -> None:
    """Weights of convolutions from a normal distribution scaled to the channels that they put out (He et al. 2015)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
