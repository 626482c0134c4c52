"""E-SDSA of E-SpikeFormer (Spike-driven Transformer V3): products of integer spikes, and V wider than Q and K."""

import functools
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import merge_heads, split_heads
from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Work, register_attention
from saformer.naming import named
from saformer.neurons import IntegerLIF
from saformer.steps import per_step


# As published: integers up to 4, and four times as many channels in V.
@register_attention(
    "esdsa",
    title="E-SDSA",
    work=(
        Work("q_conv.0", "N*D**2", "R", INPUTS),
        Work("k_conv.0", "N*D**2", "R", INPUTS),
        Work("v_conv.0", "4*N*D**2", "R", INPUTS),
        Work("qk", "N**2*D", "R_Q"),
        Work("qkv", "4*N**2*D", "R_V"),
        Work("mul", "4*N*D", part=SCALE, unit="E_M"),
        Work("proj_conv.0", "4*N*D**2", "R_O", OUTPUT),
    ),
    held=(
        Held("Q", "N*D", "result", "q_conv.0"),
        Held("K", "N*D", "result", "k_conv.0"),
        Held("V", "4*N*D", "result", "v_conv.0"),
        Held("Q K^T", "H*N**2", "result", "qk"),
    ),
    build=lambda sizes: ESDSA(sizes.dim, sizes.heads, 4, functools.partial(IntegerLIF, 4, height=1 / 4)),
    layout="conv2d",
    by_default=False,
)
class ESDSA(nn.Module):
    """E-SDSA(X) = BN(Conv(S(c Q K^T V))), Q, K, V = S(BN(Conv(S(X)))), c = 2 / sqrt(D/heads), V wider than Q and K.

    Args:
        dim: channels D.
        heads: attention heads.
        expansion: channels of V over D.
        neuron: makes a layer of neurons.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_spike", "k_spike")
    map_meaning: ClassVar[str] = "column of c Q K^T, mean over queries"

    def __init__(self, dim: int, heads: int, expansion: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.heads, self.scale = heads, 2 * (dim // heads) ** -0.5
        wide = dim * expansion
        self.head_spike = neuron()
        for name, outputs in (("q", dim), ("k", dim), ("v", wide)):
            layers = nn.Sequential(nn.Conv2d(dim, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
            self.add_module(f"{name}_conv", layers)
            self.add_module(f"{name}_spike", neuron())
        self.attn_spike = neuron()
        self.proj_conv = nn.Sequential(nn.Conv2d(wide, dim, 1, bias=False), nn.BatchNorm2d(dim))

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the column of c Q K^T that belongs to it, averaged over the queries.

        Args:
            queries: Q, T x B x D x h x w, the output of `q_spike`.
            keys: K, the output of `k_spike`.
        """
        queries, keys = (split_heads(x, self.heads, "conv2d") for x in (queries, keys))
        return (keys * queries.mean(-2, keepdim=True)).sum(-1) * self.scale

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        spikes = self.head_spike(x)
        wide = {
            name: self.get_submodule(f"{name}_spike")(per_step(self.get_submodule(f"{name}_conv"), spikes))
            for name in ("q", "k", "v")
        }
        q, k, v = (split_heads(y, self.heads, "conv2d") for y in wide.values())
        with named("qk"):
            scores = q @ k.transpose(-2, -1)
        with named("qkv"):
            attended = scores @ v
        return per_step(self.proj_conv, self.attn_spike(merge_heads(attended * self.scale, "conv2d", wide["v"])))
