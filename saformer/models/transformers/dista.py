"""DISTA: Spikformer whose attention looks back in time and drops weak entries, with learned time constants.

Its attention is not registered (`saformer/attention/`): a step attends to those before it, so that its work at a step
grows with T, which formulas per time step do not hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, split_heads
from saformer.errors import InputError
from saformer.models.recognition import Published, common_settings, rank
from saformer.models.registry import register_model
from saformer.models.transformer_config import CIFAR, EVENTS, TransformerConfig, check_heads
from saformer.models.transformers.spikformer import MLP, TokenBody
from saformer.naming import named
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


class SpatiotemporalAttention(nn.Module):
    """S(BN(Linear(S(sum over steps t' of f(Q[t] K[t']^T) V[t'] * s)))), t' from t - window + 1 to t, f drops noise."""

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "k_lif")
    map_meaning: ClassVar[str] = "column of Q K^T s of the own step without noise, mean over queries"

    def __init__(self, config: DISTAConfig) -> None:
        super().__init__()
        self.heads, self.scale, self.noise = config.heads, config.scale, config.noise
        self.window = config.memory or config.time_steps
        for name in ("q", "k", "v"):
            add_projection(self, name, "linear", config.dim, config.dim)
            self.add_module(f"{name}_lif", PLIF())
        self.attn_lif = PLIF(threshold=0.5)
        add_projection(self, "proj", "linear", config.dim, config.dim)
        self.proj_lif = PLIF()

    def _denoised(self, scores: Tensor) -> Tensor:
        return torch.where(scores > self.noise, scores, 0.0) if self.noise else scores

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: what its column of Q K^T s keeps in its own step, mean over queries.

        Args:
            queries: Q, T x B x N x D, the output of `q_lif`.
            keys: K, the output of `k_lif`.
        """
        q, k = (split_heads(x, self.heads, "linear") for x in (queries, keys))
        return self._denoised(q @ k.transpose(-1, -2)).mean(-2) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, T x B x N x D."""
        q, k, v = (
            split_heads(self.get_submodule(f"{name}_lif")(project(self, name, "linear", x)), self.heads, "linear")
            for name in ("q", "k", "v")
        )
        mixed = []
        for step in range(len(q)):
            seen = slice(max(step + 1 - self.window, 0), step + 1)
            # The tokens of all steps seen in a row: B x heads x (steps * N) x D/heads.
            keys, values = (y[seen].permute(1, 2, 0, 3, 4).flatten(2, 3) for y in (k, v))
            with named("qk"):
                scores = q[step] @ keys.transpose(-1, -2)
            with named("qkv"):
                mixed.append(self._denoised(scores) @ values)
        spikes = self.attn_lif(merge_heads(torch.stack(mixed) * self.scale, "linear", x))
        return self.proj_lif(project(self, "proj", "linear", spikes))


class Block(nn.Module):
    """X = X + attention(X); X = X + MLP(X), sums of spikes."""

    def __init__(self, config: DISTAConfig) -> None:
        super().__init__()
        self.attn = config.make_attention("linear", "spikes", "spikes", own=lambda: SpatiotemporalAttention(config))
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
