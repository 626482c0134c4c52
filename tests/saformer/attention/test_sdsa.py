"""SDSA against its definition, and its event mode against the pools of the published code."""

import pytest
import torch
from torch import Tensor, nn

from saformer.attention import SDSA

STEPS, BATCH, DIM, HEADS, HEIGHT, WIDTH = 4, 3, 12, 3, 3, 4
TOKENS = HEIGHT * WIDTH


def lif(x: Tensor, threshold: float = 1.0) -> Tensor:
    """Eqs. 1-3 with tau 2 and V_reset 0 over the first dimension."""
    h, spikes = torch.zeros_like(x[0]), []
    for step in x:
        u = h + (step - h) / 2.0
        spikes.append((u >= threshold).to(x.dtype))
        h = u * (1 - spikes[-1])
    return torch.stack(spikes)


def projected(m: SDSA, name: str, x: Tensor) -> Tensor:
    """BN(x W), T x B x D x H x W."""
    layer, bn = m.get_submodule(f"{name}_conv"), m.get_submodule(f"{name}_bn")
    y = torch.einsum("tbihw,oi->tbohw", x, layer.weight.reshape(DIM, DIM))
    if layer.bias is not None:
        y = y + layer.bias[:, None, None]
    y = (y.movedim(2, -1) - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias
    return y.movedim(-1, 2)


def reference(m: SDSA, x: Tensor) -> Tensor:
    """Q * S(sum of K * V over tokens), channel by channel: heads play no part."""
    xs = lif(x)
    q, k, v = (lif(projected(m, name, xs)) for name in ("q", "k", "v"))
    column = torch.zeros(STEPS, BATCH, DIM, dtype=x.dtype)
    for row in range(HEIGHT):
        for col in range(WIDTH):
            column += k[..., row, col] * v[..., row, col]
    gate = lif(column, 0.5)
    return projected(m, "proj", q * gate[..., None, None])


def published_events(m: SDSA, x: Tensor) -> Tensor:
    """The event mode as the published code has it: MaxPool3d((1, 3, 3)) on 5-D tensors, four times."""
    pool = nn.MaxPool3d(kernel_size=(1, 3, 3), stride=(1, 1, 1), padding=(0, 1, 1))
    xs = lif(x)

    def heads(y: Tensor) -> Tensor:  # T, B, C, H, W -> T, B, heads, N, d
        y = y.flatten(3).transpose(-1, -2).reshape(STEPS, BATCH, TOKENS, HEADS, DIM // HEADS)
        return y.permute(0, 1, 3, 2, 4).contiguous()

    q = heads(lif(projected(m, "q", xs)))
    k = heads(pool(lif(projected(m, "k", xs))))
    v = heads(pool(lif(projected(m, "v", xs))))
    kv = pool(k.mul(v)).sum(dim=-2, keepdim=True)
    y = pool(q.mul(lif(kv, 0.5)))
    y = y.transpose(3, 4).reshape(STEPS, BATCH, DIM, HEIGHT, WIDTH).contiguous()
    return projected(m, "proj", y)


def sdsa(seed: int = 0, dim: int = DIM, **settings) -> SDSA:
    torch.manual_seed(seed)
    m = SDSA(dim, HEADS, **settings).double().eval()
    for module in m.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.6)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(module.weight, 0.6, 1.6)
            nn.init.normal_(module.bias, 0.2, 1.5)
    return m.requires_grad_(False)


def membranes(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(STEPS, BATCH, DIM, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("seed", range(3))
def test_output_is_that_of_the_definition(seed: int) -> None:
    m, x = sdsa(seed), membranes(seed + 10)
    expected = reference(m, x)
    assert torch.allclose(m(x), expected, rtol=0, atol=1e-12)
    assert expected.std((3, 4)).max() > 0.1  # some gate is open: without spikes all tokens are alike


@pytest.mark.parametrize("seed", range(3))
def test_event_mode_is_that_of_the_published_pools(seed: int) -> None:
    m, x = sdsa(seed, event_pooling=True), membranes(seed + 20)
    expected = published_events(m, x)
    assert torch.allclose(m(x), expected, rtol=0, atol=1e-12)
    assert not torch.allclose(expected, reference(m, x), atol=1e-3)


def test_without_event_mode_heads_play_no_part() -> None:
    m, x = sdsa(), membranes()
    first = m(x)
    m.heads = 1
    assert torch.equal(m(x), first)


def test_in_event_mode_heads_do() -> None:
    m, x = sdsa(event_pooling=True), membranes()
    seen = []
    m.proj_conv.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    m(x)
    m.heads = 1
    m(x)
    assert not torch.equal(*seen)


@pytest.mark.parametrize("event_pooling", [False, True])
def test_the_projection_sees_spikes(event_pooling: bool) -> None:
    m, seen = sdsa(event_pooling=event_pooling), []
    m.proj_conv.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    m(membranes())
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}


def test_no_state_between_calls() -> None:
    m, x = sdsa(event_pooling=True), membranes()
    first = m(x)
    m(membranes(5))
    assert torch.equal(m(x), first)


@pytest.mark.parametrize("event_pooling", [False, True])
def test_images_are_kept_apart(event_pooling: bool) -> None:
    m, x = sdsa(event_pooling=event_pooling), membranes()
    assert torch.equal(m(x[:, 1:]), m(x)[:, 1:])
