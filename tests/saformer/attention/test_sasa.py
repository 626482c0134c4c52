"""SASA against Eqs. 11-17, written out step by step, token by token and channel by channel."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from saformer.attention import SASA
from saformer.errors import InputError

STEPS, BATCH, DIM, GRID = 4, 3, 8, (4, 4)
TOKENS = GRID[0] * GRID[1]


def lif(x: Tensor, threshold: float = 1.0) -> Tensor:
    """Eqs. 1-3 with tau 2 and V_reset 0 over the first dimension."""
    h, spikes = torch.zeros_like(x[0]), []
    for step in x:
        u = h + (step - h) / 2.0
        spikes.append((u >= threshold).to(x.dtype))
        h = u * (1 - spikes[-1])
    return torch.stack(spikes)


def norm(x: Tensor, bn: nn.Module, dim: int = -1) -> Tensor:
    """BatchNorm in evaluation, the channels in the given dimension."""
    y = x.movedim(dim, -1)
    y = (y - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias
    return y.movedim(-1, dim)


def linear(x: Tensor, layer: nn.Module) -> Tensor:
    return torch.einsum("...i,oi->...o", x, layer.weight) + layer.bias


def phi(x: Tensor, n: int) -> Tensor:
    """Adaptive average pooling of the tokens: part i is the mean of tokens floor(i N/n) to ceil((i+1) N/n)."""
    tokens = x.shape[2]
    parts = []
    for i in range(n):
        start, stop = i * tokens // n, -((-(i + 1) * tokens) // n)
        parts.append(sum(x[:, :, j] for j in range(start, stop)) / (stop - start))
    return torch.stack(parts, 2)


def depthwise(spikes: Tensor, weight: Tensor, grid: tuple[int, int]) -> Tensor:
    """3x3 convolution of each channel by itself, zeros around, T x B x N x D."""
    height, width = grid
    result = torch.zeros_like(spikes)
    for y, x, dy, dx in itertools.product(range(height), range(width), (-1, 0, 1), (-1, 0, 1)):
        if 0 <= y + dy < height and 0 <= x + dx < width:
            kernel = weight[:, 0, dy + 1, dx + 1]
            result[:, :, y * width + x] += spikes[:, :, (y + dy) * width + x + dx] * kernel
    return result


def reference(m: SASA, x: Tensor, n: int, aggregate: str, with_f: bool, grid: tuple[int, int] = GRID) -> Tensor:
    xs = lif(x)
    q = norm(linear(xs, m.q_linear), m.q_bn)  # (11)
    k = norm(linear(xs, m.k_linear), m.k_bn)
    sk = lif(k)
    if aggregate == "membrane":
        qa, ka = lif(phi(q, n)), lif(phi(k, n))  # (12), (13)
    else:
        qa, ka = phi(lif(q), n), phi(sk, n)
    a = lif(torch.einsum("tbnd,tbnd->tbd", qa, ka), 0.5)  # (14)
    mixed = torch.stack([a * sk[:, :, token] for token in range(sk.shape[2])], 2)
    if with_f:
        mixed = mixed + norm(depthwise(sk, m.dwc_conv.weight, grid), m.dwc_bn)  # (15), (16)
    return norm(linear(lif(mixed, 0.5), m.proj_linear), m.proj_bn)  # (17)


def sasa(seed: int = 0, grid: tuple[int, int] = GRID, **settings) -> SASA:
    """A SASA in float64 whose neurons neither sleep nor fire all the time."""
    torch.manual_seed(seed)
    m = SASA(DIM, grid, **settings).double().eval()
    for module in m.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.normal_(module.weight, std=1.0)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 3.0)
            nn.init.uniform_(module.weight, 0.6, 1.6)
            nn.init.normal_(module.bias, 0.5, 0.5)
    return m.requires_grad_(False)


def membranes(seed: int = 1, tokens: int = TOKENS) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(STEPS, BATCH, tokens, DIM, generator=generator, dtype=torch.float64) + 0.5


def outputs(m: SASA, x: Tensor) -> dict[str, Tensor]:
    """The output of every submodule in one run."""
    seen: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out))
        for name, module in m.named_children()
    ]
    m(x)
    for hook in hooks:
        hook.remove()
    return seen


ABLATIONS = [
    pytest.param(4, True, id="whole"),
    pytest.param(4, False, id="without D"),
    pytest.param(None, True, id="without A"),
    pytest.param(None, False, id="without D and A"),
]


@pytest.mark.parametrize("aggregate", ["membrane", "spikes"])
@pytest.mark.parametrize(("aggregated", "with_f"), ABLATIONS)
def test_output_is_that_of_the_equations(aggregated: int | None, with_f: bool, aggregate: str) -> None:
    m = sasa(aggregated=aggregated, aggregate=aggregate, depthwise=with_f)
    x = membranes()
    expected = reference(m, x, aggregated or TOKENS, aggregate, with_f)
    assert torch.allclose(m(x), expected, rtol=0, atol=1e-12)
    assert expected.std() > 0.1


def test_every_setting_changes_the_output() -> None:
    # Otherwise the test above would hold for a module that ignores them.
    x = membranes()
    choices = [
        reference(sasa(), x, n, aggregate, with_f)
        for n in (4, TOKENS)
        for aggregate in ("membrane", "spikes")
        for with_f in (True, False)
        if (n, aggregate) != (TOKENS, "spikes")  # phi is the identity there, and both readings are one
    ]
    for a, b in itertools.combinations(choices, 2):
        assert not torch.allclose(a, b, atol=1e-3)


@pytest.mark.parametrize("aggregated", [1, 3, 5, 7, 16])
@pytest.mark.parametrize("aggregate", ["membrane", "spikes"])
def test_any_number_of_aggregated_tokens(aggregated: int, aggregate: str) -> None:
    m = sasa(2, aggregated=aggregated, aggregate=aggregate)
    x = membranes(3)
    assert torch.allclose(m(x), reference(m, x, aggregated, aggregate, True), rtol=0, atol=1e-12)


def test_a_grid_that_is_not_square() -> None:
    m = sasa(4, grid=(3, 5), aggregated=4)
    x = membranes(5, tokens=15)
    assert torch.allclose(m(x), reference(m, x, 4, "membrane", True, (3, 5)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("aggregated", [4, None])
def test_pooled_membranes_give_binary_matrices(aggregated: int | None) -> None:
    m = sasa(aggregated=aggregated)
    seen = outputs(m, membranes())
    n = aggregated or TOKENS
    qa, ka = seen["q_lif"], seen["ka_lif" if aggregated else "k_lif"]
    for spikes in (qa, ka):
        assert spikes.shape == (STEPS, BATCH, n, DIM)
        assert set(spikes.unique().tolist()) == {0.0, 1.0}
    assert seen["attn_lif"].shape == (STEPS, BATCH, 1, DIM)
    assert set(seen["mix_lif"].unique().tolist()) == {0.0, 1.0}


def test_pooled_spikes_are_fractions() -> None:
    m = sasa(aggregated=4, aggregate="spikes")
    seen = outputs(m, membranes())
    assert seen["q_lif"].shape == (STEPS, BATCH, TOKENS, DIM)
    assert not hasattr(m, "ka_lif")
    qa = phi(seen["q_lif"], 4)
    assert set((4 * qa).unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
    assert 0.25 in qa


def test_there_is_no_value_matrix() -> None:
    assert not [name for name, _ in sasa().named_parameters() if name.startswith("v_")]


def test_without_d_there_is_no_convolution() -> None:
    assert not [name for name, _ in sasa(depthwise=False).named_parameters() if "dwc" in name]


def test_parameters_are_two_projections_an_output_and_a_depthwise_convolution() -> None:
    whole = sum(p.numel() for p in sasa().parameters())
    assert whole == 3 * (DIM * DIM + DIM + 2 * DIM) + 9 * DIM + 2 * DIM


def test_no_state_between_calls() -> None:
    m, x = sasa(), membranes()
    first = m(x)
    m(membranes(9))
    assert torch.equal(m(x), first)


def test_images_and_steps_are_kept_apart() -> None:
    m, x = sasa(aggregated=4), membranes()
    y = m(x)
    assert torch.equal(m(x[:, 1:2]), y[:, 1:2])
    assert torch.equal(m(x[:2]), y[:2])  # no step looks ahead


def test_gradients_reach_every_parameter() -> None:
    m = sasa(aggregated=4).requires_grad_(True)
    m(membranes()).square().sum().backward()
    assert not [name for name, p in m.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("aggregated", [0, -1, 17, 1.5, True, "4", math.nan])
def test_a_number_of_aggregated_tokens_that_does_not_fit(aggregated: object) -> None:
    with pytest.raises(InputError, match="aggregated tokens n must lie between 1 and N = 16") as caught:
        SASA(DIM, GRID, aggregated=aggregated)
    assert "\n" not in str(caught.value)


def test_a_reading_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="aggregate must be 'membrane' or 'spikes', got 'mean'"):
        SASA(DIM, GRID, aggregate="mean")
