"""The attention of E-SpikeFormer's large networks: K^T V first, of integer spikes, in projections of two layers."""

import functools
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import merge_heads, split_heads
from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Work, register_attention
from saformer.naming import named
from saformer.neurons import IntegerLIF
from saformer.steps import per_step


class DoubleConv(nn.Module):
    """Conv1x1-BN-Conv1x1-BN with nothing between: one 1x1 convolution, trained in parts (as published: RepConv)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(dim, hidden, 1, bias=False), nn.BatchNorm1d(hidden))
        self.conv2 = nn.Sequential(nn.Conv1d(hidden, dim, 1, bias=False), nn.BatchNorm1d(dim))

    def forward(self, x: Tensor) -> Tensor:
        """B x D x N -> B x D x N."""
        return self.conv2(self.conv1(x))


def _layers(dim: int) -> nn.Module:
    return nn.Sequential(DoubleConv(dim, dim * 3 // 2), nn.BatchNorm1d(dim))


def _projection(name: str, rate: str, part: str) -> tuple[Work, ...]:
    """A projection in its two parts; what follows the first reads real values."""
    return (
        Work(f"{name}_conv.0.conv1.0", "3*N*D**2/2", rate, part),
        Work(f"{name}_conv.0.conv2.0", "3*N*D**2/2", part=part, unit="E_MAC"),
    )


@register_attention(
    "esdsa-linear",
    title="E-SDSA, K^T V first",
    work=(
        *(work for name in "qkv" for work in _projection(name, "R", INPUTS)),
        Work("kv", "N*D**2/H", "R_K"),
        Work("qkv", "N*D**2/H", "R_Q"),
        Work("mul", "N*D", part=SCALE, unit="E_M"),
        *_projection("proj", "R_O", OUTPUT),
    ),
    held=(
        *(Held(name.upper(), "N*D", "result", f"{name}_conv.0.conv2.0") for name in "qkv"),
        Held("K^T V", "D**2/H", "result", "kv"),
    ),
    build=lambda sizes: LinearESDSA(sizes.dim, sizes.heads, functools.partial(IntegerLIF, 4, height=1 / 4)),
    layout="conv1d",
    by_default=False,
)
class LinearESDSA(nn.Module):
    """BN(W(S(0.125 Q (K^T V)))), Q, K, V = S(BN(W(S(X)))), each W two 1x1 convolutions, 1.5 D channels between them.

    Args:
        dim: channels D.
        heads: attention heads.
        neuron: makes a layer of neurons.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "k_lif")
    map_meaning: ClassVar[str] = "column of 0.125 Q K^T, mean over queries"

    def __init__(self, dim: int, heads: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.heads = heads
        self.head_lif = neuron()
        for name in ("q", "k", "v"):
            self.add_module(f"{name}_conv", _layers(dim))
            self.add_module(f"{name}_lif", neuron())
        self.attn_lif = neuron()
        self.proj_conv = _layers(dim)

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the column of 0.125 Q K^T that belongs to it, mean over the queries.

        Args:
            queries: Q, T x B x D x N, the output of `q_lif`.
            keys: K, the output of `k_lif`.
        """
        queries, keys = (split_heads(x, self.heads, "conv1d") for x in (queries, keys))
        return (keys * queries.mean(-2, keepdim=True)).sum(-1) * 0.125

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x N."""
        spikes = self.head_lif(x)
        q, k, v = (
            split_heads(
                self.get_submodule(f"{name}_lif")(per_step(self.get_submodule(f"{name}_conv"), spikes)),
                self.heads,
                "conv1d",
            )
            for name in ("q", "k", "v")
        )
        with named("kv"):
            gathered = k.transpose(-2, -1) @ v
        with named("qkv"):
            attended = q @ gathered
        return per_step(self.proj_conv, self.attn_lif(merge_heads(attended * 0.125, "conv1d", x)))
