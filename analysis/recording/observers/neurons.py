"""Layers of neurons: a listing of what fires, step by step. No charge of a synaptic operation hangs on it.

A module is one if the spikes that it puts out begin inside it, and no weights work there; the outermost such module
counts. Spikes that begin in a function are listed by the layer that reads them. Neurons of libraries, and our own, are
so by their class or their operator, whatever they put out.
"""

import weakref
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from saformer.analysis.profiles import SPIKES_OF, Neurons, Values, inside
from saformer.analysis.profiles.values import MOST_LEVELS
from saformer.analysis.recording.batch_axis import Layout
from saformer.analysis.recording.counters import Held
from saformer.analysis.recording.execution import Execution, Instruments
from saformer.analysis.recording.lineage import Evidence, Source
from saformer.analysis.recording.module_paths import Frame, of_torch
from saformer.analysis.recording.operators import Kind
from saformer.analysis.recording.storage_map import storage_id, tensors_in
from saformer.errors import InputError

# Where libraries define their spiking neurons.
_LIBRARY_NEURONS = ("spikingjelly.activation_based.neuron.", "spikingjelly.clock_driven.neuron", "snntorch._neurons.")


def of_a_library(module: nn.Module) -> bool:
    """Whether a module is a layer of neurons of SpikingJelly or snnTorch."""
    return any(f"{base.__module__}.".startswith(_LIBRARY_NEURONS) for base in type(module).__mro__)


@dataclass
class Candidate:
    """What may be a layer of neurons: its spikes, call by call, and what is known of it so far.

    Args:
        name: its path.
        library: neurons of a library, or our own.
        operator: one operator, called in this module; whatever else the module does is its own.
        function: it is no module, but a comparison in a function; the modules in which its spikes begin.
        refuted: it put out something else than few levels, or an operation ran inside.
        weighted: it holds weights all the same: neurons of a library with connections among themselves.
        places: for each entry of `spikes`, what it read there; a module may be used in several places.
    """

    name: str
    library: bool = False
    operator: bool = False
    function: frozenset[str] = frozenset()
    refuted: bool = False
    weighted: bool = False
    elements: int = 0
    spikes: list[Held] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    values: Values = field(default_factory=Values)
    calls: int = 0  # in this batch
    entries: int = 0  # in this batch

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
        if len(values) < steps:  # several in one call, in an order that nobody knows
            return (sum(values),)
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
        layers: the layers of neurons.
        steps: T, as far as they show it.
        modules: the neurons that are modules as a whole, with all that happens inside.
        recurrent: those of them that hold weights.
        others: a library's neurons that put out more than few levels.
        graded: layers that put out whole multiples of a unit, and the largest.
        ternary: layers that put out spikes of both signs.
    """

    layers: tuple[Neurons, ...]
    steps: int
    modules: frozenset[str] = frozenset()
    recurrent: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    graded: dict[str, int] = field(default_factory=dict)
    ternary: tuple[str, ...] = ()

    def neuron_of(self, paths: tuple[str, ...]) -> str | None:
        """The layer of neurons among modules that put out the same tensor."""
        return next((path for path in paths if path in self.modules), None)

    def began_in(self, births: frozenset[str]) -> str:
        """The layer of neurons in which spikes began; empty for several, or none that is listed."""
        found = {n.name for n in self.layers if any(inside(path, n.name) for path in births)}
        return found.pop() if len(found) == 1 else ""

    def holds(self, name: str, weighted: bool = False) -> bool:
        """Whether something happens inside a layer of neurons: it is the neurons' own arithmetic.

        What is `weighted` is not, where neurons are connected among themselves.
        """
        holding = self.modules | self.others
        return any(inside(name, path) for path in holding - (self.recurrent if weighted else frozenset()))


class NeuronListing:
    """Watches what operators and modules put out, and says at the end of a run what the layers of neurons are."""

    def __init__(self, instruments: Instruments, declared: Sequence[str] = ()) -> None:
        """Watch.

        Args:
            instruments: what observers share.
            declared: patterns of paths: these modules are layers of neurons, whatever they put out.

        Raises:
            InputError: a pattern matches no module.
        """
        self._instruments = instruments
        self._declared: set[str] = set()
        for pattern in declared:
            paths = {path for path in instruments.paths.modules if fnmatchcase(path, pattern)}
            if not paths:
                raise InputError(f"--neurons {pattern} matches no module of the model: see `saformer summary`")
            self._declared |= paths
        self._candidates: dict[str, Candidate] = {}
        self._seen: set[tuple[int, int]] = set()  # spikes of functions, this batch
        self._pooled: dict[int, weakref.ref[Tensor]] = {}  # what a pool read, by the token of its result, this batch

    def start_batch(self) -> None:
        """Announce a forward pass."""
        self._seen.clear()
        self._pooled.clear()
        for candidate in self._candidates.values():
            candidate.calls = candidate.entries = 0

    # -- operators ---------------------------------------------------------------------------------------------------

    def before(self, execution: Execution) -> None:
        """Our own layer of neurons reads its current."""
        if execution.operator is not None and execution.operator.kind is Kind.NEURON:
            where = execution.path or "of the model"
            self._instruments.finite.watch(execution.args[0], f"the input of the neurons {where} holds")

    def after(self, execution: Execution) -> None:
        """It has fired; or something was pooled."""
        operator, out = execution.operator, execution.out
        if operator is None:
            for x in tensors_in((out,)):
                if (source := self._instruments.lineage.source(x)) is not None and x.numel():
                    self._vouch(x, source)
            return
        if operator.kind is Kind.NEURON:
            instruments, path = self._instruments, execution.path
            instruments.counter.mark_binary(out)
            instruments.lineage.fire(execution.args[0], out, path, f"{SPIKES_OF}{path}")
            candidate = self._candidates.setdefault(path, Candidate(path, library=True, operator=True))
            self._add(candidate, execution.args[0], out, None, steps=out.shape[0])
            instruments.paths.current.certain = True
        elif operator.pool and isinstance(out, Tensor) and (pooled := self._instruments.lineage.source(out)):
            self._pooled[pooled.token] = weakref.ref(execution.args[0])

    def book_reader(self, reader: str, x: Tensor, source: Source) -> None:
        """A layer reads `x`: spikes that began in a function, and in no module of their own, are listed by its name."""
        if source.token in self._pooled and (spikes := self._pooled[source.token]()) is not None:
            x, source = spikes, self._instruments.lineage.source(spikes) or source  # as long as the model keeps them
        if source.evidence is not Evidence.SPIKES or not source.births or not source.converts or source.passed:
            return
        if (source.token, x.numel()) in self._seen:
            return
        self._seen.add((source.token, x.numel()))
        name = f"{reader} (input)"
        candidate = self._candidates.setdefault(name, Candidate(name, operator=True, function=source.births))
        if not candidate.refuted and self._few(x, source):
            self._add(candidate, x, x, source)
        else:
            candidate.refuted = True

    # -- modules -----------------------------------------------------------------------------------------------------

    def leave_module(self, frame: Frame, args: Any, put: Tensor) -> None:
        """Look at what a module puts out."""
        library = frame.path in self._declared or of_a_library(frame.module)
        certain, frame.certain = frame.certain, frame.certain or library
        if (frame.weighted or certain) and not library:
            candidate = self._candidates.setdefault(frame.path, Candidate(frame.path))
            candidate.refuted = not candidate.operator
            return
        read, source = next(tensors_in(args), None), self._instruments.lineage.source(put)
        if of_torch(frame.module) or read is None or source is None or not put.numel():
            return
        if storage_id(read) == storage_id(put) or self._instruments.counter.is_binary(put):
            return  # handed on
        begins = source.evidence is Evidence.SPIKES and all(inside(path, frame.path) for path in source.births)
        if not library and not (begins and source.births):
            return
        candidate = self._candidates.setdefault(frame.path, Candidate(frame.path, library=library))
        candidate.weighted |= frame.weighted
        if candidate.refuted or not self._few(put, source):
            candidate.refuted = True
            return
        self._instruments.finite.watch(read, f"the input of the neurons in {frame.path or 'the model'} holds")
        self._add(candidate, read, put, source)
        self._instruments.lineage.set_source(put, replace(source, passed=(frame.path, *source.passed)))
        self._vouch(put, source)

    def _vouch(self, x: Tensor, source: Source) -> None:
        """What comes out of a kernel that was not seen is a spike train if its values say so: sums of it are sums."""
        if source.evidence is not Evidence.SPIKES or source.linear:
            return
        seen = self._instruments.meter.measure(x, source, 1 if x.ndim > 3 else -1)
        if seen.channels or (seen.multiples and seen.levels <= MOST_LEVELS):
            known = self._instruments.lineage.source(x) or source
            self._instruments.lineage.set_source(x, replace(known, linear=True))

    def _few(self, x: Tensor, source: Source) -> bool:
        """Whether `x` holds few levels, as spikes do."""
        if self._instruments.counter.is_binary(x):
            return True
        seen = self._instruments.meter.measure(x, source, 1 if x.ndim > 3 else -1)
        return seen.evidence != "real" and (seen.multiples or bool(seen.channels))

    def _add(
        self, candidate: Candidate, read: Tensor, spikes: Tensor, source: Source | None, steps: int | None = None
    ) -> None:
        """Add spikes, step by step: T x B x ..., T*B x ..., or one step of a loop, B x ..."""
        if source is not None and not self._instruments.counter.is_binary(spikes):
            candidate.values = candidate.values.join(self._instruments.meter.measure(spikes, source, -1))
        layout = self._instruments.layouts.of((f"neurons {candidate.name}", 0), spikes.shape, x=spikes)
        if steps is not None and not (layout.apart and layout.steps == steps):
            layout = Layout(steps, spikes.shape[0] // steps)  # our own neurons get time first
        nonzero, _ = self._instruments.counter.count(spikes, layout.rows)
        origin = self._instruments.lineage.source(read)
        candidate.add(layout.per_step(nonzero), spikes.numel(), origin.name if origin else "")

    # -- the answer --------------------------------------------------------------------------------------------------

    def decide(self, time_steps: int | None) -> Decision:
        """What all batches so far show.

        Args:
            time_steps: T, if somebody said.
        """
        every = self._candidates.values()
        others = frozenset(c.name for c in every if c.library and c.refuted)
        found = [c for c in every if not c.refuted and not any(inside(c.name, path) for path in others)]
        # Of nested ones the outermost counts.
        found = [c for c in found if not any(o is not c and not o.operator and inside(c.name, o.name) for o in found)]
        modules = frozenset(c.name for c in found if not c.operator)
        own = [c.name for c in found if not c.function]
        found = [
            c for c in found if not c.function or not all(any(inside(b, path) for path in own) for b in c.function)
        ]
        steps = time_steps or _steps(found)
        return Decision(
            tuple(Neurons(c.name, c.elements, c.per_step(steps)) for c in found),
            steps,
            modules,
            frozenset(c.name for c in every if c.weighted),
            others,
            {c.name: c.values.levels for c in found if c.values.multiples and c.values.magnitudes > 1},
            tuple(c.name for c in found if c.values.negative and c.values.magnitudes == 1),
        )


def _steps(candidates: list[Candidate]) -> int:
    """T, from how often neurons were run: what most of them show; of several, the smallest above one."""
    lengths = [len(c.places) for c in candidates if len(set(c.places)) == 1] or [c.length for c in candidates]
    tally = Tally(lengths)
    most = [length for length, count in tally.items() if count == max(tally.values())]
    return min((length for length in most if length > 1), default=1)
