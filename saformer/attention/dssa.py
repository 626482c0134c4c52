"""DSSA of SpikingResformer: products of spikes with real values, between tokens and patches of tokens."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Sizes, Work, register_attention
from saformer.neurons import LIF
from saformer.steps import StepNorm, per_step


class Product(nn.Module):
    """A matrix product, under the published name."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """... x M x K, ... x K x N -> ... x M x N."""
        return left @ right


def _at_sizes(sizes: Sizes) -> "DSSA":
    """With n equal patches, as nearly square as they can be; the most below n where n does not divide N."""
    height, width = sizes.grid
    sides = ((h, w) for h in range(1, height + 1) if height % h == 0 for w in range(1, width + 1) if width % w == 0)
    fits = [(h, w) for h, w in sides if sizes.tokens <= h * w * sizes.aggregated]
    down, across = min(fits, key=lambda patch: (patch[0] * patch[1], abs(patch[0] - patch[1])))
    return DSSA(sizes.dim, sizes.heads, sizes.tokens // (down * across), (down, across), LIF)


# n: patches. Y1 and Y2 are real, and are added where a spike of X, or of the attention, is.
@register_attention(
    "dssa",
    title="DSSA",
    work=(
        Work("W", "2*N*D**2", "R", INPUTS),
        Work("matmul1.matmul", "n*N*D", "R"),
        Work("matmul2.matmul", "n*N*D", "R_A"),
        Work("mul", "H*n*N + N*D", part=SCALE, unit="E_M"),
        Work("Wproj", "N*D**2", "R_O", OUTPUT),
    ),
    held=(
        Held("Y1, Y2", "2*n*D", "result", "W"),
        Held("A", "H*n*N", "neurons", "activation_attn"),
    ),
    build=_at_sizes,
    layout="conv2d",
    by_default=False,
)
class DSSA(nn.Module):
    """Dual spike self-attention: BN(Conv1x1(S(c2 Y2 S(c1 Y1^T Xs)))), (Y1, Y2) = BN(ConvPxP(Xs)), Xs = S(X).

    With rates f of the spikes of a head, c1 = 1 / sqrt(f(Xs) D/heads) and c2 = 1 / sqrt(f(attention) patches). They
    are running means of the training; before any, a rate counts as 1.

    Args:
        dim: channels D.
        heads: attention heads.
        length: patches of the image.
        patch: (height, width) of a patch.
        neuron: makes a layer of neurons.
        shortcut: X is added to the result: the blocks of SpikingResformer are these modules.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("activation_in", "activation_attn")
    map_meaning: ClassVar[str] = "share of tokens whose attention to its patch is 1"

    firing_rate_x: Tensor
    firing_rate_attn: Tensor

    def __init__(
        self,
        dim: int,
        heads: int,
        length: int,
        patch: tuple[int, int],
        neuron: Callable[[], nn.Module],
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.heads, self.length, self.patch, self.shortcut = heads, length, patch, shortcut
        self.register_buffer("firing_rate_x", torch.zeros(1, 1, heads, 1, 1))
        self.register_buffer("firing_rate_attn", torch.zeros(1, 1, heads, 1, 1))
        self.activation_in = neuron()
        self.W = nn.Conv2d(dim, 2 * dim, patch, patch, bias=False)
        self.norm = StepNorm(2 * dim)
        self.matmul1, self.matmul2 = Product(), Product()
        self.activation_attn = neuron()
        self.activation_out = neuron()
        self.Wproj = nn.Conv2d(dim, dim, 1, bias=False)
        self.norm_proj = StepNorm(dim)

    def _scale(self, rate: Tensor, spikes: Tensor, size: int) -> Tensor:
        """1 / sqrt(rate size) for each head; training moves the rate by a thousandth towards that of these spikes."""
        if self.training:
            with torch.no_grad():
                seen = spikes.mean((0, 1, 3, 4), keepdim=True)
                rate.lerp_(seen, 1 - 0.999) if rate.any() else rate.copy_(seen)
        return 1.0 / torch.sqrt(torch.where(rate > 0, rate, 1.0) * size)

    def attention_map(self, spikes: Tensor, attention: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the share of the N tokens at which the row of its patch has a spike.

        Args:
            spikes: Xs, T x B x D x h x w, the output of `activation_in`.
            attention: T x B x heads x patches x N, the output of `activation_attn`.
        """
        (height, width), (down, across) = spikes.shape[-2:], self.patch
        by_patch = attention.mean(-1).unflatten(-1, (height // down, width // across))
        by_token = by_patch.repeat_interleave(down, -2).repeat_interleave(across, -1)
        # Pixels beyond the last whole patch are in none.
        return functional.pad(by_token, (0, width - by_token.shape[-1], 0, height - by_token.shape[-2])).flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x D x h x w."""
        spikes = self.activation_in(x)
        y1, y2 = self.norm(per_step(self.W, spikes)).flatten(3).unflatten(2, (self.heads, -1)).chunk(2, 3)
        by_head = spikes.flatten(3).unflatten(2, (self.heads, -1))
        scale = self._scale(self.firing_rate_x, by_head, by_head.shape[3])
        attention = self.activation_attn(self.matmul1(y1.transpose(-1, -2), by_head) * scale)
        scale = self._scale(self.firing_rate_attn, attention, self.length)
        out = self.activation_out((self.matmul2(y2, attention) * scale).reshape(x.shape))
        y = self.norm_proj(per_step(self.Wproj, out))
        return y + x if self.shortcut else y
