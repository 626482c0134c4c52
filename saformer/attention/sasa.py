"""Spike aggregated self-attention (SASA) of SAFormer, Eqs. 11-17."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from saformer.attention.projection import add_projection, project
from saformer.attention.registry import LEFT_OUT, Held, Work, projections, register_attention, results
from saformer.errors import InputError
from saformer.naming import named
from saformer.neurons import LIF

_WORK = (
    *projections("qk"),
    # phi(q) and phi(k) add real values; where n = N, phi is the identity.
    Work("adaptive_avg_pool1d", "2*N*D", part=LEFT_OUT, when="n < N"),
    Work("qk", "n*D", "R_Qa"),
    Work("ka", "N*D", "R_K"),
)
_HELD = (
    *results("qk"),
    Held("Qa", "n*D", "operand", "qk", 0),
    Held("Ka", "n*D", "operand", "qk", 1),
    Held("A", "D", "neurons", "attn_lif"),
)


@register_attention(
    "sasa-without-d",  # the ablation "w/o D"
    title="SASA w/o D",
    work=_WORK,
    held=_HELD,
    build=lambda sizes: SASA(sizes.dim, sizes.grid, sizes.aggregated, depthwise=False),
    by_default=False,
)
@register_attention(
    "sasa",
    title="SASA",
    work=(*_WORK, Work("dwc", "9*N*D", "R_K")),
    held=_HELD,
    build=lambda sizes: SASA(sizes.dim, sizes.grid, sizes.aggregated),
)
class SASA(nn.Module):
    """SASA(X) = BN(Linear(S(A * S(k) + F))): one attention vector for all tokens, and no V matrix.

    Args:
        dim: channels D.
        grid: (h, w), the tokens as an image; N = h * w.
        aggregated: n, the tokens left by the adaptive average pooling phi; None for N (ablation "w/o A").
        aggregate: what phi pools: "membrane" pools the real-valued q and k and a neuron follows (Eqs. 12-13 as
            section 3.4 reads); "spikes" pools spikes, which leaves fractions in the product of Eq. 14.
        depthwise: add F, the depthwise 3x3 convolution of the key spikes (Eqs. 15-16); False is "w/o D".
    """

    map_inputs: ClassVar[tuple[str, ...]] = ("k_lif", "attn_lif")
    map_meaning: ClassVar[str] = "share of channels with A * S(k) = 1"

    def __init__(
        self,
        dim: int,
        grid: tuple[int, int],
        aggregated: int | None = 16,
        aggregate: str = "membrane",
        depthwise: bool = True,
    ) -> None:
        super().__init__()
        if aggregate not in ("membrane", "spikes"):
            raise InputError(f"aggregate must be 'membrane' or 'spikes', got {aggregate!r}")
        tokens = grid[0] * grid[1]
        whole = isinstance(aggregated, int) and not isinstance(aggregated, bool)
        if aggregated is not None and not (whole and 1 <= aggregated <= tokens):
            raise InputError(f"aggregated tokens n must lie between 1 and N = {tokens}, got {aggregated}")
        self.grid, self.aggregate, self.depthwise = grid, aggregate, depthwise
        self.aggregated = tokens if aggregated is None else aggregated
        self.shortcut_lif = LIF()
        add_projection(self, "q", "linear", dim, dim)
        add_projection(self, "k", "linear", dim, dim)
        self.q_lif, self.k_lif = LIF(), LIF()
        if aggregate == "membrane" and self.aggregated != tokens:
            self.ka_lif = LIF()  # fires on phi(k); where phi is the identity, it would fire as k_lif does
        self.attn_lif = LIF(threshold=0.5)
        if depthwise:
            self.dwc_conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
            self.dwc_bn = nn.BatchNorm2d(dim)
        # It follows the product A * S(k): a lone spike charges it to 1/tau = 0.5, which must be enough to fire.
        self.mix_lif = LIF(threshold=0.5)
        add_projection(self, "proj", "linear", dim, dim)

    def _phi(self, x: Tensor) -> Tensor:
        """Adaptive average pooling over tokens: T x B x N x D -> T x B x n x D."""
        steps, batch, tokens, dim = x.shape
        if self.aggregated == tokens:
            return x
        pooled = F.adaptive_avg_pool1d(x.flatten(0, 1).transpose(1, 2), self.aggregated)
        return pooled.transpose(1, 2).reshape(steps, batch, self.aggregated, dim)

    def _enhanced(self, k_spikes: Tensor) -> Tensor:
        """F of Eq. 16: depthwise convolution of the key spikes laid out as an image, T x B x N x D."""
        image = k_spikes.flatten(0, 1).transpose(1, 2).unflatten(2, self.grid)
        return self.dwc_bn(self.dwc_conv(image)).flatten(2).transpose(1, 2).view_as(k_spikes)

    def attention_map(self, keys: Tensor, attention: Tensor) -> Tensor:
        """Attention by token, T x B x 1 x N: the share of channels in which A * S(k) of Eq. 17 is 1.

        Args:
            keys: S(k), T x B x N x D, the output of `k_lif`.
            attention: A, T x B x 1 x D, the output of `attn_lif`.
        """
        return (keys * attention).mean(-1).unsqueeze(2)

    def forward(self, x: Tensor) -> Tensor:
        """Membranes from membranes, T x B x N x D."""
        spikes = self.shortcut_lif(x)
        q, k = project(self, "q", "linear", spikes), project(self, "k", "linear", spikes)
        k_spikes = self.k_lif(k)
        if self.aggregate == "spikes":
            qa, ka = self._phi(self.q_lif(q)), self._phi(k_spikes)
        else:
            qa, ka = (
                self.q_lif(self._phi(q)),
                self.ka_lif(self._phi(k)) if hasattr(self, "ka_lif") else k_spikes,
            )
        with named("qk"):
            product = qa * ka
        attention = self.attn_lif(product.sum(-2, keepdim=True))
        with named("ka"):
            mixed = k_spikes * attention
        if self.depthwise:
            mixed = mixed + self._enhanced(k_spikes)
        return project(self, "proj", "linear", self.mix_lif(mixed))
