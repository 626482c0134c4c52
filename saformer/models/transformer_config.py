"""Settings of transformers: their attention, and those that embed patches once and then keep depth, D and tokens."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import nn

from saformer.attention.hosted import Place, check_attention, hosted
from saformer.errors import InputError
from saformer.models.config import MOST, ModelConfig
from saformer.models.settings import setting_text

#: Input of the published configurations; event data has `EVENTS`.
CIFAR = {"in_channels": 3, "image_size": 32}
IMAGENET = {"in_channels": 3, "image_size": 224, "num_classes": 1000, "pooling": "1111"}
EVENTS = {"in_channels": 2, "image_size": 128, "time_steps": 16}

#: Sizes of the networks for ImageNet in the papers of Spikformer, Spikingformer and the Spike-driven Transformer.
IMAGENET_SIZES = ("8-384", "6-512", "8-512", "10-512", "8-768")


@dataclass(frozen=True, kw_only=True)
class AttentiveConfig(ModelConfig):
    """Settings of a network whose attention can be another's.

    Args:
        attention: another attention in the place of the family's own, such as "ssa" or package.module:Class; embedding,
            shortcuts and MLP stay.
    """

    attention: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention is not None:
            if not isinstance(self.attention, str):
                raise InputError(f"{self.family}: attention is named by a text, got {self.attention!r}")
            check_attention(self.attention)

    def attention_at(
        self,
        own: Callable[[], nn.Module],
        dim: int,
        heads: int,
        side: int,
        layout: str,
        reads: str,
        gives: str,
        aggregated: int | None = None,
    ) -> nn.Module:
        """The attention of a block.

        Args:
            own: makes the family's own attention.
            dim: channels there.
            heads: attention heads there.
            side: tokens along one side of the image there.
            layout: of what the block hands over and takes back; see `saformer.attention.registry`.
            reads: what it hands over: "membranes", "spikes" or "values".
            gives: what it takes back.
            aggregated: n, for attentions that aggregate tokens; None for 16, or all where there are fewer.
        """
        if self.attention is None:
            return own()
        tokens = side**2
        n = aggregated or min(16, tokens)
        return hosted(self.attention, Place(dim, heads, tokens, n, layout, reads, gives, self.time_steps))


@dataclass(frozen=True, kw_only=True)
class OneWidthConfig(AttentiveConfig):
    """Sizes of a transformer of one width, and what follows from them.

    Args:
        depth: number of encoder blocks.
        dim: embedding dimension D.
        pooling: one digit per stage of the patch embedding, "1" where it pools.
        mlp_ratio: hidden width of the MLP over D.
    """

    depth: int
    dim: int
    pooling: str = "0011"
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("depth", "dim")
        check_pooling(self.family, self.pooling)

    @property
    def grid(self) -> int:
        """Tokens along one side of the image after pooling."""
        return pooled(self.image_size, self.pooling)

    @property
    def tokens(self) -> int:
        """N, the number of tokens."""
        return self.grid**2

    @property
    def hidden(self) -> int:
        """Hidden width of the MLP."""
        # A ratio read off the weights is a quotient: times D it may fall just short of the whole number it came from.
        return int(round(self.dim * self.mlp_ratio, 6))

    def make_attention(self, layout: str, reads: str, gives: str, own: Callable[[], nn.Module]) -> nn.Module:
        """The attention of a block, at D and the number of tokens that all have (see `attention_at`)."""
        heads = getattr(self, "heads", default_heads(self.dim))
        aggregated = getattr(self, "aggregated", None)
        return self.attention_at(own, self.dim, heads, self.grid, layout, reads, gives, aggregated)


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(OneWidthConfig):
    """Settings of a transformer of one width, named FAMILY-DEPTH-DIM.

    Args:
        dim: embedding dimension D, a multiple of 8.
    """

    #: Settings in which published files differ that are one network in the papers.
    unnamed: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % 8:
            raise InputError(f"{self.family}: dim must be a multiple of 8, got {self.dim}")
        ratio = self.mlp_ratio
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 1 <= self.dim * ratio <= MOST:
            raise InputError(f"{self.family}: mlp_ratio must be a number that leaves a hidden width, got {ratio!r}")
        if self.grid < 1:
            raise InputError(
                f"{self.family}: an image of {self.image_size} pixels is too small for pooling {self.pooling}"
            )

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with the pooling that follows from the image size, and heads of 32 channels."""
        found = super().completed(settings)
        if isinstance(found["image_size"], int) and found["image_size"] > 0:
            found.setdefault("pooling", pooling_for(found["image_size"]))
        if "heads" in cls.types():
            found.setdefault("heads", default_heads(max(found["dim"], 1)))
        return found

    @property
    def name(self) -> str:
        """FAMILY-DEPTH-DIM, as in the papers, or a preset of its own name, with the settings that differ: +KEY=VALUE.

        Those of the input do not count, nor `unnamed`.
        """
        plain = (*self.input_settings, "pooling", "heads", *self.unnamed)
        if own := self.preset_apart_from(*plain):
            return own
        mine, sized = asdict(self), f"{self.family}-{self.depth}-{self.dim}"
        same = {key: mine[key] for key in ("depth", "dim", *plain) if key in mine}
        theirs = asdict(type(self)(**self.completed({**self.presets.get(sized, {}), **same})))
        apart = (f"+{key}={setting_text(value)}" for key, value in mine.items() if theirs[key] != value)
        return sized + "".join(apart)


def pooling_for(image_size: int) -> str:
    """Pooling that leaves 8 x 8 tokens where four stages can: 0011 for 32 pixels, 1111 for 128."""
    pools = 0
    while pools < 4 and image_size > 8:
        image_size, pools = (image_size + 1) // 2, pools + 1
    return "0" * (4 - pools) + "1" * pools


def default_heads(dim: int) -> int:
    """Heads of 32 channels where D allows, else the largest divisor of D below that number of heads."""
    heads = max(dim // 32, 1)
    while dim % heads:
        heads -= 1
    return heads


def pooled(image_size: int, pooling: str) -> int:
    """What stages that pool, or do not, leave of the side of an image."""
    for digit in pooling:
        image_size = (image_size - 1) // 2 + 1 if digit == "1" else image_size
    return image_size


def check_pooling(family: str, pooling: object) -> None:
    """Raise InputError unless `pooling` is four digits 0 or 1."""
    if not isinstance(pooling, str) or len(pooling) != 4 or set(pooling) - {"0", "1"}:
        raise InputError(f"{family}: pooling takes four digits 0 or 1, such as 0011, got {pooling!r}")


def check_heads(family: str, dim: int, heads: int) -> None:
    """Raise InputError unless `heads` divides `dim`."""
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1 or dim % heads:
        raise InputError(f"{family}: heads must divide dim {dim}, got {heads!r}")
