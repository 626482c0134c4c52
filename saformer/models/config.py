"""What every model here shares: its settings and how its input is laid out in time."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.recognition import Published

if TYPE_CHECKING:
    from saformer.checkpoints.origin import Origin


# Far beyond use, and beyond any memory; near 2^63 PyTorch fails with many lines.
_MOST = 10**12


@dataclass(frozen=True)
class ModelConfig:
    """Settings common to all families; `family` is set by `register_model`.

    Args:
        depth: number of encoder blocks.
        dim: embedding dimension D, a multiple of 8.
        num_classes: outputs of the head.
        in_channels: 1 or 3 for images, 2 for event frames.
        image_size: height and width of the input in pixels.
        time_steps: T.
        pooling: one digit per stage of the patch embedding, "1" where it pools.
        mlp_ratio: hidden width of the MLP over D.
    """

    family: ClassVar[str]

    depth: int
    dim: int
    num_classes: int = 10
    in_channels: int = 3
    image_size: int = 32
    time_steps: int = 4
    pooling: str = "0011"
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        for key in ("depth", "dim", "num_classes", "in_channels", "image_size", "time_steps"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
                raise InputError(f"{self.family}: {key} must be a whole number from 1 to 1e12, got {value!r}")
        if self.dim % 8:
            raise InputError(f"{self.family}: dim must be a multiple of 8, got {self.dim}")
        if not isinstance(self.pooling, str) or len(self.pooling) != 4 or set(self.pooling) - {"0", "1"}:
            raise InputError(f"{self.family}: pooling takes four digits 0 or 1, such as 0011, got {self.pooling!r}")
        ratio = self.mlp_ratio
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 1 <= self.dim * ratio <= _MOST:
            raise InputError(f"{self.family}: mlp_ratio must be a number that leaves a hidden width, got {ratio!r}")
        if self.grid < 1:
            raise InputError(
                f"{self.family}: an image of {self.image_size} pixels is too small for pooling {self.pooling}"
            )

    @property
    def name(self) -> str:
        """FAMILY-DEPTH-DIM, as in the papers."""
        return f"{self.family}-{self.depth}-{self.dim}"

    @property
    def grid(self) -> int:
        """Tokens along one side of the image after pooling."""
        size = self.image_size
        for digit in self.pooling:
            size = (size - 1) // 2 + 1 if digit == "1" else size
        return size

    @property
    def tokens(self) -> int:
        """N, the number of tokens."""
        return self.grid**2

    @property
    def hidden(self) -> int:
        """Hidden width of the MLP."""
        # A ratio read off the weights is a quotient: times D it may fall just short of the whole number it came from.
        return int(round(self.dim * self.mlp_ratio, 6))

    @property
    def input_kind(self) -> str:
        """ "events" for two-channel input (polarities), else "static"."""
        return "events" if self.in_channels == 2 else "static"

    def to_dict(self) -> dict[str, Any]:
        """All settings with the family, as stored in a checkpoint."""
        return {"family": self.family, **asdict(self)}


class Model(nn.Module):
    """A network built or loaded here: it knows its settings and, if it was loaded, where it came from."""

    config: ModelConfig
    origin: "Origin | None" = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor]) -> Published | None:
        """The settings of a published checkpoint of this family, None for a checkpoint that is not of it.

        Exactly one family may claim a checkpoint, so what is looked at must tell it from all others.

        Args:
            weights: parameter name -> tensor, prefixes stripped.

        Raises:
            InputError: it is of this family, and something is missing.
        """
        return None


def pooling_for(image_size: int) -> str:
    """Pooling that leaves 8 x 8 tokens where four stages can: 0011 for 32 pixels, 1111 for 128."""
    pools = 0
    while pools < 4 and image_size > 8:
        image_size, pools = (image_size + 1) // 2, pools + 1
    return "0" * (4 - pools) + "1" * pools


def check_heads(family: str, dim: int, heads: int) -> None:
    """Raise InputError unless `heads` divides `dim`."""
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1 or dim % heads:
        raise InputError(f"{family}: heads must divide dim {dim}, got {heads!r}")


def in_time(x: Tensor, config: ModelConfig) -> Tensor:
    """Lay the input out by time: images are repeated T times, event frames are transposed.

    Args:
        x: B x C x H x W images, or B x T x C x H x W event frames.
        config: the model's settings.

    Returns:
        T x B x C x H x W.

    Raises:
        InputError: rank, channels, size or number of frames differ from the settings.
    """
    expected = (config.in_channels, config.image_size, config.image_size)
    if x.ndim not in (4, 5) or tuple(x.shape[-3:]) != expected:
        image = " x ".join(map(str, expected))
        raise InputError(
            f"{config.name} takes B x {image} images or B x T x {image} frames, got {' x '.join(map(str, x.shape))}"
        )
    if x.ndim == 4:
        return x.expand(config.time_steps, *x.shape)
    frames = x.shape[1]
    if frames != config.time_steps:
        raise InputError(
            f"{config.name} is set to {config.time_steps} time steps, the events have {frames} frames: "
            f"set time steps to {frames}"
        )
    return x.transpose(0, 1)


def initialise(model: nn.Module) -> None:
    """Weights of linear layers from a truncated normal of width 0.02 as in the published code, zero biases."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
