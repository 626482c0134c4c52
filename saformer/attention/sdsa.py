"""Spike-driven self-attention (SDSA) of the Spike-driven Transformer: masks and sums, no multiplication."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, project_and_fire, split_heads
from saformer.attention.registry import Held, Work, projections, register_attention, results
from saformer.naming import named
from saformer.neurons import LIF


def _dilate(x: Tensor) -> Tensor:
    """3x3 max pool of stride 1 over the last two dimensions."""
    return F.max_pool2d(x.flatten(0, -4), 3, stride=1, padding=1).view_as(x)


@register_attention(
    "sdsa",
    title="SDSA",
    work=(*projections("qkv"), Work("kv", "N*D", "R_K"), Work("qg", "N*D", "R_Q")),
    held=(*results("qkv"), Held("g", "D", "neurons", "talking_heads_lif")),
    build=lambda sizes: SDSA(sizes.dim, sizes.heads),
    layout="conv2d",
)
class SDSA(nn.Module):
    """SDSA(X) = BN(Conv(Q * S(sum over tokens of K * V))), with Xs = S(X) and Q, K, V spikes of S(BN(Xs W)).

    Args:
        dim: channels D.
        heads: attention heads; they matter only to `event_pooling`.
        kind: layout of the projections, see `add_projection`.
        event_pooling: 3x3, stride-1 max pools over K and V (in the image plane) and over K * V and Q * g
            (in the plane of tokens and channels of a head), as published for event data.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "talking_heads_lif")
    map_meaning: ClassVar[str] = "share of channels with Q * g = 1"

    def __init__(self, dim: int, heads: int, kind: str = "conv2d", event_pooling: bool = False) -> None:
        super().__init__()
        self.heads, self.kind, self.event_pooling = heads, kind, event_pooling
        self.shortcut_lif = LIF()
        for name in ("q", "k", "v"):
            add_projection(self, name, kind, dim, dim)
        self.q_lif, self.k_lif, self.v_lif = LIF(), LIF(), LIF()
        self.talking_heads_lif = LIF(threshold=0.5)
        add_projection(self, "proj", kind, dim, dim)

    def attention_map(self, queries: Tensor, gate: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the share of channels in which Q * g is 1.

        Args:
            queries: Q in the layout of `kind`, the output of `q_lif`.
            gate: g, T x B x heads x 1 x D/heads, the output of `talking_heads_lif`.
        """
        gated = split_heads(queries, self.heads, self.kind) * gate
        return (_dilate(gated) if self.event_pooling else gated).mean(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        pool = _dilate if self.event_pooling else (lambda y: y)
        spikes = self.shortcut_lif(x)
        q = project_and_fire(self, "q", self.kind, spikes, self.q_lif)
        k = pool(project_and_fire(self, "k", self.kind, spikes, self.k_lif))
        v = pool(project_and_fire(self, "v", self.kind, spikes, self.v_lif))
        q, k, v = (split_heads(y, self.heads, self.kind) for y in (q, k, v))
        with named("kv"):
            mask = k * v
        gate = self.talking_heads_lif(pool(mask).sum(-2, keepdim=True))
        with named("qg"):
            gated = q * gate
        return project(self, "proj", self.kind, merge_heads(pool(gated), self.kind, x))
