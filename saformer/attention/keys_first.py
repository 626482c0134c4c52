"""The body of attentions that multiply K^T V first: three projections with neurons, and two products of spikes."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from saformer.attention.projection import merge_heads, split_heads
from saformer.naming import named
from saformer.steps import per_step


class KeysFirst(nn.Module):
    """W(S(0.125 Q (K^T V))), Q, K, V = S(W(S(X))), by heads.

    Args:
        heads: attention heads.
        project: makes a projection W, for one step.
        neuron: makes a layer of neurons.
        last: makes the neurons before the last projection.
        layout: of the membranes, a word of `saformer.attention.projection`.
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("q_lif", "k_lif")
    map_meaning: ClassVar[str] = "column of 0.125 Q K^T, mean over queries"

    def __init__(
        self,
        heads: int,
        project: Callable[[], nn.Module],
        neuron: Callable[[], nn.Module],
        last: Callable[[], nn.Module],
        layout: str,
    ) -> None:
        super().__init__()
        self.heads, self.layout = heads, layout
        self.head_lif = neuron()
        for name in ("q", "k", "v"):
            self.add_module(f"{name}_conv", project())
            self.add_module(f"{name}_lif", neuron())
        self.attn_lif = last()
        self.proj_conv = project()

    def attention_map(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Attention by token, T x B x heads x N: the column of 0.125 Q K^T that belongs to it, mean over the queries.

        Args:
            queries: Q, in the layout of the membranes, the output of `q_lif`.
            keys: K, the output of `k_lif`.
        """
        queries, keys = (split_heads(x, self.heads, self.layout) for x in (queries, keys))
        return (keys * queries.mean(-2, keepdim=True)).sum(-1) * 0.125

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes of the same layout."""
        spikes = self.head_lif(x)
        q, k, v = (
            split_heads(
                self.get_submodule(f"{name}_lif")(per_step(self.get_submodule(f"{name}_conv"), spikes)),
                self.heads,
                self.layout,
            )
            for name in ("q", "k", "v")
        )
        with named("kv"):
            gathered = k.transpose(-2, -1) @ v
        with named("qkv"):
            attended = q @ gathered
        return per_step(self.proj_conv, self.attn_lif(merge_heads(attended * 0.125, self.layout, x)))
