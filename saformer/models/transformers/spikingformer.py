"""Spikingformer: SSA between membrane shortcuts, a neuron before every convolution after the first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SSA
from saformer.attention.projection import add_projection, project, project_and_fire
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import UNUSED, Published, common_settings, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, IMAGENET, IMAGENET_SIZES, TransformerConfig, check_heads
from saformer.neurons import LIF
from saformer.pooling import MaxPool2d
from saformer.steps import per_step

# How the published variants name what belongs to stage i of the patch embedding: layers and neuron, then the pool.
_STAGES = {
    "block": (("block0", "block1", "block2", "block3", "block4"), "block{}_mp"),
    "proj": (("proj", "proj1", "proj2", "proj3", "proj4"), "maxpool{}"),
}

# Their energies differ: 13.7 and 16.3 mJ in print at 8-768 for ImageNet (reports/results/published/energies.csv).
_ALIKE = {"pool_first": "CML Spikingformer has the same parameters: --set pool_first=true"}


@dataclass(frozen=True, kw_only=True)
class SpikingformerConfig(TransformerConfig):
    """Settings of Spikingformer; the published variants differ in them.

    Args:
        heads: attention heads.
        scale: 0.125 in every published variant.
        keys_first: form K^T V first, as the published ImageNet code does.
        embedding: what the stages of the patch embedding are called: "block" (CIFAR) or "proj" (ImageNet, event data).
        tau: time constant of the neurons; in the published event-data code 1.5, 1.75 with `pool_first`.
        pool_first: pool before the neuron instead of behind it (CML Spikingformer).
    """

    unnamed = ("embedding", "tau")

    heads: int = 12
    scale: float = 0.125
    keys_first: bool = False
    embedding: str = "block"
    tau: float = 2.0
    pool_first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)
        self.check_number("scale", above=0)
        self.check_number("tau", above=1)
        self.check_one_of("embedding", _STAGES)


class SpikingTokenizer(nn.Module):
    """Conv3x3-BN, then four times neuron, optional pool and Conv3x3-BN: membranes come out, no shortcut is needed.

    With `pool_first` each pool stands before its neuron.
    """

    def __init__(self, config: SpikingformerConfig) -> None:
        super().__init__()
        self.stages, pool = _STAGES[config.embedding]
        self.pools = ["", *(pool.format(i + 1) if digit == "1" else "" for i, digit in enumerate(config.pooling))]
        self.pool_first = config.pool_first
        dim = config.dim
        channels = (config.in_channels, dim // 8, dim // 4, dim // 2, dim, dim)
        for i, stage in enumerate(self.stages):
            if i:
                self.add_module(f"{stage}_lif", LIF(tau=config.tau))
            if self.pools[i]:
                self.add_module(self.pools[i], MaxPool2d(3, stride=2, padding=1))
            self.add_module(f"{stage}_conv", nn.Conv2d(channels[i], channels[i + 1], 3, padding=1, bias=False))
            self.add_module(f"{stage}_bn", nn.BatchNorm2d(channels[i + 1]))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x C x H x W -> membranes, T x B x D x h x w."""
        for i, stage in enumerate(self.stages):
            if self.pools[i] and self.pool_first:
                x = per_step(self.get_submodule(self.pools[i]), x)
            if i:
                x = self.get_submodule(f"{stage}_lif")(x)
            if self.pools[i] and not self.pool_first:
                x = per_step(self.get_submodule(self.pools[i]), x)
            x = per_step(self.get_submodule(f"{stage}_conv"), x)
            x = per_step(self.get_submodule(f"{stage}_bn"), x)
        return x


class MLP(nn.Module):
    """LIF-Conv1x1(D, 4D)-BN-LIF-Conv1x1(4D, D)-BN on membranes, under the published names."""

    def __init__(self, dim: int, hidden: int, tau: float) -> None:
        super().__init__()
        self.mlp1_lif = LIF(tau=tau)
        add_projection(self, "mlp1", "conv2d", dim, hidden)
        self.mlp2_lif = LIF(tau=tau)
        add_projection(self, "mlp2", "conv2d", hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes."""
        hidden = project_and_fire(self, "mlp1", "conv2d", self.mlp1_lif(x), self.mlp2_lif)
        return project(self, "mlp2", "conv2d", hidden)


class Block(nn.Module):
    """X' = SSA(X) + X; X = MLP(X') + X', sums of membranes."""

    def __init__(self, config: SpikingformerConfig) -> None:
        super().__init__()
        self.attn = config.make_attention(
            "conv1d",
            "membranes",
            "membranes",
            own=lambda: SSA(
                config.dim, config.heads, "conv1d", config.scale, config.keys_first, spikes_out=False, tau=config.tau
            ),
        )
        self.mlp = MLP(config.dim, config.hidden, config.tau)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        x = x + self.attn(x.flatten(3)).view_as(x)
        return x + self.mlp(x)


@register_model(
    "spikingformer",
    title="Spikingformer, SSA attention",
    config=SpikingformerConfig,
    presets={
        "spikingformer-4-384": {**CIFAR, "heads": 12},
        "cml-spikingformer-4-384": {
            **CIFAR,
            "depth": 4,
            "dim": 384,
            "heads": 12,
            "embedding": "proj",
            "pool_first": True,
        },
        "spikingformer-2-256": {**EVENTS, "heads": 16, "embedding": "proj", "tau": 1.5},
        "cml-spikingformer-2-256": {
            **EVENTS,
            "depth": 2,
            "dim": 256,
            "heads": 16,
            "embedding": "proj",
            "tau": 1.75,
            "pool_first": True,
        },
        **{
            f"spikingformer-{size}": {**IMAGENET, "heads": 8, "keys_first": True, "embedding": "proj"}
            for size in IMAGENET_SIZES
        },
        "cml-spikingformer-8-768": {
            **IMAGENET,
            "depth": 8,
            "dim": 768,
            "heads": 8,
            "keys_first": True,
            "embedding": "proj",
            "pool_first": True,
        },
    },
)
class Spikingformer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    config: SpikingformerConfig

    def __init__(self, config: SpikingformerConfig) -> None:
        super().__init__(config)
        self.patch_embed = SpikingTokenizer(config)
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """An MLP of layers mlp1 and mlp2; the patch embedding and its channels tell the variants apart.

        CML Spikingformer has the names that Spikingformer has for ImageNet and event data, in its code for CIFAR too:
        unless `pool_first` is stored or given, the name of the model, and for images the size of the patches or the
        number of classes, decide.
        """
        hidden = "block.0.mlp.mlp1_conv.weight"
        if hidden not in weights or rank(weights, "block.0.attn.q_linear.weight") == 2:
            return None
        embedding = "block" if "patch_embed.block0_conv.weight" in weights else "proj"
        stem = "patch_embed.block0_conv.weight" if embedding == "block" else "patch_embed.proj_conv.weight"
        shown: dict[str, Any] = {"embedding": embedding, **common_settings(weights, stem, hidden)}
        if embedding == "block":
            shown["pool_first"] = False
            return Published(shown, {"time_steps": 4, "heads": 12, "tau": 2.0, "pooling": "0011"}, UNUSED)
        cml = stored.get("pool_first", "cml" in str(stored.get("model", "")).lower())
        if shown["in_channels"] == 2:
            defaults = {"heads": 16, "tau": 1.75 if cml else 1.5, "pooling": "1111", "pool_first": cml}
            return Published({**shown, "keys_first": False}, defaults, UNUSED, notes=_ALIKE)
        patches = stored.get("patch_size") or (16 if shown["num_classes"] >= 1000 else 4)
        if patches == 4:
            defaults = {"time_steps": 4, "heads": 12, "tau": 2.0, "image_size": 32, "pooling": "0011"}
            defaults["pool_first"] = True
            return Published({**shown, "keys_first": False}, defaults, UNUSED)
        defaults = {"heads": 8, "tau": 2.0, "image_size": 224, "pooling": "1111", "pool_first": cml}
        return Published({**shown, "keys_first": True}, defaults, UNUSED, notes=_ALIKE)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of the mean membrane over tokens and time steps: the head, as published, gets no spikes."""
        x = self.patch_embed(in_time(x, self.config))
        for block in self.block:
            x = block(x)
        return self.head(x.mean((3, 4)).mean(0))
