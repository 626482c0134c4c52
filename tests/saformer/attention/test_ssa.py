"""SSA against Eqs. 8-10, written out head by head and token by token."""

import pytest
import torch
from torch import Tensor, nn

from saformer.attention import SSA

STEPS, BATCH, DIM, HEADS, SIDE = 4, 3, 12, 3, 3
TOKENS = SIDE**2


def lif(x: Tensor, threshold: float = 1.0) -> Tensor:
    """Eqs. 1-3 with tau 2 and V_reset 0 over the first dimension."""
    h, spikes = torch.zeros_like(x[0]), []
    for step in x:
        u = h + (step - h) / 2.0
        spikes.append((u >= threshold).to(x.dtype))
        h = u * (1 - spikes[-1])
    return torch.stack(spikes)


def projected(m: SSA, name: str, x: Tensor) -> Tensor:
    """BN(x W) of tokens T x B x N x D, from whichever layer holds the weights."""
    suffix = "linear" if m.kind == "linear" else "conv"
    layer, bn = m.get_submodule(f"{name}_{suffix}"), m.get_submodule(f"{name}_bn")
    y = torch.einsum("tbni,oi->tbno", x, layer.weight.reshape(DIM, DIM))
    if layer.bias is not None:
        y = y + layer.bias
    return (y - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias


def reference(m: SSA, x: Tensor, scale: float) -> Tensor:
    q, k, v = (lif(projected(m, name, x)) for name in ("q", "k", "v"))  # (8)
    width = DIM // HEADS
    product = torch.zeros_like(q)
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        for i in range(TOKENS):
            for j in range(TOKENS):
                meet = (q[:, :, i, part] * k[:, :, j, part]).sum(-1, keepdim=True)
                product[:, :, i, part] += meet * v[:, :, j, part]
    return lif(projected(m, "proj", lif(product * scale, 0.5)))  # (9), (10)


def ssa(kind: str = "linear", seed: int = 0, **settings) -> SSA:
    torch.manual_seed(seed)
    m = SSA(DIM, HEADS, kind, **settings).double().eval()
    for module in m.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.normal_(module.weight, std=0.4)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.6, 1.6)
            nn.init.normal_(module.bias, 0.9, 0.5)
    return m.requires_grad_(False)


def spike_sums(seed: int = 1) -> Tensor:
    """Small integers, as the shortcuts of Spikformer hand on, as tokens T x B x N x D."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 3, (STEPS, BATCH, TOKENS, DIM), generator=generator).double()


def laid_out(x: Tensor, kind: str) -> Tensor:
    """Tokens in the layout that a kind of projection takes."""
    if kind == "linear":
        return x
    x = x.transpose(2, 3).contiguous()
    return x if kind == "conv1d" else x.unflatten(3, (SIDE, SIDE))


def tokens(y: Tensor, kind: str) -> Tensor:
    """Inverse of `laid_out`."""
    return y if kind == "linear" else y.flatten(3).transpose(2, 3)


@pytest.mark.parametrize("keys_first", [False, True])
@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d"])
@pytest.mark.parametrize("scale", [0.125, 0.25, 0.0625])
def test_spikes_are_those_of_the_equations(kind: str, keys_first: bool, scale: float) -> None:
    m = ssa(kind, scale=scale, keys_first=keys_first)
    x = spike_sums()
    y = m(laid_out(x, kind))
    assert y.shape == laid_out(x, kind).shape
    expected = reference(m, x, scale)
    assert torch.allclose(tokens(y, kind), expected, rtol=0, atol=1e-12)
    assert set(expected.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d"])
@pytest.mark.parametrize("seed", range(5))
def test_both_orders_give_the_same_spikes(kind: str, seed: int) -> None:
    first, second = ssa(kind, seed), ssa(kind, seed, keys_first=True)
    x = laid_out(spike_sums(seed + 100), kind)
    seen = []
    for m in (first, second):
        m.attn_lif.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out)))
    assert torch.equal(first(x), second(x))
    assert torch.equal(seen[0][0], seen[1][0])  # the products are integers times a power of two
    assert 0 < seen[0][1].mean() < 1


def test_the_scale_matters() -> None:
    x = spike_sums()
    m = ssa()
    assert not torch.equal(reference(m, x, 0.125), reference(m, x, 0.25))


def test_published_default_is_an_eighth() -> None:
    m, x = ssa(), spike_sums()
    assert torch.equal(m(x), reference(m, x, 0.125))


def test_heads_matter() -> None:
    m, x = ssa(), spike_sums()
    seen = []
    m.attn_lif.register_forward_hook(lambda _, __, out: seen.append(out))
    m(x)
    m.heads = 1
    m(x)
    assert not torch.equal(*seen)


def test_no_state_between_calls() -> None:
    m, x = ssa(), spike_sums()
    first = m(x)
    m(spike_sums(7))
    assert torch.equal(m(x), first)


def test_images_are_kept_apart() -> None:
    m, x = ssa(), spike_sums()
    assert torch.equal(m(x[:, 2:]), m(x)[:, 2:])


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
def test_published_biases(kind: str) -> None:
    m = ssa(kind)
    suffix = "linear" if kind == "linear" else "conv"
    has = {name: getattr(m, f"{name}_{suffix}").bias is not None for name in ("q", "k", "v", "proj")}
    assert has == {"q": kind == "linear", "k": kind == "linear", "v": kind == "linear", "proj": True}
