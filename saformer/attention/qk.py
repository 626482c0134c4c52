"""Q-K attention of QKFormer: Q, summed over channels or tokens and fired on, masks K; linear in N, and no V matrix."""

from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import add_projection, merge_heads, project, project_and_fire, split_heads
from saformer.attention.registry import Held, Work, projections, register_attention, results
from saformer.naming import named
from saformer.neurons import LIF

_WORK = (*projections("qk"), Work("qk", "N*D", "R_K"))


@register_attention(
    "qk-channel",
    title="Q-K channel attention",
    work=_WORK,
    held=(*results("qk"), Held("A", "D", "neurons", "attn_lif")),
    build=lambda sizes: QKAttention(sizes.dim, sizes.heads, over="tokens"),
    layout="conv1d",
    reads="spikes",
    gives="spikes",
    by_default=False,
)
@register_attention(
    "qk",
    title="Q-K token attention",
    work=_WORK,
    held=(*results("qk"), Held("A", "H*N", "neurons", "attn_lif")),
    build=lambda sizes: QKAttention(sizes.dim, sizes.heads),
    layout="conv1d",
    reads="spikes",
    gives="spikes",
)
class QKAttention(nn.Module):
    """QKA(X) = S(BN(Conv(A * K))) with A = S(sum of Q), and Q and K spikes of S(BN(X W)).

    Args:
        dim: channels D.
        heads: attention heads.
        over: what Q is summed over: the "channels" of a head (Q-K token attention: A says which tokens of K stay) or
            all "tokens" (Q-K channel attention: which channels stay).
        spikes_out: True takes sums of spikes and gives spikes (QKFormer); False takes and gives membranes
            (MS-QKFormer): `proj_lif` then stands before q and k instead of at the end.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("k_lif", "attn_lif")
    map_meaning: ClassVar[str] = "share of channels with A * K = 1"

    def __init__(self, dim: int, heads: int, over: str = "channels", spikes_out: bool = True) -> None:
        super().__init__()
        self.heads, self.axis, self.spikes_out = heads, {"channels": -1, "tokens": -2}[over], spikes_out
        for name in ("q", "k"):
            add_projection(self, name, "conv1d", dim, dim)
            self.add_module(f"{name}_lif", LIF())
        self.attn_lif = LIF(threshold=0.5)
        add_projection(self, "proj", "conv1d", dim, dim)
        self.proj_lif = LIF()

    def attention_map(self, keys: Tensor, attention: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the share of channels of the head in which A * K is 1.

        Args:
            keys: K, T x B x D x N, the output of `k_lif`.
            attention: A, T x B x heads x N x 1 or T x B x heads x 1 x D/heads, the output of `attn_lif`.
        """
        return (split_heads(keys, self.heads, "conv1d") * attention).mean(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes from sums of spikes, or membranes from membranes, T x B x D x N."""
        if not self.spikes_out:
            x = self.proj_lif(x)
        q, k = (
            split_heads(
                project_and_fire(self, name, "conv1d", x, self.get_submodule(f"{name}_lif")), self.heads, "conv1d"
            )
            for name in ("q", "k")
        )
        attention = self.attn_lif(q.sum(self.axis, keepdim=True))
        with named("qk"):
            masked = k * attention
        tokens = merge_heads(masked, "conv1d", x)
        if not self.spikes_out:
            return project(self, "proj", "conv1d", tokens)
        return project_and_fire(self, "proj", "conv1d", tokens, self.proj_lif)
