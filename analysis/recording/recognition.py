"""Which modules are layers of neurons: recognised by what they put out over a whole run, not by their class."""

from collections import Counter as Tally
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import SPIKES_OF, Neurons, inside
from saformer.analysis.recording.batch_axis import Layouts
from saformer.analysis.recording.counters import Counter, Held
from saformer.analysis.recording.lineage import Provenance
from saformer.analysis.recording.storage_map import storage_id

# Where libraries define what all their spiking neurons descend from.
_LIBRARY_NEURONS = {("spikingjelly", "BaseNode"), ("spikingjelly", "SimpleBaseNode"), ("snntorch", "SpikingNeuron")}

_FEW, _MANY = 8, 64  # values that neurons may put out; elements that show whether they are so few by nature


def of_a_library(module: nn.Module) -> bool:
    """Whether a module is a layer of neurons of SpikingJelly or snnTorch."""
    bases = type(module).__mro__
    return any((base.__module__.partition(".")[0], base.__name__) in _LIBRARY_NEURONS for base in bases)


@dataclass
class _Candidate:
    """A module that may be a layer of neurons: its spikes, call by call, and what is known of it so far.

    Args:
        name: its path.
        certain: our own neurons, or those of a library: what they read says nothing, it may be silent, or spikes.
        operator: one operator, called in this module; whatever else the module does is its own.
        refuted: it put out something else than zeros and ones, holds weights, or goes around certain neurons.
        weighted: it holds weights all the same: neurons of a library with connections among themselves.
        compares: what it puts out is the answer to a comparison that it makes: a neuron, even one that never fires.
        fires: it put out a one.
        converts: it made zeros and ones of other values. (What reads spikes and puts out spikes may be a pool.)
        places: for each entry of `spikes`, what it read there; a module may be used in several places.
        function: it is no module, but a comparison in a function.
        levels: the few values that it made of many, if these were not 0 and 1 alone.
    """

    name: str
    certain: bool = False
    operator: bool = False
    function: bool = False
    refuted: bool = False
    weighted: bool = False
    compares: bool = False
    fires: bool = False
    converts: bool = False
    elements: int = 0
    spikes: list[Held] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    levels: tuple[float, ...] = ()
    calls: int = 0  # in this batch
    entries: int = 0  # in this batch

    @property
    def is_neuron(self) -> bool:
        return not self.refuted and (self.certain or self.compares or (self.fires and self.converts))

    def add(self, per_step: Tensor, elements: int, place: str) -> None:
        """One call: spikes at each of its steps."""
        self.elements += elements
        if len(per_step) > 1:  # all steps in one call: the next call starts again at the first
            place = f"{place}, call {self.calls}"
        for value in per_step:
            if self.entries < len(self.spikes):
                self.spikes[self.entries] = self.spikes[self.entries].plus(value)
            else:
                self.spikes.append(Held(value))
                self.places.append(place)
            self.entries += 1
        self.calls += 1

    @property
    def length(self) -> int:
        """Steps, if every place in which the module is used sees each step once."""
        uses = Tally(self.places)
        alike = len(set(uses.values())) == 1
        return next(iter(uses.values())) if alike else len(self.places)

    def per_step(self, steps: int) -> tuple[int, ...]:
        """Spikes at each of so many steps, all places together; call by call where they do not fit."""
        values = [int(value) for value in self.spikes]
        if len(values) == steps or len(values) % steps:
            return tuple(values)
        if self.length == steps:
            seen: Tally[str] = Tally()
            totals = [0] * steps
            for value, place in zip(values, self.places, strict=True):
                totals[seen[place]] += value
                seen[place] += 1
            return tuple(totals)
        uses = len(values) // steps
        return tuple(sum(values[i * uses : (i + 1) * uses]) for i in range(steps))


@dataclass(frozen=True)
class Decision:
    """What a run shows.

    Args:
        neurons: the layers of neurons.
        undecided: what may be one.
        steps: T.
        modules: the neurons that are modules as a whole, with all that happens inside.
        recurrent: those of them that hold weights.
        others: a library's neurons that put out other values than 0 and 1.
    """

    neurons: tuple[Neurons, ...]
    undecided: tuple[Neurons, ...]
    steps: int
    modules: frozenset[str] = frozenset()
    recurrent: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def neuron_of(self, paths: tuple[str, ...]) -> str | None:
        """The layer of neurons among modules that put out the same tensor."""
        return next((path for path in paths if path in self.modules), None)

    def holds(self, name: str, weighted: bool = False) -> bool:
        """Whether something happens inside a layer of neurons: it is the neurons' own arithmetic.

        What is `weighted` is not, where neurons are connected among themselves.
        """
        holding = self.modules | self.others
        return any(inside(name, path) for path in holding - (self.recurrent if weighted else frozenset()))


class Recognition:
    """Watches what modules put out, and decides at the end of a run what a layer of neurons is.

    A module without weights that puts out zeros and ones, and never anything else, is one, whoever wrote it, if it
    compares with a threshold, or was seen to make ones of other values. The outermost such module counts. Any other
    that only put out zeros, or only read zeros and ones, is undecided: it may be silent, or dead, or a pool.
    """

    def __init__(self, provenance: Provenance, counter: Counter, layouts: Layouts) -> None:
        self._provenance, self._counter, self._layouts = provenance, counter, layouts
        self._candidates: dict[str, _Candidate] = {}

    def start_batch(self) -> None:
        """Announce a forward pass."""
        for candidate in self._candidates.values():
            candidate.calls = candidate.entries = 0

    def book_operator(self, path: str, read: Tensor, spikes: Tensor) -> None:
        """Add the spikes of our own neurons, T x ..."""
        candidate = self._candidates.setdefault(path, _Candidate(path, certain=True, operator=True))
        self._add(candidate, read, spikes, steps=spikes.shape[0])

    def book_function(self, reader: str, spikes: Tensor, membrane: bool) -> None:
        """Add spikes that a comparison in a function puts out, and no module; named by the layer that reads."""
        name = f"{reader} (input)"
        candidate = self._candidates.setdefault(name, _Candidate(name, operator=True, function=True))
        candidate.compares |= membrane  # else it may be a gate or a mask: nothing that has fired was reset
        if not candidate.refuted:
            candidate.refuted = not self._add(candidate, spikes, spikes)

    def refute(self, path: str) -> None:
        """A module is no layer of neurons, whatever it puts out."""
        candidate = self._candidates.setdefault(path, _Candidate(path))
        candidate.refuted = not candidate.operator

    def watch(
        self, module: nn.Module, path: str, read: Tensor | None, put: Tensor | None, weighted: bool = False
    ) -> bool:
        """Look at one call of a module without weights, or of a library's neurons; whether it may be such a layer."""
        if read is None or put is None or not put.numel() or not (put.is_floating_point() or put.dtype == torch.bool):
            return False
        handed_on = storage_id(read) == storage_id(put) or self._counter.is_binary(put)
        if handed_on or not self._provenance.is_activation(put):
            return False
        candidate = self._candidates.setdefault(path, _Candidate(path, certain=of_a_library(module)))
        candidate.weighted |= weighted
        if candidate.refuted:
            return False
        with torch.utils._python_dispatch._disable_current_modes():
            if not self._counter.looks_binary(put) or not self._add(candidate, read, put):
                candidate.refuted = True
                candidate.levels = _levels(put) if not _levels(read) else ()
                return False
            candidate.converts = candidate.converts or not self._counter.holds_binary(read)
        before, after = self._provenance.source(read), self._provenance.source(put)
        spikes = before is None or before.threshold or before.passed or before.name.startswith(SPIKES_OF)
        candidate.compares |= after is not None and after.threshold and not spikes
        return True

    def _add(self, candidate: _Candidate, read: Tensor, spikes: Tensor, steps: int | None = None) -> bool:
        """Add spikes, step by step: T x B x ..., T*B x ..., or one step of a loop, B x ...; False if they are none."""
        layout = self._layouts.of((f"neurons {candidate.name}", 0), spikes.shape)
        steps = steps or layout.steps
        rows = layout.rows if layout.rows % steps == 0 else steps if spikes.shape[0] % steps == 0 else 1
        nonzero, ones = self._counter.count(spikes, rows)
        if not self._counter.is_binary(spikes):
            fired = int(ones)
            if int(nonzero.sum()) != fired:
                return False
            candidate.fires |= fired > 0
        source = self._provenance.source(read)
        per_step = nonzero.view(steps if rows % steps == 0 else 1, -1).sum(1)
        candidate.add(per_step, spikes.numel(), source.name if source else "")
        return True

    def decide(self, time_steps: int | None) -> Decision:
        """The decision over all batches so far.

        Args:
            time_steps: T, if somebody said.
        """
        others = frozenset(c.name for c in self._candidates.values() if c.certain and c.refuted)
        found = [c for c in self._candidates.values() if c.is_neuron]
        found = [c for c in found if not any(inside(c.name, path) for path in others)]
        # Of nested ones the outermost counts.
        found = [c for c in found if not any(o is not c and not o.operator and inside(c.name, o.name) for o in found)]
        modules = frozenset(c.name for c in found if not c.operator)
        open_ = [c for c in self._candidates.values() if not (c.refuted or c.is_neuron or c.function) and c.spikes]
        open_ = [c for c in open_ if not any(inside(c.name, path) for path in modules)]
        steps = time_steps or _steps(found)
        return Decision(
            tuple(Neurons(c.name, c.elements, c.per_step(steps)) for c in found),
            tuple(Neurons(c.name, c.elements, c.per_step(time_steps or _steps(found or open_))) for c in open_),
            steps,
            modules,
            frozenset(c.name for c in self._candidates.values() if c.weighted),
            others,
        )

    def graded(self) -> dict[str, tuple[float, ...]]:
        """Modules that made few values of many, others than 0 and 1 alone, and what these were."""
        return {c.name: c.levels for c in self._candidates.values() if c.levels}


def _levels(x: Tensor) -> tuple[float, ...]:
    """The values of `x` if they are few, at a glance."""
    values = x.flatten()[:: max(x.numel() // 1024, 1)].unique()
    return tuple(map(float, values)) if len(values) <= _FEW and x.numel() >= _MANY else ()


def _steps(candidates: list[_Candidate]) -> int:
    """T, from how often neurons were run: what most of them show; of several, the smallest above one."""
    lengths = [len(c.places) for c in candidates if len(set(c.places)) == 1] or [c.length for c in candidates]
    tally = Tally(lengths)
    most = [length for length, count in tally.items() if count == max(tally.values())]
    return min((length for length in most if length > 1), default=1)
