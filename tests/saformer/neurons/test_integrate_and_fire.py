import math
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from saformer.neurons import LIF
from saformer.neurons import integrate_and_fire as neurons

SETTINGS = [
    (tau, threshold, reset)
    for tau in (2.0, 3.0, 1.5, 4.0)
    for threshold, reset in ((1.0, 0.0), (0.5, 0.0), (1.0, 0.25), (1.0, -0.3), (0.3, 0.1))
]


def reference(x: Tensor, tau: float, threshold: float, reset: float) -> Tensor:
    """Eqs. 1-3, letter by letter, one step after the other."""
    h = torch.zeros_like(x[0])
    spikes = []
    for step in x:
        u = h + (step - (h - reset)) / tau
        s = (u >= threshold).to(x.dtype)
        h = reset * s + u * (1 - s)
        spikes.append(s)
    return torch.stack(spikes)


class SigmoidSurrogate(torch.autograd.Function):
    """Heaviside forward, derivative of sigmoid(alpha v) backward."""

    @staticmethod
    def forward(ctx, v: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(v)
        ctx.alpha = alpha
        return (v >= 0).to(v.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (v,) = ctx.saved_tensors
        s = 1 / (1 + torch.exp(-ctx.alpha * v))
        return gradient * ctx.alpha * s * (1 - s), None


def differentiable(x: Tensor, tau: float, threshold: float, reset: float, alpha: float) -> Tensor:
    """Eqs. 1-3 in plain autograd: the reset sees detached spikes."""
    h = torch.zeros_like(x[0])
    spikes = []
    for step in x:
        u = h + (step - (h - reset)) / tau
        s = SigmoidSurrogate.apply(u - threshold, alpha)
        h = reset * s.detach() + u * (1 - s.detach())
        spikes.append(s)
    return torch.stack(spikes)


def current(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.6).to(dtype)


@pytest.mark.parametrize(("tau", "threshold", "reset"), SETTINGS)
def test_spikes_are_those_of_the_equations_bit_for_bit(tau: float, threshold: float, reset: float) -> None:
    x = current(7, 3, 5, 11)
    spikes = LIF(threshold, tau, reset)(x)
    assert spikes.dtype == x.dtype
    assert spikes.shape == x.shape
    assert torch.equal(spikes, reference(x, tau, threshold, reset))
    assert 0 < spikes.mean() < 1


@pytest.mark.parametrize(("tau", "threshold", "reset"), SETTINGS)
def test_membranes_are_those_of_the_equations_bit_for_bit(tau: float, threshold: float, reset: float) -> None:
    # Spikes show only on which side of the threshold a membrane lies. Here each membrane is its own threshold:
    # one rounding error and the neuron does not fire at the step where the reference just does.
    x = current(6, 200, seed=1)
    h = torch.zeros(200, dtype=torch.float64)
    for t, step in enumerate(x):
        u = h + (step - (h - reset)) / tau
        s = (u >= threshold).to(u.dtype)
        for i in range(0, 200, 5):
            exact = float(u[i])
            below = [v for v in _membranes(x[:t, i], tau, threshold, reset) if v >= exact]
            if below or exact >= threshold:  # it would have fired before under that threshold, or does anyway
                continue
            alone = x[: t + 1, i : i + 1]
            assert LIF(exact, tau, reset)(alone)[t] == 1
            assert LIF(math.nextafter(exact, math.inf), tau, reset)(alone)[t] == 0
        h = reset * s + u * (1 - s)


def _membranes(x: Tensor, tau: float, threshold: float, reset: float) -> list[float]:
    h, seen = torch.zeros((), dtype=x.dtype), []
    for step in x:
        u = h + (step - (h - reset)) / tau
        seen.append(float(u))
        s = (u >= threshold).to(u.dtype)
        h = reset * s + u * (1 - s)
    return seen


def test_a_membrane_at_the_threshold_fires() -> None:
    assert LIF(1.0, 2.0)(torch.tensor([[2.0], [2.0 - 1e-6]])).flatten().tolist() == [1.0, 0.0]
    assert LIF(0.5, 2.0)(torch.tensor([[1.0]])).item() == 1.0


def test_the_neuron_starts_from_zero_whatever_its_reset() -> None:
    # H[0] = 0, not V_reset: with V_reset = 0.9 the first membrane is 0 + (0.5 - (0 - 0.9)) / 2 = 0.7.
    x = torch.tensor([[0.5]], dtype=torch.float64)
    assert LIF(0.7, 2.0, reset=0.9)(x).item() == 1.0
    assert LIF(0.71, 2.0, reset=0.9)(x).item() == 0.0


@pytest.mark.parametrize("size", [1, 6, 7, 8, 14, 15, 29])
def test_sizes_around_the_block_boundary(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(neurons, "CPU_BLOCK", 7)
    x = current(5, size, seed=size).requires_grad_()
    spikes = LIF(tau=3.0, reset=0.1)(x)
    assert torch.equal(spikes, reference(x.detach(), 3.0, 1.0, 0.1))
    weights = current(5, size, seed=99)
    (spikes * weights).sum().backward()
    y = x.detach().clone().requires_grad_()
    (differentiable(y, 3.0, 1.0, 0.1, 4.0) * weights).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


def test_a_layer_that_crosses_the_real_block_boundary() -> None:
    size = neurons.CPU_BLOCK * torch.get_num_threads() + 3
    x = current(2, 1, size)
    assert torch.equal(LIF()(x), reference(x, 2.0, 1.0, 0.0))


def test_no_state_between_calls() -> None:
    neuron, x, other = LIF(tau=3.0), current(4, 2, 9), current(6, 1, 4, seed=5)
    first = neuron(x)
    neuron(other)
    assert torch.equal(neuron(x), first)
    assert not list(neuron.state_dict())


def test_an_empty_batch() -> None:
    assert LIF()(torch.zeros(4, 0, 3)).shape == (4, 0, 3)


def test_the_input_is_left_alone() -> None:
    x = current(4, 10)
    before = x.clone()
    LIF(reset=0.2)(x)
    assert torch.equal(x, before)


@pytest.mark.parametrize(("tau", "threshold", "reset"), SETTINGS)
@pytest.mark.parametrize("alpha", [4.0, 2.5])
def test_gradient_is_that_of_autograd(tau: float, threshold: float, reset: float, alpha: float) -> None:
    x = current(6, 2, 13, seed=3).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weights = current(6, 2, 13, seed=4)
    (LIF(threshold, tau, reset, alpha)(x) * weights).sum().backward()
    (differentiable(y, tau, threshold, reset, alpha) * weights).sum().backward()
    assert y.grad.abs().max() > 0.1
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


def test_the_default_surrogate_has_alpha_4() -> None:
    x = current(5, 8).requires_grad_()
    y = x.detach().clone().requires_grad_()
    LIF()(x).sum().backward()
    differentiable(y, 2.0, 1.0, 0.0, 4.0).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


def test_gradient_of_a_gradient_that_is_not_contiguous() -> None:
    x = current(4, 3, 5).requires_grad_()
    y = x.detach().clone().requires_grad_()
    weights = current(5, 3, 4, seed=8).permute(2, 1, 0)
    LIF()(x).backward(weights)
    differentiable(y, 2.0, 1.0, 0.0, 4.0).backward(weights)
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("tau", [2.0, 3.0])
def test_narrow_types(dtype: torch.dtype, tau: float) -> None:
    x = current(4, 50, dtype=dtype).requires_grad_()
    spikes = LIF(tau=tau, reset=0.1)(x)
    assert spikes.dtype == dtype
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    spikes.sum().backward()
    assert x.grad.dtype == dtype
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("tau", [2.0, 4.0])
def test_half_precision_fires_where_double_does_when_numbers_are_exact(tau: float) -> None:
    x = torch.tensor([[2.0, 0.5, 1.0], [1.0, 4.0, 1.0], [0.0, 4.0, 3.5]])
    expected = reference(x.double(), tau, 1.0, 0.0)
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(LIF(tau=tau)(x.to(dtype)).double(), expected)


def test_input_that_is_not_contiguous() -> None:
    x = current(3, 6, 4, 5)
    for view in (x.transpose(0, 1), x.permute(1, 3, 0, 2), x[:, ::2], x[:, :1].expand(3, 7, 4, 5), x.flip(0)):
        assert torch.equal(LIF(tau=1.5)(view), reference(view, 1.5, 1.0, 0.0))


def test_gradient_of_input_that_is_not_contiguous() -> None:
    x, y = (current(5, 4, 3).requires_grad_() for _ in range(2))
    LIF()(x.permute(2, 0, 1)).sum().backward()
    differentiable(y.permute(2, 0, 1), 2.0, 1.0, 0.0, 4.0).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_last_goes_in_and_comes_out(dtype: torch.dtype) -> None:
    # 4 x 3 images of 5 channels. A copy to the usual order, and one back, would cost more than the neurons.
    x = current(12, 5, 6, 7, dtype=dtype).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 3))
    weights = current(4, 3, 5, 6, 7, seed=1, dtype=dtype)
    x.requires_grad_()
    y = x.detach().contiguous().requires_grad_()
    for some in (weights, weights.flatten(0, 1).contiguous(memory_format=torch.channels_last).view_as(x)):
        x.grad = y.grad = None
        spikes, expected = LIF()(x), LIF()(y)
        assert spikes.stride() == x.stride() != y.stride()
        assert torch.equal(spikes, expected)
        spikes.backward(some)
        expected.backward(weights)
        assert torch.equal(x.grad, y.grad)


@pytest.mark.parametrize("view", ["whole", "channels last", "steps inside", "one step", "every second", "repeated"])
def test_without_data_the_layout_is_foretold(view: str) -> None:
    x = current(4, 3, 5, 6)
    x = {
        "whole": x,
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "steps inside": x.transpose(0, 2),
        "one step": x.transpose(0, 2)[:1],
        "every second": x[:, :, ::2],
        "repeated": x[:1].expand(4, 3, 5, 6),
    }[view]
    gradient = torch.ones(()).expand(x.shape)
    found = (neurons.lif(x, 2.0, 1.0, 0.0), torch.ops.saformer.lif_backward(gradient, x, 2.0, 1.0, 0.0, 4.0))
    x, gradient = (torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="meta") for t in (x, gradient))
    foretold = (neurons.lif(x, 2.0, 1.0, 0.0), torch.ops.saformer.lif_backward(gradient, x, 2.0, 1.0, 0.0, 4.0))
    assert [tensor.stride() for tensor in foretold] == [tensor.stride() for tensor in found]


def test_a_compiler_takes_the_neurons_whole() -> None:
    # Everything of torch.compile but the code of a processor, which takes minutes.
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(5, 7), LIF(), torch.nn.Linear(7, 3))
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x, found = current(4, 6, 5, dtype=torch.float32), []
    for called in (network, compiled):
        network.zero_grad()
        scores = called(x)
        scores.square().sum().backward()
        found.append([scores.detach(), *(parameter.grad.clone() for parameter in network.parameters())])
    assert all(torch.equal(mine, other) for mine, other in zip(*found, strict=True))
    assert found[0][1].abs().max() > 0


def test_no_gradient_is_kept_where_none_is_asked_for() -> None:
    x = current(4, 3).requires_grad_()
    with torch.no_grad():
        assert not LIF()(x).requires_grad
    assert not LIF()(x.detach()).requires_grad


def test_printing_shows_the_settings() -> None:
    assert repr(LIF(threshold=0.5, tau=3.0)) == "LIF(threshold=0.5, tau=3.0, reset=0.0)"


def test_half_precision_integrates_in_float32() -> None:
    # U[1] = 0.5, U[2] = 0.5 + (1.5 + 2^-7 - 0.5) / 2 = 1 + 2^-8, which is no bfloat16.
    x = torch.tensor([[1.0], [1.5 + 2**-7]], dtype=torch.bfloat16)
    assert LIF(threshold=1.0 + 2**-8)(x).flatten().tolist() == [0.0, 1.0]
    assert LIF(threshold=1.0 + 2**-8 + 2**-12)(x).flatten().tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("tau", "threshold", "reset"), SETTINGS[:7])
def test_half_precision_is_float32_rounded_once(dtype: torch.dtype, tau: float, threshold: float, reset: float) -> None:
    narrow = current(5, 3, 40, seed=6, dtype=dtype).requires_grad_()
    wide = narrow.detach().float().requires_grad_()
    weights = current(5, 3, 40, seed=7, dtype=dtype)
    neuron = LIF(threshold, tau, reset)
    spikes, expected = neuron(narrow), neuron(wide)
    assert torch.equal(spikes, expected.to(dtype))
    spikes.backward(weights)
    expected.backward(weights.float())
    assert torch.equal(narrow.grad, wide.grad.to(dtype))


def test_training_under_autocast_follows_float32() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(16, 64, bias=False), LIF(), torch.nn.Linear(64, 10, bias=False))
    x = torch.randn(4, 8, 16)

    def gradients(autocast: bool) -> list[Tensor]:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            scores = model(x).mean(0)
        assert scores.dtype == (torch.bfloat16 if autocast else torch.float32)
        torch.nn.functional.cross_entropy(scores.float(), torch.arange(8)).backward()
        return [parameter.grad.clone() for parameter in model.parameters()]

    for narrow, wide in zip(gradients(True), gradients(False), strict=True):
        assert narrow.dtype == torch.float32  # the weights' own type
        assert torch.cosine_similarity(narrow.flatten(), wide.flatten(), dim=0) > 0.98
        assert 0.9 < narrow.norm() / wide.norm() < 1.1


def test_without_triton_or_with_an_old_one_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    assert neurons.kernels.__wrapped__() is None
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.2.0"))
    assert neurons.kernels.__wrapped__() is None
    # A CUDA tensor then goes to the operator that every device has.
    x = current(3, 4)
    monkeypatch.setattr(neurons, "kernels", lambda: None)
    assert torch.equal(neurons.lif_cuda(x, 2.0, 1.0, 0.0), neurons.lif_cpu(x, 2.0, 1.0, 0.0))
    settings = (2.0, 1.0, 0.0, 4.0)
    assert torch.equal(neurons.lif_backward_cuda(x, x, *settings), neurons.lif_backward_cpu(x, x, *settings))
