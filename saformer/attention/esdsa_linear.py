"""The attention of E-SpikeFormer's large networks: K^T V first, of integer spikes, in projections of two layers."""

import functools
from collections.abc import Callable

from torch import Tensor, nn

from saformer.attention.keys_first import KeysFirst
from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Work, register_attention
from saformer.neurons import IntegerLIF


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
class LinearESDSA(KeysFirst):
    """BN(W(S(0.125 Q (K^T V)))), Q, K, V = S(BN(W(S(X)))), each W two 1x1 convolutions, 1.5 D channels between them.

    Membranes are T x B x D x N.

    Args:
        dim: channels D.
        heads: attention heads.
        neuron: makes a layer of neurons.
    """

    def __init__(self, dim: int, heads: int, neuron: Callable[[], nn.Module]) -> None:
        super().__init__(heads, lambda: _layers(dim), neuron=neuron, last=neuron, layout="conv1d")
