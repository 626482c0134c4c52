"""Time of the multi-step LIF, forwards and backwards, against the plain loop and against SpikingJelly.

    .venv/bin/python tests/benchmarks/neurons.py

All layers of neurons of Spikformer-4-384 (T = 4, CIFAR shapes, batch 16), one call after the other, in float32 and in
bfloat16, on the CPU and, where there is one, on the GPU. The contenders run in turns, and the shortest time of each
counts: other work on the machine only ever makes one longer. Before that, their spikes and gradients are compared.
On one thread of the CPU, the time counted is that of the processor, which leaves other programs out altogether.
Last come the other kinds of neurons, against the LIF.
"""

import argparse
import importlib.util
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from rivals import backends, called, lif, version
from run import BATCH, MODEL
from torch import Tensor

import saformer
from saformer.neurons import LIF, NEURONS, make_neuron

# shape of the current -> layers that have it
Layers = Counter[tuple[int, ...]]
Contender = Callable[[Tensor], Tensor]


class Fire(torch.autograd.Function):
    """Step function with the slope of a sigmoid, as in the published code."""

    @staticmethod
    def forward(ctx, excess: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(excess)
        ctx.alpha = alpha
        return (excess >= 0).to(excess)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (excess,) = ctx.saved_tensors
        s = (excess * ctx.alpha).sigmoid()
        return gradient * s * (1 - s) * ctx.alpha, None


def plain_loop(x: Tensor) -> Tensor:
    """Eqs. 1-3, one step after the other, with automatic differentiation (tau 2, threshold 1, reset to 0)."""
    membrane, spikes = torch.zeros_like(x[0]), []
    for current in x:
        membrane = membrane + (current - membrane) / 2.0
        fired = Fire.apply(membrane - 1.0, 4.0)
        membrane = membrane * (1.0 - fired.detach())
        spikes.append(fired)
    return torch.stack(spikes)


def plain_loop_in_float32(x: Tensor) -> Tensor:
    """The same with membranes in float32, whatever the type of the current: what ours computes."""
    return plain_loop(x.float()).to(x.dtype)


def contenders(device: str, dtype: torch.dtype) -> dict[str, Contender]:
    """By name, ours first."""
    found: dict[str, Contender] = {"ours": LIF(), "plain loop": plain_loop}
    if dtype != torch.float32:
        found["plain loop, float32 membranes"] = plain_loop_in_float32
    if importlib.util.find_spec("spikingjelly"):
        found |= {f"{version()}, {name}": called(lif(name)) for name in backends(device)}
    return found


def kinds() -> dict[str, Contender]:
    """Every kind of neuron, by name, and resets by subtraction; the LIF first."""
    found: dict[str, Contender] = {kind: make_neuron(kind) for kind in NEURONS}
    return found | {f"{kind}, soft": make_neuron(kind, reset=None) for kind in ("lif", "if", "plif", "ternary", "alif")}


def layers_of(name: str, batch: int = BATCH) -> Layers:
    """What the neurons of the model see, with this batch size."""
    found: Layers = Counter()
    model = saformer.build(name).eval()
    for module in model.modules():
        if isinstance(module, LIF):
            module.register_forward_pre_hook(
                lambda _, inputs: found.update([(inputs[0].shape[0], batch, *inputs[0].shape[2:])])
            )
    with torch.inference_mode():
        model(torch.zeros(1, 3, 32, 32))
    return found


def step(neuron: Contender, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes, and the gradient by the current."""
    x.grad = None
    spikes = neuron(x)
    spikes.backward(gradient)
    if x.is_cuda:
        torch.cuda.synchronize()
    assert x.grad is not None
    return spikes, x.grad


def measure(
    layers: Layers,
    neurons: dict[str, Contender],
    device: str,
    dtype: torch.dtype,
    repeats: int,
    of: Callable[[Sequence[float]], float] = min,
) -> list[float]:
    """Seconds of each contender for all layers, forwards and backwards; they are checked on the way against "ours".

    Of the times of a layer, `of` says which counts.
    """
    total = [0.0] * len(neurons)
    for shape, count in layers.items():
        generator = torch.Generator().manual_seed(0)
        x, gradient = (torch.randn(shape, generator=generator) for _ in range(2))
        x, gradient = (x + 0.6).to(device, dtype).requires_grad_(), gradient.to(device, dtype)
        expected = step(neurons["ours"], x, gradient) if "ours" in neurons else ()
        for name, neuron in neurons.items():
            for ours, theirs in zip(expected, step(neuron, x, gradient)):  # noqa: B905 (nothing, for other kinds)
                # In bfloat16 a membrane of their type rounds to the other side of the threshold now and then.
                differs = (ours - theirs).abs() > (1e-5 if dtype == torch.float32 else 0.1)
                share = differs.float().mean().item()
                assert share <= (1e-6 if dtype == torch.float32 else 0.1), f"{name} differs in {share:.2%}"
        clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
        times = []
        for _ in range(repeats):
            marks = [clock()]
            for neuron in neurons.values():
                step(neuron, x, gradient)
                marks.append(clock())
            times.append([end - start for start, end in pairwise(marks)])
        for index, column in enumerate(zip(*times, strict=True)):
            total[index] += count * of(column)
    return total


def main(repeats: int, threads: int) -> None:
    """Measure and print."""
    from rich.console import Console
    from rich.table import Table

    torch.set_num_threads(threads)
    saformer.keep_memory()  # for ours and for rivals
    layers = layers_of(MODEL)
    table = Table(title=f"{layers.total()} layers of neurons of {MODEL}, T = 4, batch {BATCH}, {threads} threads")
    for column in ("device", "type", "neuron"):
        table.add_column(column)
    for column in ("forwards + backwards", "against ours"):
        table.add_column(column, justify="right")
    for device in ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",):
        for dtype in (torch.float32, torch.bfloat16):
            for neurons in (contenders(device, dtype), kinds()):
                times = measure(layers, neurons, device, dtype, repeats)
                for name, value in zip(neurons, times, strict=True):
                    kind = str(dtype).removeprefix("torch.")
                    table.add_row(device, kind, name, f"{1e3 * value:.2f} ms", f"{value / times[0]:.2f}")
                table.add_section()
    Console(width=100).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.repeats, arguments.threads)
