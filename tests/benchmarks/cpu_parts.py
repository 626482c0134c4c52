"""What `run.py` measures on a CPU, part by part: each yields its rows as it finds them.

Contenders run in turns after a warm-up, and the medians of the repeats are set against each other. A rival that is not
installed, or refuses, is named in its row.
"""

import contextlib
import copy
import importlib.util
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rivals import called, version, with_snntorch_neurons, with_spikingjelly_neurons
from run import (
    BATCH,
    MODEL,
    THREADS,
    calibrated,
    forward,
    images,
    import_syops,
    in_turns,
    medians,
    own_environment,
    peak_memory,
    scale_in_child,
    seconds,
    spiking_model,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer import fold
from saformer.analysis import profile
from saformer.neurons import LIF

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "weights" / "spikformer-4-384-cifar10.safetensors"
CIFAR_IMAGES = 10_000


@dataclass
class Row:
    """A figure, in its unit, what it is set against, and the goal of the ratio; `note` says what there is to say."""

    measured: str
    value: float | None = None
    unit: str = "s"
    against: str = ""
    reference: float | None = None
    goal: str = ""
    note: str = ""
    inverted: bool = False  # the ratio is how many times the value goes into the reference

    @property
    def ratio(self) -> float | None:
        """How many times the reference the value is, or the other way round."""
        if self.value is None or not self.reference:
            return None
        return self.reference / self.value if self.inverted else self.value / self.reference


@dataclass(frozen=True)
class Settings:
    """How often to repeat, and where CIFAR-10 is, if it is."""

    repeats: int = 9
    cifar: Path | None = None
    dry: bool = False  # small networks: to see that everything runs


PARTS: dict[str, Callable[[Settings], Iterator[Row]]] = {}


def part(name: str) -> Callable[[Callable[[Settings], Iterator[Row]]], Callable[[Settings], Iterator[Row]]]:
    """Enter a function among the parts, which run in the order of this file."""

    def enter(run: Callable[[Settings], Iterator[Row]]) -> Callable[[Settings], Iterator[Row]]:
        PARTS[name] = run
        return run

    return enter


def program(*arguments: object) -> Callable[[], object]:
    """Python with these arguments, as a user starts it."""

    def run() -> None:
        command = [sys.executable, *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, env=own_environment(), cwd=ROOT)

    return run


@part("start")
def start(settings: Settings) -> Iterator[Row]:
    """Commands, set against what importing torch takes alone."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "p.json"
        program("-m", "saformer.cli", "energy", "--save-profile", saved)()
        found = in_turns(
            settings.repeats,
            program("-c", "import torch"),
            program("-m", "saformer.cli", "energy"),
            program("-m", "saformer.cli", "energy", "--from-profile", saved),
        )
    title = f'python -c "import torch" {torch.__version__}'
    yield Row("saformer energy, 360 digits", found[1], against=title, reference=found[0], goal="<= 2.0")
    yield Row("saformer energy --from-profile", found[2], against=title, reference=found[0], goal="<= 0.7")


@part("profile / forward")
def profiles(settings: Settings) -> Iterator[Row]:
    """Ours, of our own network and of SpikingJelly's Spikformer; with fvcore's check, of several batches."""
    model, x = spiking_model(), images()
    times = in_turns(settings.repeats, lambda: forward(model, x), lambda: profile(model, [x], check_flops=False))
    yield Row(f"profile, {MODEL}", times[1], against="its forward pass", reference=times[0], goal="<= 1.05")

    foreign, run = _foreign(x, settings.dry)
    named = {"time_steps": 4, "check_flops": False}
    times = in_turns(settings.repeats, lambda: forward(run, x), lambda: profile(foreign, [x], **named))
    title = f"profile, {version()}'s Spikformer-4-384, one batch"
    yield Row(title, times[1], against="its forward pass", reference=times[0], note="looks at a few images included")

    batches = 2 if settings.dry else 32
    for title, network, run, told in (
        (MODEL, model, copy.deepcopy(model), {}),
        (f"{version()}'s Spikformer-4-384", foreign, called(copy.deepcopy(foreign)), {"time_steps": 4}),
    ):
        took, reference = _in_between(network, run, [x] * batches, **told)
        yield Row(
            f"profile, {title}, {batches * len(x)} images, fvcore's check included",
            took,
            against="its forward passes",
            reference=reference,
            goal="<= 1.05" if network is model else "<= 1.10",
        )


def _in_between(network: nn.Module, run: Any, batches: list[Tensor], **told: Any) -> tuple[float, float]:
    """Seconds of one profile, and of a forward pass before each of its batches: slow moments of the machine hit both.

    Args:
        network: what is profiled.
        run: a forward pass of a copy of it, which leaves nothing behind in the network itself.
        batches: what both are given.
        **told: settings of the profile.
    """
    passes = []

    def given() -> Iterator[Tensor]:
        for x in batches:
            passes.append(seconds(lambda x=x: forward(run, x)))
            yield x

    both = seconds(lambda: profile(network, given(), **told))
    return both - sum(passes), sum(passes)


def _foreign(x: Tensor, dry: bool) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from spikingjelly.activation_based.model.spikformer import Spikformer

    torch.manual_seed(0)
    sides = {"img_size_h": x.shape[-2], "img_size_w": x.shape[-1]}
    size = (24, 2, 1) if dry else (384, 12, 4)
    sizes = dict(zip(("embed_dims", "num_heads", "depths"), size, strict=True))
    model = Spikformer(T=4, patch_size=4, num_classes=10, **sizes, **sides)
    run = called(model)
    calibrated_run = _Reset(model)
    calibrated(calibrated_run, x)
    return model.eval(), run


class _Reset(nn.Module):
    """A network of SpikingJelly, from rest at every call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._run = called(model)

    def forward(self, x: Tensor) -> Tensor:
        return self._run(x)


@part("memory")
def memory(settings: Settings) -> Iterator[Row]:
    """Peaks that a forward pass, and a profile, add to a fresh process."""
    plain, recorded = map(peak_memory, ("forward", "profile"))
    yield Row("profile, peak of live memory", recorded, "MiB", "its forward pass", plain, "<= 1.02")


class _Calls(TorchDispatchMode):
    """Keeps every convolution and matrix product that runs, with its arguments."""

    # In inference mode the composite ones arrive whole.
    OPERATORS = frozenset({"convolution", "conv2d", "matmul", "addmm", "mm", "bmm", "linear", "baddbmm"})

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._overloadpacket.__name__ in self.OPERATORS:
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


@part("forward")
def forwards(settings: Settings) -> Iterator[Row]:
    """Our forward pass against its convolutions and products alone, and against others with the same weights."""
    model, x = spiking_model(), images()
    with torch.inference_mode(), _Calls() as seen:
        model(x)
    calls = seen.calls

    def alone() -> None:
        with torch.inference_mode():
            for func, args, kwargs in calls:
                func(*args, **kwargs)

    times = in_turns(settings.repeats, lambda: forward(model, x), alone)
    title = f"its {len(calls)} convolutions and products alone"
    yield Row(f"forward pass, {MODEL}", times[0], against=title, reference=times[1], goal="<= 1.12")
    calls.clear()  # what they hold
    folded = fold(model)
    times = in_turns(settings.repeats, lambda: forward(folded, x), lambda: forward(model, x))
    yield Row(
        f"forward pass, {MODEL}, folded",
        times[0],
        against="as it is",
        reference=times[1],
        note=_other(folded, model, x),
    )

    jelly = with_spikingjelly_neurons(model)
    run = called(jelly)
    assert torch.equal(forward(model, x), forward(run, x)), "the two networks differ"
    times = in_turns(settings.repeats, lambda: forward(model, x), lambda: forward(run, x))
    yield Row(
        f"forward pass, {MODEL}",
        times[0],
        against=f"{version()}'s neurons, torch backend",
        reference=times[1],
        goal=">= 1.6",
        inverted=True,
    )
    torchy = with_snntorch_neurons(model)
    times = in_turns(max(settings.repeats // 2, 1), lambda: forward(model, x), lambda: forward(torchy, x))
    yield Row(
        f"forward pass, {MODEL}",
        times[0],
        against=f"snnTorch {metadata.version('snntorch')}'s neurons",
        reference=times[1],
        goal=">= 1.6",
        inverted=True,
    )


def _other(folded: nn.Module, model: nn.Module, x: Tensor) -> str:
    """What share of spikes, and how much of the logits, folding changes."""
    fired: dict[nn.Module, list[Tensor]] = {}
    for network in (model, folded):
        kept = fired[network] = []
        hooks = [
            m.register_forward_hook(lambda *a, kept=kept: kept.append(a[2]))
            for m in network.modules()
            if isinstance(m, LIF)
        ]
        forward(network, x)
        for hook in hooks:
            hook.remove()
    pairs = list(zip(*fired.values(), strict=True))
    share = sum(int((a != b).sum()) for a, b in pairs) / sum(a.numel() for a, _ in pairs)
    return f"{share:.1e} of the spikes differ"


@part("counters")
def counters(settings: Settings) -> Iterator[Row]:
    """What each counter makes of the same forward pass: our network with SpikingJelly's neurons."""
    from spikingjelly.activation_based import op_counter

    rival, x = with_spikingjelly_neurons(spiking_model()), images()
    run = called(rival)
    few = max(settings.repeats // 3, 1)

    def with_spikingjelly() -> None:
        with torch.no_grad(), op_counter.DispatchCounterMode([op_counter.MACCounter(), op_counter.ACCounter()]):
            run(x)

    def with_ours() -> None:
        profile(spiking, [x], check_flops=False)

    spiking = spiking_model()
    works: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "ours, of our neurons": (lambda: forward(spiking, x), with_ours),
        f"{version()}, MACs and ACs": (lambda: forward(run, x), with_spikingjelly),
    }
    missing = []
    if importlib.util.find_spec("syops"):
        works[f"syops {metadata.version('syops')}"] = (lambda: forward(run, x), _with_syops(rival, x))
    else:
        missing.append("syops")
    if importlib.util.find_spec("neurobench"):
        works["NeuroBench " + metadata.version("neurobench")] = (
            lambda: forward(run, x),
            _with_neurobench(rival, run, x),
        )
    else:
        missing.append("NeuroBench")
    for name, (plain, counted) in works.items():
        try:
            times = in_turns(few, plain, counted)
        except Exception as error:  # a rival of another version may fail in any way
            yield Row(f"counter: {name}", note=f"refuses: {type(error).__name__}: {str(error)[:80]}")
            continue
        yield Row(f"counter: {name}", times[1], against="its forward pass", reference=times[0])
    for name in missing:
        yield Row(f"counter: {name}", note="not installed")


def _with_syops(rival: nn.Module, x: Tensor) -> Callable[[], object]:
    get_model_complexity_info = import_syops()

    def run() -> None:
        batches = [(x, torch.zeros(len(x), dtype=torch.long))]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            get_model_complexity_info(
                rival, tuple(x.shape[1:]), batches, as_strings=False, print_per_layer_stat=False, verbose=False
            )

    return run


def _with_neurobench(rival: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    from neurobench.benchmarks import Benchmark
    from neurobench.metrics.workload import SynapticOperations
    from neurobench.models import TorchModel
    from torch.utils.data import DataLoader, TensorDataset

    loader = DataLoader(TensorDataset(x, torch.zeros(len(x), dtype=torch.long)), batch_size=len(x))
    network = TorchModel(_Reset(rival))

    def count() -> None:
        with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            Benchmark(network, loader, [], [], [[], [SynapticOperations]]).run(quiet=True)

    return count


@part("training")
def training(settings: Settings) -> Iterator[Row]:
    """A training step: forwards, backwards, AdamW."""
    x = images()
    few = max(settings.repeats // 2, 1)
    for name in (MODEL, MODEL.replace("spikformer", "saformer")):
        model = spiking_model(name).train()
        jelly = with_spikingjelly_neurons(model).train()
        times = in_turns(few, _steps(model, model, x), _steps(jelly, called(jelly), x))
        title = f"{version()}'s neurons, torch backend"
        yield Row(f"training step, {name}", times[0], against=title, reference=times[1], goal=">= 1.5", inverted=True)


def _steps(model: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], object]:
    labels = torch.arange(len(x)) % 10
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)  # so small that the firing stays as it is

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(run(x), labels).backward()
        optimiser.step()

    return step


@part("a total within 1 %")
def total(settings: Settings) -> Iterator[Row]:
    """Until the energy on CIFAR-10 is known to 1 %, against a pass over all images with SpikingJelly's counter."""
    title = f"energy on CIFAR-10 within 1 %, {CHECKPOINT.stem}"
    if settings.cifar is None:
        yield Row(title, note="no CIFAR-10 here: --cifar DIR")
        return
    from spikingjelly.activation_based import op_counter

    import saformer
    from saformer.data import open_dataset

    data = ["--dataset", "cifar10", "--data-dir", settings.cifar]
    command = ["-m", "saformer.cli", "energy", "--ckpt", CHECKPOINT, *data, "--precision", "1%", "--json", "-"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        check=True,
        capture_output=True,
        text=True,
        env=own_environment(),
        cwd=ROOT,
    )
    ours = time.perf_counter() - began
    used = json.loads(done.stdout)["data"]["images"]
    network = with_spikingjelly_neurons(saformer.load(CHECKPOINT))
    run, times = called(network), []
    batches = open_dataset("cifar10", settings.cifar).batches(BATCH, 8 * BATCH)
    for x, _ in batches:
        began = time.perf_counter()
        with torch.no_grad(), op_counter.DispatchCounterMode([op_counter.MACCounter(), op_counter.ACCounter()]):
            run(x)
        times.append(time.perf_counter() - began)
    theirs = statistics.median(times[1:]) / BATCH * CIFAR_IMAGES
    yield Row(
        f"{title} ({used} images)",
        ours,
        against=f"{version()}'s counter, {CIFAR_IMAGES:,} images",
        reference=theirs,
        goal=">= 30",
        inverted=True,
        note=f"theirs extrapolated from {8 * BATCH} images",
    )


@part("report")
def report(settings: Settings) -> Iterator[Row]:
    """`saformer report` of the three networks on digits."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"digits/{name}" for name in ("saformer", "sdt", "spikformer")]
        began = time.perf_counter()
        program("-m", "saformer.cli", "report", "--out", Path(folder) / "report", *names)()
        yield Row("saformer report, three digits networks", time.perf_counter() - began, note="goal <= 45 s")


@part("scale")
def scale(settings: Settings) -> Iterator[Row]:
    """Cost over images, T and layers; memory over images; ImageNet's size."""
    small = {"batch": 2, "repeats": 3}
    base = scale_in_child("saformer-2-64", images=8, time_steps=4, **small)
    for title, name, told, times in (
        ("32 images / 8", "saformer-2-64", {"images": 32, "time_steps": 4}, 4),
        ("T = 64 / T = 4", "saformer-2-64", {"images": 8, "time_steps": 64}, 16),
    ):
        found = scale_in_child(name, **told, **small)
        yield Row(
            f"profile, {name}, {title} ({times} times)",
            found["seconds"],
            against=f"{times} times",
            reference=base["seconds"] * times,
        )
    fewer, more = (
        scale_in_child("saformer-2-64", images=count, time_steps=4, batch=BATCH, repeats=1)["memory"]
        for count in ((4, 8) if settings.dry else (64, 1024))
    )
    yield Row("profile, saformer-2-64, peak memory, 1,024 images", more, "MiB", "64 images", fewer)
    few, many = (2, 4) if settings.dry else (10, 100)
    shallow = scale_in_child(f"saformer-{few}-64", images=4, time_steps=4, **small)
    deep = scale_in_child(f"saformer-{many}-64", images=4, time_steps=4, **small)
    yield Row(
        f"profile, saformer-{many}-64 ({deep['layers']:.0f} layers) / saformer-{few}-64 ({shallow['layers']:.0f})",
        deep["seconds"],
        against=f"{deep['layers'] / shallow['layers']:.1f} times",
        reference=shallow["seconds"] * deep["layers"] / shallow["layers"],
    )
    network = "spikformer-1-16" if settings.dry else "spikformer-8-512"
    large = scale_in_child(network, images=8, time_steps=4, batch=4, repeats=1, image_size=224)
    note = f"{8 / large['seconds']:.2f} images/s profiled, {8 / large['forward']:.2f} forward"
    yield Row(
        f"{network}, 224 x 224, 8 images",
        large["seconds"],
        against="forward",
        reference=large["forward"],
        note=note,
    )
    yield Row("  its peak memory, batch 4", large["memory"], "MiB")


@part("processes")
def processes(settings: Settings) -> Iterator[Row]:
    """Images in two processes, of one thread each, against one: seconds of more images less those of fewer."""
    title = f"{_MANY - _FEW:,} images in two processes (torchrun), {_SMALL}"
    if settings.cifar is None:
        yield Row(title, note="no CIFAR-10 here: --cifar DIR")
        return
    run = ["-m", "saformer.cli", "energy", "--model", _SMALL, "--batch-size", _SHARED]
    run += ["--dataset", "cifar10", "--data-dir", settings.cifar, "--limit"]
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    ways = ((run, 1, 1), ([*torchrun, *run], 1, 1), (run, 2, 1), (run, 1, THREADS))
    found = medians(
        1 if settings.dry else max(settings.repeats // 3, 1),
        *(_at_once([*command, limit], *how) for command, *how in ways for limit in (_FEW, _MANY)),
    )
    alone, both, strangers, threads = (many - few for few, many in zip(found[::2], found[1::2], strict=True))
    yield Row(
        title,
        both,
        against="one, one thread",
        reference=alone,
        goal=">= 1.8",
        inverted=True,
        note=f"two that do not know each other: {2 * alone / strangers:.2f}; {THREADS} threads: {alone / threads:.2f}; "
        f"with start: {found[3]:.1f} s against {found[1]:.1f} s",
    )


_SMALL = "spikformer-2-128"  # with random weights
_SHARED = 64  # images of a batch, which one process takes
_FEW, _MANY = 2 * _SHARED, 34 * _SHARED  # as many batches for each of two processes


def _at_once(arguments: list[Any], times: int, threads: int) -> Callable[[], None]:
    """Python with these arguments, so many times at once, each with so many threads."""
    command = [sys.executable, *map(str, arguments)]
    environment = {**own_environment(), "OMP_NUM_THREADS": str(threads)}

    def run() -> None:
        running = [
            subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(times)
        ]
        codes = [process.wait() for process in running]
        if any(codes):
            raise subprocess.CalledProcessError(1, command)

    return run
