"""Vanilla softmax self-attention (VSA), the non-spiking reference."""

from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import merge_heads, split_heads
from saformer.attention.registry import SCALE, SOFTMAX, Held, Work, projections, register_attention, results
from saformer.naming import named


# Real values, one pass.
@register_attention(
    "vsa",
    title="VSA",
    work=(
        *projections("qkv", unit="E_MAC", rate="1", output_rate="1"),
        Work("qk", "N**2*D", unit="E_MAC"),
        Work("mul", "H*N**2", part=SCALE, unit="E_M"),
        Work("softmax", "H*N**2", part=SOFTMAX, unit="E_MAC", each=2),
        Work("qkv", "N**2*D", unit="E_MAC"),
    ),
    held=(*results("qkv"), Held("Q K^T", "H*N**2", "result", "qk")),
    build=lambda sizes: VSA(sizes.dim, sizes.heads),
    reads="values",
    spiking=False,
)
class VSA(nn.Module):
    """VSA(X) = Linear(softmax(Q K^T / sqrt(d)) V), with d = D / heads.

    Args:
        dim: channels D.
        heads: attention heads.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_linear", "k_linear")
    map_meaning: ClassVar[str] = "softmax weight, mean over queries"

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.q_linear, self.k_linear, self.v_linear = (nn.Linear(dim, dim) for _ in range(3))
        self.proj_linear = nn.Linear(dim, dim)

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token of one image, T x 1 x heads x N: the softmax weight it gets, averaged over the queries.

        Args:
            queries: Q, T x N x D, the output of `q_linear`.
            keys: K, the output of `k_linear`.
        """
        queries, keys = (split_heads(x.unsqueeze(1), self.heads, "linear") for x in (queries, keys))
        return (queries @ keys.transpose(-1, -2) * self.scale).softmax(-1).mean(-2)

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
