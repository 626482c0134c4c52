"""Spiking self-attention (SSA) of Spikformer, Eqs. 8-10."""

from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, split_heads
from saformer.naming import named
from saformer.neurons import LIF


class SSA(nn.Module):
    """SSA(X) = S(BN(Linear(S(Q K^T V * s)))), with Q, K and V spikes of S(BN(X W)).

    Args:
        dim: channels D.
        heads: attention heads.
        kind: layout of the projections, see `add_projection`.
        scale: s; a power of two, so that it commutes with rounding wherever it is applied.
        keys_first: form K^T V first (O(N D^2/heads)) instead of Q K^T (O(N^2 D)). The spikes are the same.
    """

    def __init__(
        self, dim: int, heads: int, kind: str = "linear", scale: float = 0.125, keys_first: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.kind, self.scale, self.keys_first = heads, kind, scale, keys_first
        for name in ("q", "k", "v"):
            add_projection(self, name, kind, dim, dim)
            self.add_module(f"{name}_lif", LIF())
        self.attn_lif = LIF(threshold=0.5)
        add_projection(self, "proj", kind, dim, dim)
        self.proj_lif = LIF()

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, both in the layout of `kind`."""
        q, k, v = (
            split_heads(self.get_submodule(f"{name}_lif")(project(self, name, self.kind, x)), self.heads, self.kind)
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
        return self.proj_lif(project(self, "proj", self.kind, spikes))
