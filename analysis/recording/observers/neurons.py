"""Layers of neurons: a listing of what fires, step by step. No charge of a synaptic operation hangs on it.

A module is one if the spikes that it puts out begin inside it, and no weights work there; the outermost such module
counts. Spikes that begin in a function are listed by the layer that reads them. Neurons of libraries, and our own, are
so by their class or their operator, whatever they put out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from torch import Tensor

from saformer.analysis.profiles import SPIKES_OF, inside
from saformer.analysis.recording.beforehand.batch_axis import Layout
from saformer.analysis.recording.module_paths import of_torch
from saformer.analysis.recording.observers.functional_spikes import (
    Fired,
    FunctionalSpikes,
    of_few_levels,
    spike_layout,
    spikes_counted,
)
from saformer.analysis.recording.observers.neuron_candidates import (
    Candidate,
    Decision,
    decision_of,
    judged,
    matching,
    of_a_library,
)
from saformer.analysis.recording.operations.execution import (
    Execution,
    Exit,
    Instruments,
    Ran,
    no_booking,
    tensors_of,
)
from saformer.analysis.recording.operations.operators import Effect, Kind, Operator
from saformer.analysis.recording.origins.sources import Provenance, Source, replace
from saformer.analysis.recording.origins.storage_map import Place, storage_id


@dataclass(frozen=True)
class Listed:
    """A call of a module that may be a layer of neurons.

    Args:
        candidate: it.
        layout: where images and steps are in what it put out.
        source: where that comes from.
        origin: where what it read comes from.
        looped: the dimension over which it was seen to loop is as long; 0 for none.
    """

    candidate: Candidate
    layout: Layout
    source: Source
    origin: Source | None
    looped: int


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
        self._declared = matching(instruments.paths.names, declared)
        self._candidates: dict[str, Candidate] = {}
        self.functional = FunctionalSpikes(instruments, self._candidates)

    def start_batch(self) -> None:
        """Announce a forward pass."""
        self.functional.start_batch()
        for candidate in self._candidates.values():
            candidate.calls = candidate.entries = 0

    def before(self, execution: Execution) -> None:
        """Count spikes that are about to be added or pooled."""
        self.functional.before(execution)

    def after(self, execution: Execution) -> None:
        """Book the spikes of our own neurons, and check their input current."""
        operator = execution.operator
        if operator is None or (operator.kind is Kind.THRESHOLD and operator.listed):
            rounded = operator is not None
            for x in execution.results:
                if self._is_open(x, rounded) is not None:
                    self._instruments.lineage.postpone(x, partial(self._judge, rounded=rounded))
        if operator is None:
            return
        if operator.kind is Kind.THRESHOLD and not operator.listed:
            self._instruments.paths.current.comparisons += 1
        if operator.kind is Kind.NEURON:
            self._watch_own(execution, operator)

    def _watch_own(self, execution: Execution, operator: Operator) -> None:
        """Book the spikes of our own neurons."""
        instruments, path, out, read = self._instruments, execution.path, execution.out, execution.args[0]
        real = operator.effect is Effect.REAL
        instruments.lineage.fire(read, out, path, f"{SPIKES_OF}{path}", real)
        candidate = self._candidates.setdefault(path, Candidate(path, library=True, operator=True))
        # What is known to be spikes, or to be no spikes, is not measured.
        source = None if operator.binary or real else instruments.lineage.source(out)
        origin = instruments.lineage.source(read)
        layout = spike_layout(instruments, path, out, steps=out.shape[0])

        def look(ran: Ran) -> Callable[[], object]:
            fired = ran.fired
            if fired is None or not fired.finite:
                instruments.finite.watch(ran.args[0], f"the input of the neurons {path or 'of the model'} holds")
            if operator.binary:
                instruments.counter.mark_binary(ran.out)
            if fired is not None and fired.counts is not None:
                instruments.looks.learn(ran.out, fired.counts.flatten(), fired.words, fired.use)
            seen = spikes_counted(instruments, layout, ran.out, source)

            def book() -> None:
                fired = seen()
                if source is None or self._fires(candidate, fired):
                    self._book(candidate, fired, origin, source is not None)

            return book

        execution.look(look)
        instruments.paths.current.certain = True

    def leave_module(self, ended: Exit) -> None:
        """Look at what a module puts out."""
        frame, (read,), result = ended.frame, ended.args, ended.out
        library = frame.path in self._declared or of_a_library(frame.module)
        certain, frame.certain = frame.certain, frame.certain or library
        if (frame.weighted or certain) and not library:
            candidate = self._candidates.get(frame.path)
            if candidate is None:
                candidate = self._candidates[frame.path] = Candidate(frame.path)
            candidate.refuted = not candidate.operator
            return
        source = self._instruments.lineage.source(result)
        declared = frame.path in self._declared
        if read is None or source is None or not result.numel() or (of_torch(frame.module) and not declared):
            return
        if declared and source.provenance is not Provenance.SPIKES:  # whatever its values are
            births = frozenset({frame.path})
            source = replace(source, provenance=Provenance.SPIKES, linear=True, births=births, converts=True)
            self._instruments.lineage.set_source(result, source)
        if storage_id(read) == storage_id(result) or self._instruments.counter.is_binary(result):
            return  # handed on
        begins = source.provenance is Provenance.SPIKES and all(inside(path, frame.path) for path in source.births)
        if not library and not (begins and source.births):
            return
        candidate = self._candidates.setdefault(frame.path, Candidate(frame.path, library=library))
        candidate.weighted |= frame.weighted
        if candidate.refuted:
            return
        looped = frame.comparisons if frame.comparisons > 1 and frame.comparisons in result.shape else 0
        layout = spike_layout(self._instruments, candidate.name, result)
        listed = Listed(candidate, layout, source, self._instruments.lineage.source(read), looped)
        fires, book = self._seen(listed, result)
        candidate.refuted = not fires()
        if candidate.refuted:
            return
        self._check(frame.path, read)
        book()
        ended.looks.append(partial(self._look, listed))
        self._instruments.lineage.set_source(result, replace(source, passed=(frame.path, *source.passed)))
        self._judge(result)

    def _look(self, listed: Listed, ended: Ran) -> Callable[[], None]:
        """Look at the spikes that a module put out in another batch, and check what it read."""
        if listed.candidate.refuted:
            return no_booking
        fires, book = self._seen(listed, ended.out)
        ended.expect(fires)
        self._check(listed.candidate.name, ended.args[0])
        return book

    def _check(self, path: str, read: Tensor) -> None:
        """The input of neurons must be finite."""
        if not self._instruments.bounds.prove(read):
            self._instruments.finite.watch(read, f"the input of the neurons in {path or 'the model'} holds")

    def _seen(self, listed: Listed, spikes: Tensor) -> tuple[Callable[[], bool], Callable[[], None]]:
        """Look at what a module put out: what tells whether it is spikes, and what books them."""
        candidate = listed.candidate
        seen = cache(spikes_counted(self._instruments, listed.layout, spikes, listed.source))

        def book() -> None:
            self._book(candidate, seen(), listed.origin, measured=True)
            if listed.looped:
                candidate.looped[listed.looped] += 1

        return lambda: self._fires(candidate, seen()), book

    def _judge(self, x: Tensor, rounded: bool = False) -> None:
        """Look at what an unseen kernel put out, or a rounding: on few levels it is spikes, and sums of it are sums of
        spikes; what was rounded to many levels is a real number still.

        Args:
            x: the tensor.
            rounded: it was rounded.
        """
        source = self._is_open(x, rounded)
        if source is None:
            return
        decided = self._decide(source, rounded, x)
        self._instruments.lineage.set_source(x, decided)
        # In the next batch it is looked at when the same asks for it: somebody may have written there before.
        asking = self._instruments.asking
        given = [] if asking is None else [storage_id(y) for y in tensors_of(asking)]
        if asking is None or storage_id(x) not in given or asking.writes:
            self._instruments.judge()
        else:
            place = given.index(storage_id(x))
            asking.looks.append(partial(self._expect, source, rounded, decided, Place(x), place))

    def _decide(self, source: Source, rounded: bool, x: Tensor) -> Source:
        return judged(source, self._instruments.meter.measure(x, source, 1 if x.ndim > 3 else -1), rounded)

    def _expect(
        self, source: Source, rounded: bool, decided: Source, place: Place, among: int, ran: Ran
    ) -> Callable[[], None]:
        """The values of what somebody asks for say the same again."""
        given = tensors_of(ran)
        x = place.shown_by(given[among]) if among < len(given) else None
        again = x is not None and self._decide(source, rounded, x) == decided
        ran.expect(lambda: again)
        return no_booking

    def _is_open(self, x: Tensor, rounded: bool) -> Source | None:
        """Where a tensor comes from that may or may not be spikes, as its values say; None of any other."""
        source = self._instruments.lineage.source(x)
        if source is None or source.provenance is not Provenance.SPIKES or not x.numel():
            return None
        return None if source.linear and not rounded else source

    def _book(self, candidate: Candidate, fired: Fired, origin: Source | None, measured: bool) -> None:
        """Add spikes, step by step.

        Args:
            candidate: whose they are.
            fired: what was seen of them.
            origin: where what it read comes from.
            measured: their values were looked at.
        """
        if measured:
            candidate.values = candidate.values.join(fired.values)
        candidate.add(fired.per_step, fired.elements, origin.name if origin else "")

    def _fires(self, candidate: Candidate, fired: Fired) -> bool:
        """Whether what was seen is spikes, or is said to be."""
        return of_few_levels(fired.values) or candidate.name in self._declared

    def decide(self, time_steps: int | None) -> Decision:
        """What all batches so far show.

        Args:
            time_steps: T, if somebody said.
        """
        return decision_of(self._candidates.values(), time_steps)
