"""DISTA: Spikformer whose attention looks back in time and drops weak entries, with learned time constants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from saformer.attention.dista import SpatiotemporalAttention
from saformer.errors import InputError
from saformer.models.recognition import Published, common_settings, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, TransformerConfig, check_heads
from saformer.models.transformers.spikformer import MLP, TokenBody
from saformer.neurons import PLIF


@dataclass(frozen=True, kw_only=True)
class DISTAConfig(TransformerConfig):
    """Settings of DISTA.

    Args:
        heads: attention heads.
        scale: of the attention, as in Spikformer.
        memory: time steps that the attention of a step sees, its own included; None for all up to it.
        noise: entries of Q K^T up to this many coincidences are taken for noise and dropped; 0 keeps all.
    """

    heads: int = 12
    scale: float = 0.125
    memory: int | None = None
    noise: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.family, self.dim, self.heads)
        self.check_number("scale", above=0)
        if self.memory is not None:
            self.check_whole("memory")
        if isinstance(self.noise, bool) or not isinstance(self.noise, int) or self.noise < 0:
            raise InputError(f"{self.family}: noise must be a whole number from 0, got {self.noise!r}")


class Block(nn.Module):
    """X = X + attention(X); X = X + MLP(X), sums of spikes."""

    def __init__(self, config: DISTAConfig) -> None:
        super().__init__()
        self.attn = config.make_attention(
            "linear",
            "spikes",
            "spikes",
            own=lambda: SpatiotemporalAttention(config.dim, config.heads, config.scale, config.memory, config.noise),
        )
        self.mlp = MLP(config.dim, config.hidden, "linear", neuron=PLIF)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D."""
        x = x + self.attn(x)
        return x + self.mlp(x)


@register_model(
    "dista",
    title="DISTA, spatiotemporal attention",
    config=DISTAConfig,
    presets={
        "dista-4-384": {**CIFAR, "time_steps": 6, "heads": 12},
        "dista-2-256": {**EVENTS, "time_steps": 10, "heads": 16},
    },
)
class DISTA(TokenBody):
    """B x C x H x W images or B x T x C x H x W event frames -> B x classes.

    After "DISTA: Denoising Spiking Transformer with Intrinsic Plasticity and Spatiotemporal Attention" (arXiv
    2311.09376), whose code is not public. The paper decides: attention of neurons by time constants that are trained
    (intrinsic), attention of the network to earlier steps by explicit memory, and a nonlinear denoising of the
    attention maps; T of 6 and 10. Decided here: the body and scale of Spikformer, sizes 4-384 and 2-256, one time
    constant for a layer of neurons, a memory of all earlier steps (`memory`), and that an entry of one coincidence is
    noise (`noise`).
    """

    def __init__(self, config: DISTAConfig) -> None:
        super().__init__(config, (Block(config) for _ in range(config.depth)), PLIF)

    @classmethod
    def recognise(cls, weights: Mapping[str, Tensor], stored: Mapping[str, Any]) -> Published | None:
        """Linear q, k and v whose neurons have time constants."""
        attention = "block.0.attn"
        if rank(weights, f"{attention}.q_linear.weight") != 2 or f"{attention}.v_lif.w" not in weights:
            return None
        common = common_settings(weights, "patch_embed.proj_conv.weight", "block.0.mlp.fc1_linear.weight")
        return Published(common, {"time_steps": 6, "heads": 12, "scale": 0.125, "memory": None, "noise": 1})
