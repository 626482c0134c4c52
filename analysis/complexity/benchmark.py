"""Time and peak memory of the real modules over N and over D, on this machine, in one run.

First every size runs once, smallest first: for its peak memory, and to warm up. Then all sizes of all attentions are
timed in rounds, each round in another random order, so that a slow moment of the machine hits them all alike.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from sympy import Symbol
from torch import Tensor, nn

from saformer.analysis.complexity.fitting import TIMES_OVERHEAD, Fit, fit_scaling
from saformer.analysis.complexity.formulas import Attention, D, N, Sizes, attentions
from saformer.analysis.complexity.peak_memory import available_bytes, peak_bytes
from saformer.analysis.complexity.verify import build_module, random_input

BYTES = 4  # of a float32
# What is held at the peak over what the formula counts, before any size of an attention has shown it; and the share of
# the free memory that a size may need.
_FIRST_RATIO, _MARGIN, _USABLE = 8.0, 1.25, 0.8
_FEWEST, _MOST = 5, 50  # repeats
_SHORT = 0.05  # seconds; below this a pass runs once untimed, so that the one before it has not emptied the caches
_NOMINAL = 1e10  # operations per second, for the first guess of the time left

AXES: dict[str, Symbol] = {"tokens": N, "dim": D}


@dataclass
class Point:
    """One attention at one size, and what was measured there.

    Args:
        attention: which.
        axis: the size that varies in its series, "tokens" or "dim".
        sizes: all sizes.
        seconds: of each timed pass.
        peak: bytes that a pass adds at its peak.
        skipped: why it was not measured.
    """

    attention: Attention
    axis: str
    sizes: Sizes
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None
    skipped: str | None = None

    @property
    def size(self) -> int:
        """N or D."""
        return int(getattr(self.sizes, self.axis))

    @property
    def time(self) -> float | None:
        """Seconds of the fastest pass: whatever else the machine does only ever adds to it."""
        return min(self.seconds, default=None)

    @property
    def held(self) -> int:
        """Bytes of the matrices in the formula for the space."""
        return BYTES * self.attention.elements(self.sizes)


@dataclass(frozen=True)
class Measurement:
    """All points of a run, the cost of calling each module, and where it ran.

    Args:
        points: measured or skipped.
        overhead: seconds of one pass at N = n = 1 and D = H, by attention.
        device: where it ran.
        threads: of PyTorch, on a CPU.
    """

    points: tuple[Point, ...]
    overhead: dict[str, float]
    device: str
    threads: int

    @property
    def attentions(self) -> list[Attention]:
        """Those that have points, in the order of the tables."""
        found = {point.attention.key for point in self.points}
        return [attention for key, attention in attentions().items() if key in found]

    def series(self, attention: Attention, axis: str) -> list[Point]:
        """The points of one attention over one size, smallest first."""
        chosen = [p for p in self.points if p.attention.key == attention.key and p.axis == axis]
        return sorted(chosen, key=lambda point: point.size)

    def time_fit(self, attention: Attention, axis: str) -> Fit:
        """The exponent of the time, over sizes at which computing outweighs calling."""
        points = [(p.size, p.sizes, p.time) for p in self.series(attention, axis) if p.time is not None]
        least = TIMES_OVERHEAD * self.overhead[attention.key]
        return fit_scaling(attention.time(), AXES[axis], points, least)

    def memory_fit(self, attention: Attention, axis: str) -> Fit:
        """The exponent of the peak memory."""
        points = [(p.size, p.sizes, float(p.peak)) for p in self.series(attention, axis) if p.peak]
        return fit_scaling(attention.space, AXES[axis], points)


def measure(
    attentions: Sequence[Attention],
    over_tokens: Sequence[Sizes],
    over_dim: Sequence[Sizes],
    seconds: float = 1.0,
    device: torch.device | None = None,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Measurement:
    """Measure the attentions over N and over D.

    Args:
        attentions: which.
        over_tokens: sizes of the series over N.
        over_dim: sizes of the series over D.
        seconds: time for repeats of each size; it is repeated at least five times, at most fifty.
        device: where; default the CPU.
        seed: of weights, inputs and the order of the passes.
        progress: called now and then with the share of the work that is done, from 0 to 1.
    """
    device = device or torch.device("cpu")
    series = [("tokens", sizes) for sizes in over_tokens] + [("dim", sizes) for sizes in over_dim]
    points = [Point(attention, axis, sizes) for axis, sizes in series for attention in attentions]
    points.sort(key=lambda point: point.held)
    done = _Done(points, seconds, progress or (lambda share: None))
    with torch.inference_mode():
        overhead = {a.key: _overhead(a, points[0].sizes if points else Sizes(), device) for a in attentions}
        ratios: dict[str, float] = {}
        prepared: _Prepared = {}
        for point in points:
            _first_pass(point, prepared, ratios, device, seed)
            done.passed(point)
        _rounds([p for p in points if p.skipped is None], prepared, seconds, seed, done.report)
    return Measurement(tuple(points), overhead, str(device), torch.get_num_threads())


_Prepared = dict[int, tuple[nn.Module, Tensor]]  # of each point, by its id


def _run(module: nn.Module, x: Tensor) -> float:
    start = time.perf_counter()
    module(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start


def _prepare(point: Point, device: torch.device, seed: int) -> tuple[nn.Module, Tensor]:
    return (
        build_module(point.attention, point.sizes, seed).to(device),
        random_input(point.attention, point.sizes, seed=seed).to(device),
    )


def _overhead(attention: Attention, sizes: Sizes, device: torch.device) -> float:
    """Seconds of one pass that computes next to nothing."""
    smallest = replace(sizes, tokens=1, aggregated=1, dim=sizes.heads)
    module, x = _prepare(Point(attention, "tokens", smallest), device, 0)
    _run(module, x)
    return min(_run(module, x) for _ in range(_MOST))


@contextmanager
def _in_memory(point: Point) -> Iterator[None]:
    """Where the memory does not suffice after all, the point is skipped; other errors are errors."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        point.skipped, point.peak = "out of memory", None
        point.seconds.clear()


def _first_pass(point: Point, prepared: _Prepared, ratios: dict[str, float], device: torch.device, seed: int) -> None:
    """Peak memory, unless the size will not fit: by the formula, times what smaller sizes held over it."""
    key = point.attention.key
    needed = point.held * _MARGIN * ratios.get(key, _FIRST_RATIO)
    free = available_bytes(device)
    if free is not None and needed > _USABLE * free:
        point.skipped = f"needs about {needed / 2**30:.3g} GiB, {free / 2**30:.3g} GiB are free"
        return
    with _in_memory(point):
        module, x = prepared[id(point)] = _prepare(point, device, seed)
        point.peak = peak_bytes(lambda: module(x), device)
        ratios[key] = max(ratios.get(key, 0.0), point.peak / point.held)
    if point.skipped is not None:
        prepared.pop(id(point), None)


def _rounds(
    points: Sequence[Point], prepared: _Prepared, seconds: float, seed: int, report: Callable[[], None]
) -> None:
    """Time every point until its repeats have used up their time."""
    shuffle = random.Random(seed)
    open_points = list(points)
    while open_points:
        shuffle.shuffle(open_points)
        for point in open_points:
            with _in_memory(point):
                work, before = prepared[id(point)], point.time
                if before is None or before < _SHORT:
                    _run(*work)
                point.seconds.append(_run(*work))
            report()
        open_points = [p for p in open_points if p.skipped is None and _wants_more(p.seconds, seconds)]


def _wants_more(times: list[float], seconds: float) -> bool:
    return len(times) < _FEWEST or (sum(times) < seconds and len(times) < _MOST)


class _Done:
    """How much of the work is done: guessed from the formulas, then from the first times."""

    def __init__(self, points: Sequence[Point], seconds: float, tell: Callable[[float], None]) -> None:
        self._budget, self._tell = seconds, tell
        self._first = {id(p): self._guess(p) for p in points}
        self._first_done = 0.0
        self._points = list(points)

    @staticmethod
    def _guess(point: Point) -> float:
        return point.attention.count(point.sizes) / _NOMINAL + 0.01

    def _repeats(self, point: Point) -> float:
        """Seconds that the repeats of a point take in all."""
        one = point.time or self._first[id(point)]
        return max(_FEWEST * one, min(self._budget, _MOST * one))

    def report(self) -> None:
        """Tell the share that is done."""
        open_points = [p for p in self._points if p.skipped is None]
        total = sum(self._first.values()) + sum(self._repeats(p) for p in open_points)
        timed = sum(min(math.fsum(p.seconds), self._repeats(p)) for p in open_points)
        self._tell((self._first_done + timed) / total if total else 1.0)

    def passed(self, point: Point) -> None:
        """A point has had its first pass, or was skipped."""
        self._first_done += self._first[id(point)]
        self.report()
