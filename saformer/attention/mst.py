"""Attention of the Masked Spiking Transformer: softmax in windows of the image, between integrate-and-fire neurons."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from saformer.attention.registry import INPUTS, OUTPUT, SCALE, SOFTMAX, Held, Sizes, Work, register_attention
from saformer.naming import named
from saformer.neurons import IF


class ScaledIF(IF):
    """The neuron that a quantised activation of height `up` becomes: IF on x / up, its spikes times `up`.

    Charged with half a threshold before the first step, reset by subtraction: over T steps it counts
    floor(T x / up + 1/2) spikes, bounded by 0 and T, of a constant input.
    """

    def __init__(self) -> None:
        super().__init__(reset=None, start=0.5)
        self.up = nn.Parameter(torch.tensor([2.0]))

    def forward(self, x: Tensor) -> Tensor:
        """0 or `up`, of the shape of `x`, T x ..."""
        return super().forward(x / self.up) * self.up


def in_windows(x: Tensor, grid: tuple[int, int], window: tuple[int, int], shift: int = 0) -> Tensor:
    """Rows x N x C tokens of a grid, cut after a move up and left, as (rows windows) x n x C."""
    (height, width), (down, across) = grid, window
    x = x.unflatten(1, grid)
    if shift:
        x = x.roll((-shift, -shift), (1, 2))
    x = x.unflatten(2, (width // across, across)).unflatten(1, (height // down, down))
    return x.transpose(2, 3).flatten(3, 4).flatten(0, 2)


def joined(x: Tensor, grid: tuple[int, int], window: tuple[int, int], shift: int = 0) -> Tensor:
    """Inverse of `in_windows`."""
    (height, width), (down, across) = grid, window
    x = x.unflatten(1, window).unflatten(0, (-1, height // down, width // across))
    x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
    return (x.roll((shift, shift), (1, 2)) if shift else x).flatten(1, 2)


def shift_mask(grid: tuple[int, int], window: tuple[int, int], shift: int) -> Tensor:
    """-100 between tokens of a shifted window that were not neighbours, else 0; windows x n x n."""

    def part(size: int, length: int) -> Tensor:
        place = torch.arange(size)
        return (place >= size - length).long() + (place >= size - shift)

    parts = 3 * part(grid[0], window[0])[:, None] + part(grid[1], window[1])
    region = in_windows(parts.reshape(1, -1, 1), grid, window)
    return (region != region.transpose(1, 2)).float() * -100.0


def _at_sizes(sizes: Sizes) -> "WindowAttention":
    """With equal windows of n tokens, as nearly square as they can be; the most below n where n does not divide N."""
    height, width = sizes.grid
    sides = ((h, w) for h in range(1, height + 1) if height % h == 0 for w in range(1, width + 1) if width % w == 0)
    fits = [(h, w) for h, w in sides if h * w <= sizes.aggregated]
    return WindowAttention(
        sizes.dim,
        sizes.heads,
        sizes.grid,
        max(fits, key=lambda window: (window[0] * window[1], -abs(window[0] - window[1]))),
    )


# n: tokens of a window. The softmax is of real values; its products with V add where a spike of V is. Beside Q K^T, the
# spikes of all six layers of neurons are multiplied, by their heights.
@register_attention(
    "mst",
    title="MST",
    work=(
        Work("qkv", "3*N*D**2", "R", INPUTS),
        Work("qk", "n*N*D", "R_Q"),
        Work("mul", "2*H*n*N + 5*N*D", part=SCALE, unit="E_M"),
        Work("softmax", "H*n*N", part=SOFTMAX, unit="E_MAC", each=2),
        Work("av", "n*N*D", "R_V"),
        Work("proj", "N*D**2", "R_O", OUTPUT),
    ),
    held=(Held("Q, K, V", "3*N*D", "result", "qkv"), Held("Q K^T", "H*n*N", "result", "qk")),
    build=_at_sizes,
    reads="spikes",
    gives="spikes",
    by_default=False,
)
class WindowAttention(nn.Module):
    """IF(Linear(IF(softmax(IF(Q K^T / sqrt(d)) + bias) V))) in each window, with Q, K and V spikes.

    Args:
        dim: channels D.
        heads: attention heads.
        grid: (height, width) of the tokens.
        window: (height, width) of a window.
        shift: of the windows, in tokens down and to the right; they then go round the edges of the image.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("attn_if",)
    map_meaning: ClassVar[str] = "softmax weight in its window, mean over queries"

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, grid: tuple[int, int], window: tuple[int, int], shift: int = 0) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.grid, self.window, self.shift = grid, window, shift
        down, across = window
        self.aggregated = down * across
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * down - 1) * (2 * across - 1), heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        points = torch.stack(torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")).flatten(1)
        row, column = points[:, :, None] - points[:, None, :]
        index = (row + down - 1) * (2 * across - 1) + column + across - 1
        self.register_buffer("relative_position_index", index)  # in published checkpoints
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_if, self.k_if, self.v_if = ScaledIF(), ScaledIF(), ScaledIF()
        self.attn_if, self.attn_v_if = ScaledIF(), ScaledIF()
        self.proj = nn.Linear(dim, dim)
        self.proj_if = ScaledIF()

    def _weights(self, scores: Tensor, mask: Tensor | None) -> Tensor:
        """softmax(scores + bias + mask), T x (B windows) x heads x n x n."""
        scores = scores + self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        if mask is not None:
            scores = (scores.unflatten(1, (-1, len(mask))) + mask.unsqueeze(1)).flatten(1, 2)
        return scores.softmax(-1)

    def attention_map(self, scores: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the softmax weight it gets, averaged over the queries of its window.

        Args:
            scores: T x (B windows) x heads x n x n, the output of `attn_if`.
        """
        mask = shift_mask(self.grid, self.window, self.shift).to(scores) if self.shift else None
        received = self._weights(scores, mask).mean(-2).transpose(2, 3)
        by_token = joined(received.flatten(0, 1), self.grid, self.window, self.shift)
        return by_token.unflatten(0, (len(scores), -1)).transpose(2, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """T x B x N x D -> the same; `mask` is that of shifted windows, windows x n x n."""
        rows = in_windows(x.flatten(0, 1), self.grid, self.window, self.shift).unflatten(0, (len(x), -1))
        q, k, v = self.qkv(rows).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        q, k = self.q_if(q), self.k_if(k)
        with named("qk"):
            scores = q @ k.transpose(-1, -2)
        weights, v = self._weights(self.attn_if(scores * self.scale), mask), self.v_if(v)
        with named("av"):
            mixed = weights @ v
        y = self.proj_if(self.proj(self.attn_v_if(mixed.transpose(2, 3).flatten(3))))
        return joined(y.flatten(0, 1), self.grid, self.window, self.shift).view_as(x)
