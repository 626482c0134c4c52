"""Speed and memory on a CPU, against the arithmetic alone, other libraries and public counters; one table of Markdown.

    make bench

Everything is measured in this one run on this machine. Pairs that are compared run in turns, so that a slow moment of
the machine hits both, and the ratio of the medians is printed. Weights are random with calibrated BatchNorm, so that
the network spikes. The parts are in `cpu_parts.py`.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import saformer
from saformer.analysis import profile

if TYPE_CHECKING:
    import cpu_parts

MODEL, BATCH, THREADS = "spikformer-4-384", 16, 2


def spiking_model(name: str | None = None, x: Tensor | None = None, **settings: Any) -> nn.Module:
    """Random weights whose BatchNorm statistics fit random images: every layer fires. On the device of the images."""
    torch.manual_seed(0)
    x = images() if x is None else x
    return calibrated(saformer.build(name or MODEL, **settings).to(x.device), x)


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


def images(batch: int | None = None, size: int = 32) -> Tensor:
    """One batch."""
    return torch.randn(batch or BATCH, 3, size, size, generator=torch.Generator().manual_seed(1))


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
    return medians(repeats, *work)


def medians(repeats: int, *work: Callable[[], object]) -> list[float]:
    """The same without a warm-up: of what starts anew each time."""
    times = [[seconds(one) for one in work] for _ in range(repeats)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def peak_memory(what: str) -> float:
    """MiB that one forward pass, or one profile, adds to a fresh process that holds the model and the batch.

    Every tensor is mapped on its own, so that the peak is that of live memory, and not of what an allocator keeps.
    """
    command = [sys.executable, __file__, "--memory", what, *(["--dry-run"] if BATCH == 1 else [])]
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout))


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


def own_environment() -> dict[str, str]:
    """Of a program that a user starts: Python keeps what it compiled."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def scale_in_child(name: str, **settings: Any) -> dict[str, float]:
    """Seconds of a forward pass and of a profile, the peak of live memory in MiB, and layers, in a fresh process.

    Args:
        name: of the network.
        **settings: as `_measure_scale` takes them.
    """
    command = [sys.executable, __file__, "--scale", json.dumps({"name": name, **settings})]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def _measure_scale(
    name: str, images: int, time_steps: int, batch: int, repeats: int, image_size: int = 32
) -> dict[str, float]:
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = saformer.build(name, time_steps=time_steps, image_size=image_size).eval()
    batches = [torch.randn(batch, 3, image_size, image_size) for _ in range(2)] * (images // batch // 2)

    def pass_over() -> None:
        for x in batches:
            forward(model, x)

    forward(model, batches[0])
    plain = min(seconds(pass_over) for _ in range(repeats))
    profile(model, batches[:1], check_flops=False)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident()
    recorded = min(seconds(lambda: profile(model, batches, check_flops=False)) for _ in range(repeats))
    layers = sum(isinstance(m, nn.Conv2d | nn.Conv1d | nn.Linear) for m in model.modules())
    return {"forward": plain, "seconds": recorded, "memory": high_water() - before, "layers": layers}


def main(settings: "cpu_parts.Settings", only: str) -> int:
    """Measure and print; 1 if a part failed."""
    import cpu_parts

    torch.set_num_threads(THREADS)
    print(f"{processor()}, {THREADS} threads, torch {torch.__version__}, Python {sys.version.split()[0]}")
    print(f"{MODEL}, T = 4, batch {BATCH}, CIFAR shapes, unless told otherwise\n")
    print(
        "| measured | value | against | its value | ratio | goal | note |\n|---|---:|---|---:|---:|---:|---|",
        flush=True,
    )
    failed = 0
    for name, part in cpu_parts.PARTS.items():
        if only not in name:
            continue
        try:
            for row in part(settings):
                print(_line(row), flush=True)
        except Exception as error:  # the other parts run all the same
            failed = 1
            print(f"| {name} | | | | | | failed: {type(error).__name__}: {str(error)[:200]} |", flush=True)
    return failed


def _line(row: "cpu_parts.Row") -> str:
    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.3f} s" if row.unit == "s" else f"{value:.0f} {row.unit}"

    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    cells = (row.measured, shown(row.value), row.against, shown(row.reference), ratio, row.goal, row.note)
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """Its name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "a CPU"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "a CPU")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10, for what is measured on it")
    parser.add_argument("--only", default="", metavar="PART", help="parts with this in their name")
    parser.add_argument("--dry-run", action="store_true", help="small networks: to see that everything runs")
    parser.add_argument("--memory", choices=["forward", "profile"], help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dry_run:
        MODEL, BATCH, THREADS, arguments.repeats = "spikformer-1-24", 1, 1, 1
    if arguments.memory:
        _measure_memory(arguments.memory)
    elif arguments.scale:
        print(json.dumps(_measure_scale(**arguments.scale)))
    else:
        sys.modules["run"] = sys.modules["__main__"]  # what the parts import
        from cpu_parts import Settings

        saformer.keep_memory()  # as the command line does; for ours and for rivals
        sys.exit(main(Settings(arguments.repeats, arguments.cifar, arguments.dry_run), arguments.only))
