"""Spatiotemporal attention of DISTA: spiking self-attention that looks back in time and drops weak entries."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, split_heads
from saformer.attention.registry import SCALE, Held, Work, projections, register_attention, results
from saformer.naming import named
from saformer.neurons import PLIF


# Step t, from 1, sees t steps: (T + 1)/2 in the mean. R_K and R_V are those of what is read, earlier steps more often.
@register_attention(
    "dista",
    title="DISTA",
    work=(
        *projections("qkv"),
        Work("qk", "N**2*D*(T + 1)/2", "R_Q"),
        Work("qkv", "N**2*D*(T + 1)/2", "R_V"),
        Work("mul", "N*D", part=SCALE, unit="E_M"),
    ),
    held=(*results("qkv"), Held("Q K^T", "H*N**2*(T + 1)/2", "result", "qk")),
    build=lambda sizes: SpatiotemporalAttention(sizes.dim, sizes.heads),
    reads="spikes",
    gives="spikes",
    by_default=False,
)
class SpatiotemporalAttention(nn.Module):
    """S(BN(Linear(S(sum over steps t' of f(Q[t] K[t']^T) V[t'] * s)))), t' from t - memory + 1 to t, f drops noise.

    Args:
        dim: channels D.
        heads: attention heads.
        scale: s.
        memory: time steps that the attention of a step sees, its own included; None for all up to it.
        noise: entries of Q K^T up to this many coincidences are dropped; 0 keeps all.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "k_lif")
    map_meaning: ClassVar[str] = "column of Q K^T s of the own step without noise, mean over queries"

    def __init__(self, dim: int, heads: int, scale: float = 0.125, memory: int | None = None, noise: int = 1) -> None:
        super().__init__()
        self.heads, self.scale, self.memory, self.noise = heads, scale, memory, noise
        for name in ("q", "k", "v"):
            add_projection(self, name, "linear", dim, dim)
            self.add_module(f"{name}_lif", PLIF())
        self.attn_lif = PLIF(threshold=0.5)
        add_projection(self, "proj", "linear", dim, dim)
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
            seen = slice(max(step + 1 - (self.memory or len(q)), 0), step + 1)
            # The tokens of all steps seen in a row: B x heads x (steps * N) x D/heads.
            keys, values = (y[seen].permute(1, 2, 0, 3, 4).flatten(2, 3) for y in (k, v))
            with named("qk"):
                scores = q[step] @ keys.transpose(-1, -2)
            with named("qkv"):
                mixed.append(self._denoised(scores) @ values)
        spikes = self.attn_lif(merge_heads(torch.stack(mixed) * self.scale, "linear", x))
        return self.proj_lif(project(self, "proj", "linear", spikes))
