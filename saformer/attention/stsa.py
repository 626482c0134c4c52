"""STSA of the STS-Transformer: tokens attend to those of all steps up to their own, with a position bias."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from saformer.attention.registry import INPUTS, OUTPUT, SCALE, Held, Work, register_attention
from saformer.naming import named
from saformer.neurons import LIF


def sts_neuron() -> LIF:
    """U[t] = H[t-1] / 2 + X[t], a spike where U > 1, hard reset to 0."""
    return LIF(tau=2.0, decay_input=False, strict=True)


def _offsets(steps: int, height: int, width: int) -> Tensor:
    """Which entry of the bias table belongs to a pair of tokens, TN x TN: one for each offset in time, row, column."""
    sizes = (steps, height, width)
    points = torch.stack(torch.meshgrid(*map(torch.arange, sizes), indexing="ij")).flatten(1)
    offsets = points[:, :, None] - points[:, None, :]
    index = torch.zeros_like(offsets[0])
    for offset, size in zip(offsets, sizes, strict=True):
        index = index * (2 * size - 1) + offset + size - 1
    return index


# T N tokens, N of them at each step. The mask multiplies all scores, those of later steps too.
@register_attention(
    "stsa",
    title="STSA",
    work=(
        Work("qkv", "3*N*D**2", "R", INPUTS),
        Work("qk", "T*N**2*D", "R_Q"),
        Work("av", "T*N**2*D", "R_V"),
        Work("mul", "H*T*N**2 + N*D", part=SCALE, unit="E_M"),
        Work("proj", "N*D**2", "R_O", OUTPUT),
    ),
    held=(Held("Q, K, V", "3*N*D", "result", "qkv"), Held("Q K^T", "H*T*N**2", "result", "qk")),
    build=lambda sizes: STSA(sizes.dim, sizes.heads, sizes.time_steps, sizes.grid),
    layout="conv2d",
    reads="spikes",
    gives="spikes",
    by_default=False,
)
class STSA(nn.Module):
    """S(BN(Conv(S((Q K^T + bias) * mask V / 8)))) over all T N tokens; the mask hides later steps.

    As published, the T x D x N sums of spikes of an image are read, in the order in which they lie in memory, as
    D x T N: the projection of q, k and v mixes steps and channels. The published code does so over the batch, too, and
    then gives an image scores that depend on the others; here each image is read as if it were alone, a batch of 1.

    Args:
        dim: channels D.
        heads: attention heads.
        time_steps: T; with the grid it fixes the size of the position bias.
        grid: (height, width) of the tokens.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("qkv_lif",)
    map_meaning: ClassVar[str] = "column of Q K^T / 8 without the bias, mean over queries of its step and later"

    mask_mat: Tensor
    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, time_steps: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.heads = heads
        offsets = math.prod(2 * size - 1 for size in (time_steps, *grid))
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets, self.heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        step = torch.arange(time_steps).repeat_interleave(math.prod(grid))
        # Both lie in published checkpoints.
        self.register_buffer("mask_mat", (step[:, None] >= step).float().repeat(self.heads, 1, 1))
        self.register_buffer("relative_position_index", _offsets(time_steps, *grid))
        self.qkv_conv = nn.Conv1d(dim, 3 * dim, 1, bias=False)
        self.qkv_bn = nn.BatchNorm1d(3 * dim)
        self.qkv_lif = sts_neuron()
        self.attn_lif = sts_neuron()
        self.proj_conv = nn.Conv1d(dim, dim, 1)
        self.proj_bn = nn.BatchNorm1d(dim)
        self.proj_lif = sts_neuron()

    def _by_head(self, spikes: Tensor) -> tuple[Tensor, ...]:
        """Q, K and V of all steps, B x heads x T N x D/heads each, from T x B x 3D x N."""
        return tuple(
            part.permute(1, 0, 3, 2).flatten(1, 2).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in spikes.chunk(3, dim=2)
        )

    def attention_map(self, spikes: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: its column of Q K^T / 8, averaged over the queries that may see it.

        Args:
            spikes: of q, k and v, T x B x 3D x N, the output of `qkv_lif`.
        """
        q, k, _ = self._by_head(spikes)
        scores = q @ k.transpose(-1, -2) * self.mask_mat
        seen = scores.sum(-2) / self.mask_mat.sum(-2) * 0.125
        return seen.unflatten(-1, (len(spikes), -1)).permute(2, 0, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, both T x B x D x h x w."""
        steps, batch, dim = x.shape[:3]
        y = self.qkv_bn(self.qkv_conv(x.transpose(0, 1).reshape(batch, dim, -1)))
        y = y.unflatten(2, (steps, -1)).permute(2, 0, 1, 3)  # T x B x 3D x N
        q, k, v = self._by_head(self.qkv_lif(y))
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        with named("qk"):
            attention = q @ k.transpose(-1, -2)
        attention = (attention + bias) * self.mask_mat
        with named("av"):
            y = attention @ v
        y = (y * 0.125).transpose(1, 2).reshape(batch, steps, -1, dim).permute(1, 0, 3, 2)
        y = self.attn_lif(y).permute(1, 2, 0, 3).flatten(2)  # B x D x T N
        y = self.proj_bn(self.proj_conv(y)).unflatten(2, (steps, -1)).permute(2, 0, 1, 3)
        return self.proj_lif(y.reshape(x.shape))
