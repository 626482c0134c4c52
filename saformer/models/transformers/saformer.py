"""SAFormer (Eqs. 4-7): membrane shortcuts around SASA, so that every layer after the first sees spikes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention import SASA
from saformer.attention.projection import add_projection, project, project_and_fire
from saformer.models.config import Model, in_time, initialise
from saformer.models.recognition import UNUSED, Published, common_settings, holds, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, TransformerConfig
from saformer.models.transformers.patch_embedding import PatchEmbedding
from saformer.neurons import LIF


@dataclass(frozen=True, kw_only=True)
class SAFormerConfig(TransformerConfig):
    """Settings of SAFormer; the last three are the ablations of Table 3 and the reading of Eqs. 12-13.

    Args:
        aggregated: n of Eqs. 12-13; None for n = N (ablation "w/o A").
        aggregate: "membrane" or "spikes", what is pooled; see `SASA`.
        depthwise: False drops F of Eq. 16 (ablation "w/o D").
    """

    aggregated: int | None = 16
    aggregate: str = "membrane"
    depthwise: bool = True


class MLP(nn.Module):
    """LIF-Linear(D, 4D)-BN-LIF-Linear(4D, D)-BN on membranes (`kind` as in `add_projection`)."""

    def __init__(self, dim: int, hidden: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.fc1_lif = LIF()
        add_projection(self, "fc1", kind, dim, hidden)
        self.fc2_lif = LIF()
        add_projection(self, "fc2", kind, hidden, dim)

    def layer(self, name: str, x: Tensor) -> Tensor:
        """Neuron, projection and BatchNorm of fc1 or fc2."""
        return project(self, name, self.kind, self.get_submodule(f"{name}_lif")(x))

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes."""
        hidden = project_and_fire(self, "fc1", self.kind, self.fc1_lif(x), self.fc2_lif)
        return project(self, "fc2", self.kind, hidden)


class Block(nn.Module):
    """X' = SASA(X) + X; X = MLP(X') + X' (Eqs. 5-6)."""

    def __init__(self, config: SAFormerConfig) -> None:
        super().__init__()
        grid = (config.grid, config.grid)
        self.attn = config.make_attention(
            "linear",
            "membranes",
            "membranes",
            own=lambda: SASA(config.dim, grid, config.aggregated, config.aggregate, config.depthwise),
        )
        self.mlp = MLP(config.dim, config.hidden, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x N x D."""
        x = self.attn(x) + x
        return self.mlp(x) + x


@register_model(
    "saformer",
    title="SAFormer, SASA attention",
    config=SAFormerConfig,
    presets={"saformer-4-384": CIFAR, "saformer-2-512": CIFAR, "saformer-2-256": EVENTS},
)
class SAFormer(Model):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes."""

    def __init__(self, config: SAFormerConfig) -> None:
        super().__init__(config)
        self.patch_embed = PatchEmbedding(
            config.in_channels,
            config.dim,
            config.pooling,
            pool_first=(True, True, True, True),
            membrane_shortcut=True,
            neuron=LIF,
        )
        self.block = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_lif = LIF()
        self.head = nn.Linear(config.dim, config.num_classes)
        initialise(self)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Linear q and k without a v."""
        attention = "block.0.attn"
        if rank(weights, f"{attention}.q_linear.weight") != 2 or holds(weights, f"{attention}.v_linear."):
            return None
        common = common_settings(weights, "patch_embed.proj_conv.weight", "block.0.mlp.fc1_linear.weight")
        shown = {**common, "depthwise": f"{attention}.dwc_conv.weight" in weights}
        return Published(shown, {"time_steps": 4, "aggregated": 16, "aggregate": "membrane"}, UNUSED)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, averaged over the T steps (Eq. 7)."""
        x = self.patch_embed(in_time(x, self.config)).flatten(3).transpose(2, 3).contiguous()
        for block in self.block:
            x = block(x)
        return self.head(self.head_lif(x.mean(2))).mean(0)
