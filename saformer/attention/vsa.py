"""Vanilla softmax self-attention (VSA), the non-spiking reference."""

from torch import Tensor, nn

from saformer.attention.projection import merge_heads, split_heads
from saformer.naming import named


class VSA(nn.Module):
    """VSA(X) = Linear(softmax(Q K^T / sqrt(d)) V), with d = D / heads.

    Args:
        dim: channels D.
        heads: attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.q_linear, self.k_linear, self.v_linear = (nn.Linear(dim, dim) for _ in range(3))
        self.proj_linear = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        flat = x.flatten(0, 1)
        q, k, v = (
            split_heads(layer(flat).view_as(x), self.heads, "linear")
            for layer in (self.q_linear, self.k_linear, self.v_linear)
        )
        with named("qk"):
            scores = q @ k.transpose(-1, -2)
        weights = (scores * self.scale).softmax(-1)
        with named("qkv"):
            mixed = weights @ v
        return self.proj_linear(merge_heads(mixed, "linear", x).flatten(0, 1)).view_as(x)
