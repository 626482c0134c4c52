"""The kernels of the LIF: on a GPU where there is one, else in Triton's interpreter, and compiled for real GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from saformer.neurons import LIF
from saformer.neurons import integrate_and_fire as neurons

pytest.importorskip("triton")

CUDA = torch.cuda.is_available()
SETTINGS = [
    (tau, threshold, reset)
    for tau in (2.0, 3.0, 1.5, 4.0)
    for threshold, reset in ((1.0, 0.0), (0.5, 0.0), (1.0, 0.25), (1.0, -0.3))
]
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-2, torch.bfloat16: 1e-1}


def current(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(2).add(0.5).to(dtype)


def on_device(x: Tensor) -> Tensor:
    return x.cuda() if CUDA else x


def test_they_are_what_a_gpu_would_run() -> None:
    kernels = neurons.kernels()
    assert kernels is not None
    assert kernels.fits(current(4, 3))


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("tau", "threshold", "reset"), SETTINGS)
def test_the_kernels_are_the_operator(dtype: torch.dtype, tau: float, threshold: float, reset: float) -> None:
    x, gradient = current(6, 3, 7, 31, dtype=dtype), current(6, 3, 7, 31, seed=9, dtype=dtype)
    spikes = neurons.lif_cuda(on_device(x), tau, threshold, reset)
    assert torch.equal(spikes.cpu(), neurons.lif(x, tau, threshold, reset))
    settings = (tau, threshold, reset, 2.5)
    found = neurons.lif_backward_cuda(on_device(gradient), on_device(x), *settings)
    expected = torch.ops.saformer.lif_backward(gradient, x, *settings)
    assert found.dtype == dtype
    assert torch.allclose(found.cpu(), expected, rtol=0, atol=TOLERANCES[dtype])


@pytest.mark.parametrize("shape", [(1, 1), (4, 0, 3), (32, 1000), (33, 10), (16, 512), (4, 513), (2, 3, 4, 5, 6)])
def test_edges_of_shape(shape: tuple[int, ...]) -> None:
    x, gradient, settings = current(*shape), current(*shape, seed=1), (2.0, 1.0, 0.0, 4.0)
    assert torch.equal(neurons.lif_cuda(on_device(x), *settings[:3]).cpu(), neurons.lif(x, *settings[:3]))
    found = neurons.lif_backward_cuda(on_device(gradient), on_device(x), *settings)
    expected = torch.ops.saformer.lif_backward(gradient, x, *settings)
    assert found.shape == x.shape
    assert torch.allclose(found.cpu(), expected, rtol=0, atol=2e-6)


def test_any_layout_in_memory() -> None:
    x = current(4, 6, 5).transpose(1, 2)  # a linear layer in channels-last, say
    gradient = torch.ones(1).expand(x.shape)  # what sum() sends back
    assert torch.equal(neurons.lif_cuda(on_device(x), 2.0, 1.0, 0.0).cpu(), LIF()(x.contiguous()))
    found = neurons.lif_backward_cuda(on_device(gradient), on_device(x), 2.0, 1.0, 0.0, 4.0)
    expected = torch.ops.saformer.lif_backward(gradient, x, 2.0, 1.0, 0.0, 4.0)
    assert torch.allclose(found.cpu(), expected, rtol=0, atol=2e-6)


def test_channels_last_goes_in_and_comes_out() -> None:
    x, gradient = (current(4, 3, 5, 6, seed=seed).contiguous(memory_format=torch.channels_last) for seed in (0, 1))
    expected = LIF()(x.contiguous())
    for some in (gradient, gradient.contiguous()):
        spikes = neurons.lif_cuda(on_device(x), 2.0, 1.0, 0.0)
        found = neurons.lif_backward_cuda(on_device(some), on_device(x), 2.0, 1.0, 0.0, 4.0)
        assert spikes.stride() == found.stride() == x.stride()
        assert torch.equal(spikes.cpu(), expected)
        assert torch.allclose(
            found.cpu(), torch.ops.saformer.lif_backward(gradient, x, 2.0, 1.0, 0.0, 4.0), rtol=0, atol=2e-6
        )


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
def test_a_gpu_chooses_them_by_itself() -> None:
    x = current(4, 513)
    on_gpu, on_cpu = x.cuda().requires_grad_(), x.clone().requires_grad_()
    spikes, expected = LIF()(on_gpu), LIF()(on_cpu)
    assert torch.equal(spikes.cpu(), expected)
    spikes.sum().backward()
    expected.sum().backward()
    assert torch.allclose(on_gpu.grad.cpu(), on_cpu.grad, rtol=0, atol=2e-6)


def test_they_compile_for_gpus_and_keep_membranes_in_registers(request: pytest.FixtureRequest) -> None:
    # In a process of its own: in this one Triton may only interpret.
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    script = Path(__file__).with_name("compiled_kernels.py")
    assert request.config.cache is not None
    made = request.config.cache.mkdir("triton")  # of the kernels as they are: Triton looks at their source
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        env={**environment, "TRITON_CACHE_DIR": str(made)},
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 2 * 4
    for kernel in found:
        # Each number of a tensor goes through memory once, and nothing else does.
        tensors = 3 if kernel["name"] == "backward_kernel" else 2
        assert kernel["bytes per neuron and step"] == tensors * kernel["bytes per number"], kernel
        assert kernel["bytes spilled"] == 0, kernel
