"""SDSA-3 of Meta-SpikeFormer (Spike-driven Transformer V2): K^T V first, and projections by RepConvs."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from saformer.attention.keys_first import KeysFirst
from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Work, register_attention
from saformer.neurons import LIF


class PaddedBatchNorm(nn.Module):
    """BatchNorm, then a border of one pixel that holds what it makes of zero, as if the layer before had padded."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> B x C x (H + 2) x (W + 2)."""
        bn, padded = self.bn, functional.pad(self.bn(x), [1] * 4)
        assert bn.running_mean is not None and bn.running_var is not None
        border = bn.bias - bn.running_mean * bn.weight / torch.sqrt(bn.running_var + bn.eps)
        for edge in (padded[:, :, :1], padded[:, :, -1:], padded[..., :1], padded[..., -1:]):
            edge.copy_(border.detach()[:, None, None])  # no gradient reaches the border, as published
        return padded


class RepConv(nn.Module):
    """Conv1x1-BN, depthwise Conv3x3, Conv1x1-BN with nothing between: one 3x3 convolution, trained in parts."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(dim, dim, 1, bias=False),
            PaddedBatchNorm(dim),
            nn.Sequential(
                nn.Conv2d(dim, dim, 3, groups=dim, bias=False),
                nn.Conv2d(dim, dim, 1, bias=False),
                nn.BatchNorm2d(dim),
            ),
        )

    def forward(self, x: Tensor) -> Tensor:
        """B x C x H x W -> the same shape."""
        return self.body(x)


def _projection(name: str, rate: str, part: str) -> tuple[Work, ...]:
    """A RepConv in its three parts; what follows the first reads real values."""
    return (
        Work(f"{name}_conv.0.body.0", "N*D**2", rate, part),
        Work(f"{name}_conv.0.body.2.0", "9*N*D", part=part, unit="E_MAC"),
        Work(f"{name}_conv.0.body.2.1", "N*D**2", part=part, unit="E_MAC"),
    )


@register_attention(
    "sdsa3",
    title="SDSA-3",
    work=(
        *(work for name in "qkv" for work in _projection(name, "R", INPUTS)),
        Work("kv", "N*D**2/H", "R_K"),
        Work("qkv", "N*D**2/H", "R_Q"),
        Work("mul", "N*D", part=SCALE, unit="E_M"),
        *_projection("proj", "R_O", OUTPUT),
    ),
    held=(
        *(Held(name.upper(), "N*D", "result", f"{name}_conv.0.body.2.1") for name in "qkv"),
        Held("K^T V", "D**2/H", "result", "kv"),
    ),
    build=lambda sizes: SDSA3(sizes.dim, sizes.heads),
    layout="conv2d",
    by_default=False,
)
class SDSA3(KeysFirst):
    """SDSA-3(X) = BN(RepConv(S(0.125 Q (K^T V)))), Q, K, V = S(BN(RepConv(S(X)))), neurons of V_th 0.5 before the last.

    Membranes are T x B x D x h x w.

    Args:
        dim: channels D.
        heads: attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__(
            heads,
            lambda: nn.Sequential(RepConv(dim), nn.BatchNorm2d(dim)),
            neuron=LIF,
            last=lambda: LIF(threshold=0.5),
            layout="conv2d",
        )
