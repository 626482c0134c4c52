"""What `gpu.py` measures, part by part: each yields the rows of the table as it finds them.

Contenders run in turns after a warm-up, on a clock that waits for the GPU, and medians of the repeats are given. What
a rival cannot do is a finding and stands in its row; an error of ours ends the part.
"""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from itertools import chain
from typing import Any

import rivals
import torch
import torch.nn.functional as F
from neurons import contenders, kinds, layers_of, measure, step
from run import calibrated, forward, images, in_turns, seconds, spiking_model
from torch import Tensor, nn
from training import SETTINGS, seconds_per_step

from saformer.analysis import profile
from saformer.analysis.complexity.peak_memory import peak_bytes
from saformer.errors import brief

MIB = 1 << 20


@dataclass(frozen=True)
class Sizes:
    """Where to measure, and how large."""

    device: str = "cuda"
    networks: tuple[str, ...] = ("spikformer-4-384", "saformer-4-384")
    batch: int = 128
    foreign: dict[str, int] = field(default_factory=lambda: {"embed_dims": 384, "num_heads": 12, "depths": 4})
    imagenet: tuple[str, int, int] = ("spikformer-8-512", 224, 64)  # network, pixels, batch
    compiler: str = "inductor"
    repeats: int = 15


#: All of it on a CPU in seconds.
DRY = Sizes(
    device="cpu",
    networks=("saformer-1-24",),  # and a Spikformer below
    batch=2,
    foreign={"embed_dims": 32, "num_heads": 2, "depths": 1},
    imagenet=("spikformer-1-16", 64, 1),
    compiler="eager",  # traces only
    repeats=2,
)


@dataclass
class Row:
    """One figure, in its unit, and what it is set against; `problem` says what kept it from being complete."""

    measured: str
    value: float | None = None
    unit: str = "ms"
    against: str = ""
    reference: float | None = None
    note: str = ""
    problem: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times the reference the value is."""
        return self.value / self.reference if self.value is not None and self.reference else None


@dataclass(frozen=True)
class Part:
    """Rows to measure, and the seconds that they may take on a GPU."""

    run: Callable[[Sizes], Iterator[Row]]
    seconds: int


PARTS: dict[str, Part] = {}


def part(name: str, seconds: int) -> Callable[[Callable[..., Iterator[Row]]], Callable[..., Iterator[Row]]]:
    """Enter a function among the parts, which run in the order of this file."""

    def enter(run: Callable[..., Iterator[Row]]) -> Callable[..., Iterator[Row]]:
        PARTS[name] = Part(run, seconds)
        return run

    return enter


def batch_of(sizes: Sizes) -> Tensor:
    """Images of CIFAR's size on the device."""
    return images(sizes.batch).to(sizes.device)


@dataclass
class Rival:
    """Our network with SpikingJelly's neurons, in the backend that is fastest there; none where it is not installed."""

    title: str = ""
    model: nn.Module | None = None
    problem: str = ""


def rival_of(model: nn.Module, sizes: Sizes) -> Rival:
    """The rival with the weights of `model`."""
    try:
        name = rivals.version()
    except metadata.PackageNotFoundError:
        return Rival(problem="SpikingJelly is not installed")
    shape = next(iter(layers_of(sizes.networks[0], sizes.batch)))
    backend = rivals.fastest(sizes.device, shape, seconds)
    return Rival(f"the same weights, {name}, {backend}", rivals.with_spikingjelly_neurons(model, backend))


def refusal(work: Callable[[], object]) -> str:
    """Why it cannot run; empty if it can."""
    try:
        work()
    except Exception as error:
        return f"refuses: {brief(error)}"
    return ""


def against(row: Row, sizes: Sizes, ours: Callable[[], object], rival: Rival, theirs: Callable[[], object]) -> Row:
    """The row with our time in ms, and that of the rival where it runs."""
    row.against, row.problem = rival.title, rival.problem
    note = refusal(theirs) if rival.model is not None else ""
    works = [ours] if note or rival.model is None else [ours, theirs]
    times = [1e3 * value for value in in_turns(sizes.repeats, *works)]
    row.value, row.reference = times[0], times[1] if len(times) > 1 else None
    row.note = "; ".join(filter(None, (row.note, note)))
    return row


@part("neurons", 50)
def neurons(sizes: Sizes) -> Iterator[Row]:
    """All layers of neurons of a network, forwards and backwards."""
    layers = layers_of(sizes.networks[0], sizes.batch)
    what = f"{layers.total()} layers of our LIF, of {sizes.networks[0]}, batch {sizes.batch}, forwards and backwards"
    try:
        rivals.version()
    except metadata.PackageNotFoundError:
        yield Row(what, problem="SpikingJelly is not installed")
    for dtype in (torch.float32, torch.bfloat16):
        found = contenders(sizes.device, dtype)
        ours = found.pop("ours")
        x = torch.randn(4, 2, 8, device=sizes.device, dtype=dtype, requires_grad=True)
        step(ours, x, x.detach())  # what fails from here on is the other's
        for name, other in found.items():
            row = Row(f"{what}, {str(dtype).removeprefix('torch.')}", against=name)
            pair = {"ours": ours, name: other}
            try:
                times = measure(layers, pair, sizes.device, dtype, sizes.repeats, statistics.median)
                row.value, row.reference = (1e3 * value for value in times)
            except AssertionError as error:  # the spikes or gradients are others
                row.problem = brief(error)
            except Exception as error:
                row.note = f"refuses: {brief(error)}"
            yield row


@part("kinds of neurons", 20)
def kinds_of_neurons(sizes: Sizes) -> Iterator[Row]:
    """The other kinds against the LIF."""
    layers, found = layers_of(sizes.networks[0], sizes.batch), kinds()
    repeats = max(sizes.repeats // 3, 1)
    times = measure(layers, found, sizes.device, torch.float32, repeats, statistics.median)
    for name, value in zip(found, times, strict=True):
        yield Row(f"the same layers of {name}, float32", 1e3 * value, "ms", "ours, lif", 1e3 * times[0])


@part("forward", 20)
def forward_pass(sizes: Sizes) -> Iterator[Row]:
    """Time and memory of inference against the same network with the rival's neurons."""
    x = batch_of(sizes)
    for name in sizes.networks:
        ours = spiking_model(name, x)
        rival = rival_of(ours, sizes)
        theirs: Any = rivals.called(rival.model) if rival.model is not None else None
        yield from passes(Row(f"forward, {name}, batch {sizes.batch}, fp32"), sizes, ours, rival, theirs, x)


def passes(row: Row, sizes: Sizes, ours: nn.Module, rival: Rival, theirs: Any, x: Tensor) -> Iterator[Row]:
    """Rows of one forward pass: its time, and the memory that it adds."""
    works = partial(forward, ours, x), partial(forward, theirs, x)
    timed = against(row, sizes, works[0], rival, works[1])
    if timed.reference is not None:
        logits, others = (work() for work in works)
        timed.note = f"logits differ by at most {(logits - others).abs().max() / logits.abs().max():.1e} of the largest"
    yield timed
    memory = [peak_bytes(work, x.device) / MIB for work in works[: 1 if timed.reference is None else 2]]
    yield Row(f"{row.measured}, peak memory", memory[0], "MiB", timed.against, memory[1] if memory[1:] else None)


_BATCHES = 8


def profiles(title: str, sizes: Sizes, model: nn.Module, run: Any, x: Tensor, **settings: Any) -> Iterator[Row]:
    """Rows of profiling one batch, with and without the comparison with fvcore, against the forward pass."""
    check = partial(profile, model, [x], **settings)
    plain, one = partial(check, check_flops=False), partial(forward, run, x)
    against = f"its forward pass, torch {torch.__version__}"
    took, reference = in_turns(sizes.repeats, plain, one)
    yield Row(f"profile, {title}", 1e3 * took, "ms", against, 1e3 * reference)
    memory = [peak_bytes(work, x.device) / MIB for work in (plain, one)]
    yield Row(f"profile, {title}, peak memory", memory[0], "MiB", against, memory[1])
    # The first batch is judged; from the second on a network of ours follows a plan.
    many = partial(profile, model, [x] * _BATCHES, check_flops=False, **settings)
    few = max(sizes.repeats // 5, 1)
    took, reference = (value / _BATCHES for value in in_turns(few, many, lambda: [one() for _ in range(_BATCHES)]))
    yield Row(f"profile, each of {_BATCHES} batches, {title}", 1e3 * took, "ms", against, 1e3 * reference)
    row = Row(f"profile with the check, {title}", against=against)
    try:
        row.measured = f"profile with the check by fvcore {metadata.version('fvcore')}, {title}"
    except metadata.PackageNotFoundError:
        row.problem = "fvcore is not installed"
    else:
        row.value, row.reference = (1e3 * value for value in in_turns(few, check, one))
    yield row


@part("profile / forward", 30)
def profile_and_forward(sizes: Sizes) -> Iterator[Row]:
    """Our networks."""
    x = batch_of(sizes)
    for name in sizes.networks:
        model = spiking_model(name, x)
        yield from profiles(f"{name}, batch {sizes.batch}", sizes, model, model, x)


@part("profile / forward of a foreign network", 45)
def foreign_profile(sizes: Sizes) -> Iterator[Row]:
    """SpikingJelly's own Spikformer."""
    from spikingjelly.activation_based.model.spikformer import Spikformer

    x = batch_of(sizes)
    torch.manual_seed(0)
    sides = {"img_size_h": x.shape[-2], "img_size_w": x.shape[-1]}
    model = Spikformer(T=4, patch_size=4, num_classes=10, **sides, **sizes.foreign).to(sizes.device)
    run = rivals.called(calibrated(model, x))
    title = f"{rivals.version()}'s Spikformer-{sizes.foreign['depths']}-{sizes.foreign['embed_dims']}"
    yield from profiles(f"{title}, batch {sizes.batch}", sizes, model, run, x, time_steps=4)


def steps_of(model: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor, bf16: bool) -> Callable[[], object]:
    """A training step: forwards, backwards and AdamW."""
    labels = torch.arange(len(x), device=x.device) % 10
    # So small that repeated steps leave the firing as it is.
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def work() -> None:
        optimiser.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            scores = run(x)
        F.cross_entropy(scores.float(), labels).backward()
        optimiser.step()

    return work


def step_rows(sizes: Sizes, settings: dict[str, tuple[bool, bool, bool]]) -> Iterator[Row]:
    """A row for each network and setting: bfloat16, channels-last, compiled."""
    for name in sizes.networks:
        x = batch_of(sizes)
        model = spiking_model(name, x).train()
        rival = rival_of(model, sizes)
        for setting, (bf16, channels_last, compiled) in settings.items():
            row = Row(f"training step, {name}, batch {sizes.batch}, {setting}")
            inputs = x.contiguous(memory_format=torch.channels_last) if channels_last else x
            works: list[Any] = []
            for one in (model, rival.model):
                if one is not None:
                    made = torch.compile(one, backend=sizes.compiler) if compiled else one
                    run = made if one is model else rivals.called(one, made)
                    works.append(steps_of(one, run, inputs, bf16))
            if compiled:
                row.note = f"our first step took {seconds(works[0]):.0f} s"
            yield against(row, sizes, works[0], rival, works[-1])


@part("training step", 45)
def training_step(sizes: Sizes) -> Iterator[Row]:
    """Forwards, backwards and AdamW, without a data set."""
    settings = {
        "fp32": (False, False, False),
        "bf16": (True, False, False),
        "channels-last": (False, True, False),
        "bf16, channels-last": (True, True, False),
    }
    yield from step_rows(sizes, settings)


@part("ImageNet", 45)
def imagenet(sizes: Sizes) -> Iterator[Row]:
    """Images a second, and memory, at 224 x 224."""
    name, size, batch = sizes.imagenet
    x = images(batch, size).to(sizes.device)
    ours = spiking_model(name, x, image_size=size, num_classes=1000)
    title = f"{name}, {size}x{size}, batch {batch}"
    rival = rival_of(ours, sizes)
    theirs: Any = rivals.called(rival.model) if rival.model is not None else None
    passed = passes(Row(f"forward, {title}"), sizes, ours, rival, theirs, x)
    for row in chain(passed, profiles(title, sizes, ours, ours, x)):
        if row.unit == "ms" and row.value is not None:
            row.unit, row.value = "images/s", 1e3 * batch / row.value
            row.reference = 1e3 * batch / row.reference if row.reference is not None else None
        yield row


@part("saformer train", 30)
def training_loop(sizes: Sizes) -> Iterator[Row]:
    """The whole loop of `saformer train`, with its data, the fastest step; against our own without a setting."""
    name, plain = sizes.networks[-1], None
    for setting in ("none", "--autocast bf16", "--channels-last", "both bf16 and channels-last"):
        changes = {"model": name, "batch_size": sizes.batch, **SETTINGS[setting]}
        took = 1e3 * seconds_per_step(changes, sizes.device, sizes.repeats + 2)
        plain = plain or took
        yield Row(
            f"step of `saformer train`, {name}, batch {sizes.batch}, {setting}", took, "ms", "ours, no setting", plain
        )


@part("torch.compile", 230)
def compiled_step(sizes: Sizes) -> Iterator[Row]:
    """The training step compiled; last, because nobody knows how long a compiler takes."""
    yield from step_rows(sizes, {f"fp32, torch.compile ({sizes.compiler})": (False, False, True)})
