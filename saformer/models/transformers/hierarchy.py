"""Settings of QKFormer and Max-Former: stages of tokens whose width doubles where their number falls to a quarter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.errors import InputError
from saformer.models.config import MOST
from saformer.models.recognition import Published, holds, rank
from saformer.models.transformer_config import AttentiveConfig

#: Blocks of the stages before the last, by variant.
EARLY_BLOCKS = {"cifar": (1, 1), "imagenet": (1, 2), "events": (1,)}
# Tokens of the last stage along one side: the image over this.
_SHRINKS = {"cifar": 4, "imagenet": 16, "events": 16}


@dataclass(frozen=True, kw_only=True)
class StagesConfig(AttentiveConfig):
    """Settings of a transformer in stages, named FAMILY-DEPTH-DIM.

    Args:
        depth: blocks of all stages; those before the last have 1 and 1 (CIFAR), 1 and 2 (ImageNet) or 1 (event data).
        dim: channels of the last stage; each stage before it has half of the next.
        variant: which of the published networks: "cifar", "imagenet" or "events"; they differ in the embeddings.
        heads: attention heads, in every stage that has them.
        mlp_ratio: hidden width of the MLPs over the channels of their stage.
    """

    depth: int
    dim: int
    variant: str = "cifar"
    heads: int = 8
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("depth", "dim", "heads")
        self.check_one_of("variant", EARLY_BLOCKS)
        self.check_number("mlp_ratio", above=0)
        if self.blocks[-1] < 1:
            raise InputError(f"{self.family}: depth must be {sum(self.blocks[:-1]) + 1} or more, got {self.depth}")
        least = 16 if self.variant == "events" else 8
        if self.dim % least:
            raise InputError(f"{self.family}: dim must be a multiple of {least}, got {self.dim}")
        if not self.hidden(self.widths[0]) >= 1 or self.hidden(self.dim) > MOST:
            raise InputError(f"{self.family}: mlp_ratio {self.mlp_ratio!r} leaves no hidden width")
        # The branches of an embedding shrink the image by pools on one side and strides on the other.
        if self.image_size % _SHRINKS[self.variant]:
            raise InputError(
                f"{self.family}: image_size must be a multiple of {_SHRINKS[self.variant]} "
                f"in the variant {self.variant}, got {self.image_size}"
            )

    @classmethod
    def completed(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with the variant that the channels or the image size show, and its heads."""
        found = super().completed(settings)
        size = found["image_size"]
        large = isinstance(size, int) and size >= 128
        found.setdefault("variant", "events" if found.get("in_channels") == 2 else "imagenet" if large else "cifar")
        found.setdefault("heads", published_heads(found["variant"], found["dim"]))
        return found

    @property
    def name(self) -> str:
        """FAMILY-DEPTH-DIM, as in the papers, or a preset of its own name."""
        own = self.preset_apart_from(*self.input_settings, "attention") or f"{self.family}-{self.depth}-{self.dim}"
        return own if self.attention is None else f"{own}+attention={self.attention}"

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        early = EARLY_BLOCKS.get(self.variant, ())
        return (*early, self.depth - sum(early))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        stages = len(self.blocks)
        return tuple(self.dim // 2 ** (stages - 1 - i) for i in range(stages))

    @property
    def sides(self) -> tuple[int, ...]:
        """Tokens along one side of the image in each stage."""
        last, stages = self.image_size // _SHRINKS[self.variant], len(self.blocks)
        return tuple(last * 2 ** (stages - 1 - i) for i in range(stages))

    def make_attention(self, stage: int, gives: str, own: Callable[[], nn.Module]) -> nn.Module:
        """The attention of a block of a stage (from 0), which reads what it gives: "spikes" or "membranes"."""
        return self.attention_at(own, self.widths[stage], self.heads, self.sides[stage], "conv1d", gives, gives)

    def hidden(self, width: int) -> int:
        """Hidden width of the MLPs of a stage."""
        return int(round(width * self.mlp_ratio, 6))


def published_heads(variant: str, dim: int) -> int:
    """Heads of the published networks: 8, 16 for events, channels of 64 in the last stage for ImageNet."""
    return max(dim // 64, 1) if variant == "imagenet" else 16 if variant == "events" else 8


def stage_settings(weights: Mapping[str, Tensor], variant: str, stem: str, hidden: str) -> Published:
    """What names and shapes show, and the defaults of a published variant.

    The published code fixes the heads: it takes what its script stores as `num_heads` and does not use it.

    Args:
        weights: parameter name -> tensor.
        variant: as in `StagesConfig`.
        stem: the first convolution.
        hidden: the first layer of the first block's MLP.

    Raises:
        InputError: one of them, or the head, is missing or has another rank.
    """
    for name, dims in ((stem, 4), ("head.weight", 2), (hidden, 4)):
        if rank(weights, name) != dims:
            raise InputError(f"parameter {name} is missing from the checkpoint, or has a wrong shape")
    stages = len(EARLY_BLOCKS[variant]) + 1
    depth = 0
    for stage in range(1, stages + 1):
        block = 0
        while holds(weights, f"stage{stage}.{block}."):
            block += 1
        depth += block
    first, head, mlp = weights[stem], weights["head.weight"], weights[hidden]
    shown: dict[str, Any] = {
        "variant": variant,
        "depth": depth,
        "dim": head.shape[1],
        "num_classes": head.shape[0],
        "in_channels": first.shape[1],
        "mlp_ratio": mlp.shape[0] / mlp.shape[1],
    }
    size = {"cifar": 32, "imagenet": 224, "events": 128}[variant]
    steps = 16 if variant == "events" else 4
    heads = published_heads(variant, shown["dim"])
    defaults = {"time_steps": steps, "image_size": size, "heads": heads}
    return Published(shown, defaults, ignored=frozenset({"heads"}))


#: Published inputs of each variant, for presets.
CIFAR = {"variant": "cifar", "in_channels": 3, "image_size": 32, "num_classes": 10, "time_steps": 4}
IMAGENET = {"variant": "imagenet", "in_channels": 3, "image_size": 224, "num_classes": 1000, "time_steps": 4}
EVENTS = {"variant": "events", "in_channels": 2, "image_size": 128, "num_classes": 10, "time_steps": 16}
