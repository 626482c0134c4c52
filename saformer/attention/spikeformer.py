"""The two attentions of Spikeformer (Li et al.): softmax over the tokens of a step, and over the steps of a token."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.registry import INPUTS, OUTPUT, SCALE, SOFTMAX, Held, Work, register_attention
from saformer.naming import named


def _work(pairs: str) -> Sequence[Work]:
    """That of softmax attention on real values, whose queries and keys make so many pairs."""
    return (
        Work("qkv", "3*N*D**2", part=INPUTS, unit="E_MAC"),
        Work("qk", f"{pairs}*D", unit="E_MAC"),
        Work("mul", f"H*{pairs}", part=SCALE, unit="E_M"),
        Work("softmax", f"H*{pairs}", part=SOFTMAX, unit="E_MAC", each=2),
        Work("av", f"{pairs}*D", unit="E_MAC"),
        Work("proj", "N*D**2", part=OUTPUT, unit="E_MAC"),
    )


def _held(pairs: str) -> Sequence[Held]:
    return (Held("Q, K, V", "3*N*D", "result", "qkv"), Held("Q K^T", f"H*{pairs}", "result", "qk"))


# Real values at every one of the T steps.
@register_attention(
    "spikeformer",
    title="Spikeformer, space",
    work=_work("N**2"),
    held=_held("N**2"),
    build=lambda sizes: SpaceAttention(sizes.dim, sizes.heads),
    reads="values",
    by_default=False,
)
class SpaceAttention(nn.Module):
    """Linear(softmax(Q K^T / sqrt(d)) V) over the tokens of each step, with a joint projection, d = D / heads.

    Args:
        dim: channels D.
        heads: attention heads.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("qkv",)
    map_meaning: ClassVar[str] = "softmax weight, mean over queries"

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def _by_head(self, joint: Tensor) -> Tensor:
        """Q, K and V, 3 x rows x heads x L x d, from rows x L x 3D."""
        return joint.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def _weights_received(self, joint: Tensor) -> Tensor:
        """The softmax weight that each of L places gets, averaged over the queries; rows x heads x L."""
        q, k, _ = self._by_head(joint)
        return (q @ k.transpose(-1, -2) * self.scale).softmax(-1).mean(-2)

    def attention_map(self, joint: Tensor) -> Tensor:
        """Attention by token of one image, T x 1 x heads x N: the softmax weight it gets, averaged over the queries.

        Args:
            joint: Q, K and V, T x N x 3D, the output of `qkv`.
        """
        return self._weights_received(joint).unsqueeze(1)

    def _attend(self, x: Tensor) -> Tensor:
        """Rows x L x D -> the same; each row by itself."""
        q, k, v = self._by_head(self.qkv(x))
        with named("qk"):
            scores = q @ k.transpose(-1, -2)
        weights = (scores * self.scale).softmax(-1)
        with named("av"):
            mixed = weights @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        return self._attend(x.flatten(0, 1)).view_as(x)


# The T steps of a token attend to each other, later ones too: N T pairs at each step.
@register_attention(
    "spikeformer-time",
    title="Spikeformer, time",
    work=_work("N*T"),
    held=_held("N*T"),
    build=lambda sizes: TimeAttention(sizes.dim, sizes.heads),
    reads="values",
    by_default=False,
)
class TimeAttention(SpaceAttention):
    """The same over the steps of each token."""

    map_meaning: ClassVar[str] = "softmax weight of the step for its token, mean over query steps"

    def attention_map(self, joint: Tensor) -> Tensor:
        """Attention by token of one image, T x 1 x heads x N: the weight its step gets, averaged over query steps.

        Args:
            joint: Q, K and V, N x T x 3D, the output of `qkv`.
        """
        return self._weights_received(joint).permute(2, 1, 0).unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """T x B x N x D -> T x B x N x D."""
        series = self._attend(x.permute(1, 2, 0, 3).flatten(0, 1))  # B N x T x D
        return series.unflatten(0, x.shape[1:3]).permute(2, 0, 1, 3)
