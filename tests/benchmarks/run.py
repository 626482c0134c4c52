"""Speed and memory of profiling, against the model's own forward pass and against public counters.

    make bench

Everything is measured in this one run on this machine: Spikformer-4-384, T = 4, CIFAR shapes, batch 16, two
threads. Pairs that are compared run in turns, so that a slow moment of the machine hits both, and the ratio of the
medians is printed. Weights are random with calibrated BatchNorm, so that the network spikes.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rivals import called, version, with_spikingjelly_neurons
from torch import Tensor, nn

import saformer
from saformer.analysis import profile

MODEL, BATCH, THREADS = "spikformer-4-384", 16, 2


def spiking_model(name: str = MODEL, x: Tensor | None = None, **settings: Any) -> nn.Module:
    """Random weights whose BatchNorm statistics fit random images: every layer fires. On the device of the images."""
    torch.manual_seed(0)
    x = images() if x is None else x
    return calibrated(saformer.build(name, **settings).to(x.device), x)


def calibrated(model: nn.Module, x: Tensor) -> nn.Module:
    """The model with the BatchNorm statistics of these images."""
    norms = {
        module: module.momentum for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    for norm in norms:
        norm.momentum = None
    model.train()
    with torch.no_grad():
        model(x)
    for norm, momentum in norms.items():
        norm.momentum = momentum
    return model.eval()


def images(batch: int = BATCH, size: int = 32) -> Tensor:
    """One batch."""
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


def import_syops() -> Callable[..., object]:
    """syops 0.0.5 imports classes that SpikingJelly 2 no longer has; nothing here uses them, so any class will do."""
    from spikingjelly.activation_based import neuron

    for name in ("MultiStepIFNode", "MultiStepLIFNode", "MultiStepParametricLIFNode"):
        if not hasattr(neuron, name):
            setattr(neuron, name, type(name, (), {}))
    from syops import get_model_complexity_info

    return get_model_complexity_info


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, of what it leaves a GPU to do, too."""
    wait = torch.cuda.synchronize if torch.cuda.is_initialized() else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def in_turns(repeats: int, *work: Callable[[], object]) -> list[float]:
    """Median seconds of each, run in turns after a warm-up."""
    for one in work:
        one()
    times = [[seconds(one) for one in work] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def peak_memory(what: str, fragmented: bool) -> float:
    """MiB that one forward pass, or one profile, adds to a fresh process that holds the model and the batch.

    glibc keeps freed tensors below a moving threshold on its heap, and how badly that heap fragments differs from
    run to run by a third of the peak, for the bare forward pass as well. With `fragmented` this is left in, and the
    median of five processes is taken; without, every tensor is mapped on its own and the peak is that of live memory.
    """
    command = [sys.executable, __file__, "--memory", what]
    environment = dict(os.environ) if fragmented else {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    runs = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)
        for _ in range(5 if fragmented else 1)
    ]
    return statistics.median(runs)


def _measure_memory(what: str) -> None:
    torch.set_num_threads(THREADS)
    model, x = spiking_model(), images()
    # A small pass first: libraries are loaded and threads started, and their memory is not the pass's.
    forward(model, x[:1])
    profile(model, [x[:1]], check_flops=False)
    Path("/proc/self/clear_refs").write_text("5")  # start the high-water mark anew
    before = resident()
    if what == "forward":
        forward(model, x)
    else:
        profile(model, [x], check_flops=False)
    print(json.dumps(high_water() - before))


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident() -> float:
    """MiB resident now."""
    return _status("VmRSS")


def high_water() -> float:
    """MiB resident at most since the mark was reset."""
    return _status("VmHWM")


def forward(model: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The model's own forward pass."""
    with torch.inference_mode():
        return model(x)


def main(repeats: int) -> None:
    """Measure and print."""
    from rich.console import Console
    from rich.table import Table
    from spikingjelly.activation_based.op_counter import ACCounter, DispatchCounterMode, MACCounter

    get_model_complexity_info = import_syops()
    torch.set_num_threads(THREADS)
    model, x = spiking_model(), images()
    rival = with_spikingjelly_neurons(model)
    from_rest = called(rival)

    def rival_forward() -> Tensor:
        return forward(from_rest, x)

    assert torch.equal(forward(model, x), rival_forward()), "the two networks differ"

    def with_profile() -> object:
        return profile(model, [x], check_flops=False)

    ours, ours_profiled = in_turns(repeats, lambda: forward(model, x), with_profile)
    ours_again, theirs = in_turns(repeats, lambda: forward(model, x), rival_forward)

    def with_spikingjelly_counter() -> None:
        with torch.no_grad(), DispatchCounterMode([MACCounter(), ACCounter()]):
            from_rest(x)

    def with_syops() -> None:
        batches = [(x, torch.zeros(len(x), dtype=torch.long))]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            get_model_complexity_info(
                rival, (3, 32, 32), batches, as_strings=False, print_per_layer_stat=False, verbose=False
            )

    few = max(repeats // 3, 1)
    theirs_plain, theirs_counted = in_turns(few, rival_forward, with_spikingjelly_counter)
    theirs_plain_2, theirs_syops = in_turns(few, rival_forward, with_syops)
    live = peak_memory("forward", False), peak_memory("profile", False)
    resident_peak = peak_memory("forward", True), peak_memory("profile", True)

    table = Table(title=f"{MODEL}, T = 4, batch {BATCH}, {THREADS} threads, CPU")
    for column in ("measured", "value", "against", "ratio"):
        table.add_column(column, justify="left" if column in ("measured", "against") else "right")

    def row(what: str, value: float, against: str, reference: float, unit: str = "s") -> None:
        digits = 3 if unit == "s" else 0
        cells = f"{value:.{digits}f} {unit}", f"{against}, {reference:.{digits}f} {unit}", f"{value / reference:.2f}"
        table.add_row(what, *cells)

    row("our profile", ours_profiled, "our forward pass", ours)
    row("our profile, peak of live memory", live[1], "our forward pass", live[0], "MiB")
    row("our profile, peak of resident memory", resident_peak[1], "our forward pass", resident_peak[0], "MiB")
    row("our forward pass", ours_again, f"with {version()}'s LIF", theirs)
    row(f"{version()}'s MAC and AC counters", theirs_counted, "its forward pass", theirs_plain)
    row("syops 0.0.5", theirs_syops, "its forward pass", theirs_plain_2)
    Console(width=110).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", choices=["forward", "profile"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        _measure_memory(arguments.memory)
    else:
        main(arguments.repeats)
