"""The attention-free Spikformer and DISTA: what their papers decide, and the operations."""

from pathlib import Path
from typing import Any

import pytest
import torch
from awake_models import awake
from torch import nn

import saformer
from saformer.analysis import profile
from saformer.attention import SpatiotemporalAttention
from saformer.errors import InputError
from saformer.models import configure
from saformer.models.transformers.affspikformer import FourierMixing, WaveletMixing
from saformer.models.transformers.dista import DISTA
from saformer.neurons import PLIF


@pytest.mark.parametrize(("tokens", "dim"), [(64, 48), (9, 8), (1, 8), (7, 6), (4, 1)])
def test_fourier_mixing_is_the_real_part_of_the_transform(tokens: int, dim: int) -> None:
    x = torch.rand(2, 3, tokens, dim, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(FourierMixing(tokens, dim)(x), torch.fft.fft2(x).real, rtol=0, atol=1e-3)


def test_wavelet_mixing_is_orthogonal_and_puts_sums_first() -> None:
    x = torch.rand(2, 3, 4, 6)
    y = WaveletMixing(4, 6)(x)
    assert torch.allclose(y.square().sum((-1, -2)), x.square().sum((-1, -2)))
    assert torch.allclose(y[..., 0, 0], x[..., :2, :2].sum((-1, -2)) / 2)
    assert torch.allclose(y[..., 0, 3], (x[..., :2, 0] - x[..., :2, 1]).sum(-1) / 2)


def products(model: nn.Module, x: torch.Tensor, part: str) -> int:
    found = profile(model, [x])
    assert found.uncounted == ()
    return sum(o.dense for o in found.operations if part in o.name)


def test_operations_of_the_transforms_are_counted() -> None:
    x = torch.rand(2, 3, 16, 16)
    model = saformer.build("affspikformer-1-24", image_size=16, time_steps=3)
    # 24 = 3 * 2^3: real values come in at the first factor; 64 = 2^6: the last leaves out the imaginary part.
    each = (2 * 3 + 4 * 2 * 3) + (4 * 2 * 5 + 2 * 2)
    assert products(model, x, ".transform.") == 2 * 3 * 64 * 24 * each
    model = saformer.build("affspikformer-1-24", image_size=16, time_steps=3, mixing="wavelet")
    assert products(model, x, ".transform.") == 2 * 3 * 64 * 24 * (2 + 2)


def test_the_transform_has_no_parameters() -> None:
    ours = saformer.build("affspikformer-1-16").state_dict()
    mixing = [name for name in ours if "mixing" in name]
    assert mixing and all(".bn." in name for name in mixing)


def attention(**settings: Any) -> tuple[SpatiotemporalAttention, torch.Tensor]:
    model, _ = awake("dista-1-16", image_size=16, time_steps=3, heads=2, **settings)
    assert isinstance(model, DISTA)
    x = torch.randint(0, 3, (3, 2, 64, 16), generator=torch.Generator().manual_seed(1)).double()
    return model.block[0].attn, x


def test_attention_looks_back_and_never_ahead() -> None:
    for memory, changed in ((None, [False, True, True]), (1, [False, True, True]), (2, [False, True, True])):
        layer, x = attention(memory=memory, noise=0)
        seen: list[torch.Tensor] = []
        layer.attn_lif.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        layer(x)
        y = x.clone()
        y[1] = 2 - y[1]
        layer(y)
        assert [not torch.equal(a, b) for a, b in zip(*seen, strict=True)] == changed


def test_a_window_of_one_step_without_denoising_is_ssa() -> None:
    layer, x = attention(memory=1, noise=0)
    other = saformer.attention.SSA(16, 2).double().eval()
    other.load_state_dict({k: v for k, v in layer.state_dict().items() if not k.endswith(".w")})
    assert layer(x).any()
    assert torch.equal(layer(x), other(x))


def test_entries_of_noise_are_dropped() -> None:
    layer, _ = attention(noise=2)
    q = torch.zeros(1, 1, 2, 16, dtype=torch.float64)
    q[..., 0, :3], q[..., 1, :2] = 1, 1  # coincidences: 3 and 2 with itself, 2 with the other
    assert layer.attention_map(q, q)[0, 0, 0].tolist() == [3 / 2 * 0.125, 0]


def test_every_neuron_of_dista_learns_its_time_constant() -> None:
    model = saformer.build("dista-1-16", image_size=16, time_steps=2)
    assert all(isinstance(m, PLIF) for n, m in model.named_modules() if n.endswith("_lif"))


@pytest.mark.parametrize("name", ["affspikformer-2-16", "affspikformer-2-16+mixing=wavelet", "dista-2-16"])
def test_every_parameter_learns_and_a_checkpoint_is_recognised(tmp_path: Path, name: str) -> None:
    model = saformer.build(name, time_steps=3)
    model.train()(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    torch.save(model.state_dict(), tmp_path / "x.pt")
    given = {key: model.config.to_dict()[key] for key in ("mixing", "heads") if key in model.config.to_dict()}
    assert saformer.load(tmp_path / "x.pt", time_steps=3, **given).config == model.config


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("affspikformer-1-16+mixing=cosine", "mixing must be one of fourier, wavelet"),
        ("dista-1-16+memory=0", "memory must be a whole number"),
        ("dista-1-16+noise=-1", "noise must be a whole number from 0"),
    ],
)
def test_settings_that_do_not_fit(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        configure(name)
    with pytest.raises(InputError, match="even number of tokens"):
        saformer.build("affspikformer-1-16", mixing="wavelet", image_size=9, pooling="0000")
