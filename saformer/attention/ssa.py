"""Spiking self-attention (SSA) of Spikformer and Spikingformer, Eqs. 8-10."""

from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, project_and_fire, split_heads
from saformer.attention.registry import SCALE, Held, Work, projections, register_attention, results
from saformer.naming import named
from saformer.neurons import LIF

# The published modules scale the product with V (N D elements), not Q K^T (H N^2).
_SCALE = Work("mul", "N*D", part=SCALE, unit="E_M")
_WORK = (*projections("qkv"), Work("qk", "N**2*D", "R_Q"), Work("qkv", "N**2*D", "R_V"), _SCALE)
_HELD = (*results("qkv"), Held("Q K^T", "H*N**2", "result", "qk"))
_KEYS_FIRST_WORK = (*projections("qkv"), Work("kv", "N*D**2/H", "R_K"), Work("qkv", "N*D**2/H", "R_Q"), _SCALE)
_KEYS_FIRST_HELD = (*results("qkv"), Held("K^T V", "D**2/H", "result", "kv"))


# The lowest comes first in tables.
@register_attention(
    "spikingformer-keys-first",
    title="Spikingformer SSA, K^T V first",
    work=_KEYS_FIRST_WORK,
    held=_KEYS_FIRST_HELD,
    build=lambda sizes: SSA(sizes.dim, sizes.heads, "conv1d", keys_first=True, spikes_out=False),
    layout="conv1d",
    by_default=False,
)
@register_attention(
    "spikingformer",
    title="Spikingformer SSA",
    work=_WORK,
    held=_HELD,
    build=lambda sizes: SSA(sizes.dim, sizes.heads, "conv1d", spikes_out=False),
    layout="conv1d",
)
@register_attention(
    "ssa-keys-first",
    title="SSA, K^T V first",
    work=_KEYS_FIRST_WORK,
    held=_KEYS_FIRST_HELD,
    build=lambda sizes: SSA(sizes.dim, sizes.heads, keys_first=True),
    reads="spikes",
    gives="spikes",
)
@register_attention(
    "ssa",
    title="SSA",
    work=_WORK,
    held=_HELD,
    build=lambda sizes: SSA(sizes.dim, sizes.heads),
    reads="spikes",
    gives="spikes",
)
class SSA(nn.Module):
    """SSA(X) = S(BN(Linear(S(Q K^T V * s)))), with Q, K and V spikes of S(BN(X W)).

    Args:
        dim: channels D.
        heads: attention heads.
        kind: layout of the projections, see `add_projection`.
        scale: s; a power of two, so that it commutes with rounding wherever it is applied.
        keys_first: form K^T V first (O(N D^2/heads)) instead of Q K^T (O(N^2 D)). The spikes are the same.
        spikes_out: True takes sums of spikes and gives spikes (Spikformer); False takes and gives membranes
            (Spikingformer): `proj_lif` then stands before q, k and v instead of at the end.
        first: what those neurons before q, k and v are called.
        tau: time constant of the neurons.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "k_lif")
    map_meaning: ClassVar[str] = "column of Q K^T s, mean over queries"

    def __init__(
        self,
        dim: int,
        heads: int,
        kind: str = "linear",
        scale: float = 0.125,
        keys_first: bool = False,
        spikes_out: bool = True,
        tau: float = 2.0,
        first: str = "proj_lif",
    ) -> None:
        super().__init__()
        self.heads, self.kind, self.scale, self.keys_first = heads, kind, scale, keys_first
        self.spikes_out, self.lif_name = spikes_out, "proj_lif" if spikes_out else first
        for name in ("q", "k", "v"):
            add_projection(self, name, kind, dim, dim)
            self.add_module(f"{name}_lif", LIF(tau=tau))
        self.attn_lif = LIF(threshold=0.5, tau=tau)
        add_projection(self, "proj", kind, dim, dim)
        self.add_module(self.lif_name, LIF(tau=tau))

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the column of Q K^T s that belongs to it, averaged over the queries.

        Args:
            queries: Q in the layout of `kind`, the output of `q_lif`.
            keys: K, the output of `k_lif`.
        """
        queries, keys = (split_heads(x, self.heads, self.kind) for x in (queries, keys))
        return (keys * queries.mean(-2, keepdim=True)).sum(-1) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, or membranes from membranes, both in the layout of `kind`."""
        if not self.spikes_out:
            x = self.get_submodule(self.lif_name)(x)
        q, k, v = (
            split_heads(
                project_and_fire(self, name, self.kind, x, self.get_submodule(f"{name}_lif")), self.heads, self.kind
            )
            for name in ("q", "k", "v")
        )
        if self.keys_first:
            with named("kv"):
                product = k.transpose(-1, -2) @ v
            with named("qkv"):
                product = q @ product
        else:
            with named("qk"):
                product = q @ k.transpose(-1, -2)
            with named("qkv"):
                product = product @ v
        spikes = self.attn_lif(merge_heads(product * self.scale, self.kind, x))
        if not self.spikes_out:
            return project(self, "proj", self.kind, spikes)
        return project_and_fire(self, "proj", self.kind, spikes, self.get_submodule(self.lif_name))
