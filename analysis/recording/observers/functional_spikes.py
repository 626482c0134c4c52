"""Spikes that begin in a function, and in no module of their own: listed by the layer that reads them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from torch import Tensor

from saformer.analysis.profiles import Values
from saformer.analysis.recording.beforehand.batch_axis import Layout
from saformer.analysis.recording.observers.neuron_candidates import Candidate
from saformer.analysis.recording.operations.execution import Execution, Instruments, Ran, tensors_of
from saformer.analysis.recording.operations.operators import Kind, Role
from saformer.analysis.recording.origins.sources import Provenance, Source, gathers


@dataclass(frozen=True)
class Fired:
    """What a tensor of spikes shows.

    Args:
        per_step: spikes at each step that it holds.
        elements: of the tensor.
        values: what was seen of them.
        births: modules in which they began.
        place: what they are the result of.
        looped: a dimension as long as there were comparisons in which they began; 0 for none.
    """

    per_step: Tensor
    elements: int
    values: Values
    births: frozenset[str] = frozenset()
    place: str = ""
    looped: int = 0


def spike_layout(instruments: Instruments, name: str, spikes: Tensor, steps: int | None = None) -> Layout:
    """Where images and steps are in the spikes of a layer: T x B x ..., T*B x ..., or one step of a loop, B x ...

    Args:
        instruments: what observers share.
        name: of the layer.
        spikes: what it put out.
        steps: T of our own neurons, which get time first.
    """
    layout = instruments.layouts.of((f"neurons {name}", 0), spikes.shape, x=spikes)
    if steps is not None and not (layout.apart and layout.steps == steps):
        layout = Layout(steps, spikes.shape[0] // steps)
    return layout


def spikes_counted(
    instruments: Instruments, layout: Layout, spikes: Tensor, source: Source | None
) -> Callable[[], Fired]:
    """Count spikes step by step: they are looked at now, and what was seen is put in order when it is asked for.

    Args:
        instruments: what observers share.
        layout: where images and steps are.
        spikes: what a layer put out.
        source: where they come from; None for our own neurons, which put out nothing else.
    """
    counted, elements = instruments.counter.counted(spikes, layout.rows), spikes.numel()
    values: Callable[[], Values] = Values
    if source is not None:
        values = instruments.meter.values_of(spikes, source, 1 if spikes.ndim > 3 else -1, counted)
    return lambda: Fired(layout.per_step(counted()[0]), elements, values())


def of_few_levels(values: Values) -> bool:
    """Spikes: whole multiples of a unit, or one magnitude in each channel."""
    return values.provenance != "real" and (values.multiples or bool(values.channels))


def _in_a_function(source: Source | None) -> bool:
    return (
        source is not None
        and source.provenance is Provenance.SPIKES
        and bool(source.births)
        and source.converts
        and not source.passed
    )


class FunctionalSpikes:
    """Counts what fired before it is pooled, added or multiplied, and lists it under the layer that reads the result.

    A sum is no layer of neurons: what it is a sum of is.
    """

    def __init__(self, instruments: Instruments, candidates: dict[str, Candidate]) -> None:
        self._instruments, self._candidates = instruments, candidates
        self._listed: set[tuple[int, int]] = set()  # this batch
        self._fired: dict[int, Fired] = {}  # what went into a sum, by token, this batch

    def start_batch(self) -> None:
        """Announce a forward pass."""
        self._listed.clear()
        self._fired.clear()

    def before(self, execution: Execution) -> None:
        """Count spikes that an operator is about to make one thing of."""
        operator = execution.operator
        if operator is None or not (operator.sums or operator.kind in _JOINING or operator.role in _ADDING):
            return
        lineage = self._instruments.lineage
        if not any(_in_a_function(lineage.whole(x)) for x in execution.inputs):
            return
        known = [(x, source) for x in execution.inputs if (source := lineage.source(x)) is not None]
        if operator.kind is Kind.SYNAPTIC:
            joins = sum(source.provenance is Provenance.SPIKES for _, source in known) > 1
        else:
            joins = gathers(operator, [source for _, source in known])
        for x, source in known if joins else ():
            if _in_a_function(source) and not source.summed and source.fired not in self._fired:
                keep = partial(self._fired.__setitem__, source.fired)
                self._look(execution, spike_layout(self._instruments, "", x), x, source, keep)

    def book_reader(self, reader: str, execution: Execution, x: Tensor, source: Source) -> None:
        """A layer reads `x`.

        Args:
            reader: its name.
            execution: of it.
            x: what it reads.
            source: where that comes from.
        """
        if not _in_a_function(source):
            return
        if not source.summed:
            if (source.fired, x.numel()) not in self._listed:
                name = f"{reader} (input)"
                layout = spike_layout(self._instruments, name, x)
                self._look(execution, layout, x, source, partial(self._list, name, source.fired))
            return
        parts = [token for token in self._fired if token in source.summed]
        new = [token for token in parts if (token, self._fired[token].elements) not in self._listed]

        def book() -> None:
            for number, token in enumerate(new):
                self._list(f"{reader} (input{f' {number + 1}' if number else ''})", token, self._fired[token])

        execution.look(lambda _: book)

    def _look(
        self, execution: Execution, layout: Layout, x: Tensor, source: Source, book: Callable[[Fired], None]
    ) -> None:
        """Look at spikes that began in a function, before what reads them runs, and book them."""
        fired = self._seen(layout, x, source)()
        book(fired)
        place = next((i for i, given in enumerate(execution.inputs) if given is x), None)
        if place is None or execution.writes or execution.kwargs:  # they are not there when it has run
            self._instruments.judge()
            return
        few = of_few_levels(fired.values)

        def look(ran: Ran) -> Callable[[], None]:
            seen = cache(self._seen(layout, tensors_of(ran)[place], source))
            ran.expect(lambda: of_few_levels(seen().values) == few)
            return lambda: book(seen())

        execution.looks.append(look)

    def _seen(self, layout: Layout, x: Tensor, source: Source) -> Callable[[], Fired]:
        """Look at spikes now; what is returned puts in order what was seen."""
        counted = spikes_counted(self._instruments, layout, x, source)
        often = len(source.compared)
        looped = often if often > 1 and x.ndim > 2 and often in x.shape[:-1] else 0  # a loop over a dimension
        return lambda: replace(counted(), births=source.births, place=source.name, looped=looped)

    def _list(self, name: str, token: int, fired: Fired) -> None:
        self._listed.add((token, fired.elements))
        candidate = self._candidates.setdefault(name, Candidate(name, operator=True, function=fired.births))
        if fired.looped:
            candidate.looped[fired.looped] += 1
        few = of_few_levels(fired.values)
        candidate.refuted |= not few
        if few:
            candidate.values = candidate.values.join(fired.values)
            candidate.add(fired.per_step, fired.elements, fired.place)


_JOINING: Any = (Kind.SYNAPTIC, Kind.MOVEMENT)
_ADDING: Any = (Role.ADDS, Role.SUBTRACTS)
