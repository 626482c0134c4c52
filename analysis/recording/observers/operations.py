"""Synaptic operations: books each execution under its name, with its dense count, nonzeros, events and values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor

from saformer.analysis.profiles import Values
from saformer.analysis.recording.beforehand.batch_axis import Layout
from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.counting.looks import Counted
from saformer.analysis.recording.observers.bounds import Bound
from saformer.analysis.recording.observers.neurons import NeuronListing
from saformer.analysis.recording.observers.operation_calls import gathered_call, in_real_products, is_operation
from saformer.analysis.recording.observers.operation_counts import OperationCounts, lost
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.execution import Execution, Instruments, Ran
from saformer.analysis.recording.operations.operation_names import OperationNames
from saformer.analysis.recording.operations.operators import Formula, IsActivation, Kind, Role
from saformer.analysis.recording.origins.input_images import InputImages
from saformer.analysis.recording.origins.sources import Source, raw_sources
from saformer.analysis.recording.origins.storage_map import StorageMap, storage_id, tensors_in


@dataclass(frozen=True)
class Booking:
    """What was decided of one execution: whose it is, and where the images are in what it reads and gives.

    Args:
        counts: of its operation.
        sources: where its operands come from.
        layouts: of its operands.
        result: groups in which its events are counted.
        raw: it reads the network's input.
    """

    counts: OperationCounts
    sources: tuple[Source | None, ...]
    layouts: tuple[Layout, ...]
    result: Layout
    raw: bool


class Operations:
    """Books synaptic operations. `counts` has them by name, in the order of their first execution.

    Args:
        instruments: what observers share.
        neurons: told of spikes that a layer reads and of modules with operations inside.
        graded: also count a whole multiple k of the unit as k events.
    """

    def __init__(self, instruments: Instruments, neurons: NeuronListing, graded: bool) -> None:
        self._instruments, self._neurons, self._graded = instruments, neurons, graded
        self.counts: dict[str, OperationCounts] = {}
        self.names = OperationNames(instruments.paths, instruments.lineage.constants)
        self.images = InputImages(instruments)
        self.by_image = True
        self._results: StorageMap[str] = StorageMap()  # that nobody has read yet
        self._unpadded: Tensor | None = None

    def start_batch(self, inputs: Iterable[Tensor], images: Tensor) -> None:
        """Announce a forward pass over a batch of images, from which these input tensors were made."""
        self.images.start_batch(inputs, images)

    @contextmanager
    def padding(self, x: Tensor) -> Iterator[None]:
        """A convolution inside reads a padded copy of `x`."""
        self._unpadded = x
        try:
            yield
        finally:
            self._unpadded = None

    def before(self, execution: Execution) -> None:
        """An operator that writes into its argument is counted on what it reads."""
        for x in execution.inputs:
            self.note_read(x)
        if execution.writes:
            self._look(execution, execution.args[0] if execution.args else None)
            for x in execution.inputs:
                self._instruments.forget(x)

    def after(self, execution: Execution) -> None:
        """An operator that writes into no argument is counted with its result."""
        if not execution.writes:
            self._look(execution, execution.out)

    def _look(self, execution: Execution, out: Any) -> None:
        operator = execution.operator
        if operator is not None and operator.gathers:
            self._look_at_rows(execution, out)
            return
        if operator is None or operator.kind is not Kind.SYNAPTIC or operator.formula is None:
            self._notice_sum(execution)
            return
        lineage = self._instruments.lineage
        call = self._call(operator.formula, execution.args, out, lineage.is_activation)
        if call is None:
            return
        sources = tuple(lineage.source(x) for x in call.read or call.operands)
        if is_operation(call, sources, self._instruments):
            self._add(execution, call, sources, None if execution.writes else out, operator.formula)

    def _call(self, formula: Formula, args: Any, out: Any, is_activation: IsActivation) -> Call | None:
        """What a formula makes of an operator."""
        call = formula(args, out, is_activation)
        if call is None:
            return None
        call = in_real_products(call)
        if self._unpadded is not None and call.weight is not None:
            call = replace(call, operands=(self._unpadded,), events_of=None)
        return call

    def _look_at_rows(self, execution: Execution, out: Any) -> None:
        """Rows of weights that are taken at the places of spikes: a layer, driven by events."""
        call = gathered_call(execution, self._instruments.lineage, out)
        if call is not None:
            self._add(execution, call, (self._instruments.lineage.source(call.operands[0]),), out, None)

    def _add(
        self,
        execution: Execution,
        call: Call,
        sources: tuple[Source | None, ...],
        out: Tensor | None,
        formula: Formula | None,
    ) -> None:
        """Book one execution.

        Args:
            execution: the operator.
            call: the operation.
            sources: where its operands come from.
            out: its result; None if it is still to be written.
            formula: what made the call, where another batch can be looked at by it.
        """
        instruments, is_activation = self._instruments, self._instruments.lineage.is_activation
        booking = self._book(execution, call, sources, out)
        execution.booked, execution.weight = booking.counts.name, call.weight
        bound = None if out is None else Bound.of(call, out, execution.inputs, instruments.weights, is_activation)
        zeros = self._has_zeros(call)
        self._look_at(booking, call, call.operands, out, bound, zeros)()
        if self._graded:
            booking.counts.add_graded(call, sources, instruments)
        made = call.weight is not None and not instruments.lineage.constants.holds(call.weight)  # anew in each batch
        if out is None or formula is None or self._graded or execution.kwargs or not any(sources):
            instruments.judge()
        elif (
            call.events_of is not None and _first(call.operands, execution.args) and not (zeros or call.masked or made)
        ):
            bare = replace(call, operands=(), weight=None, events=_no_events, again=_no_events, read=())
            execution.looks.append(partial(self._look_at_first, booking, bare, len(call.operands), bound))
        else:
            given = tuple(map(is_activation, execution.inputs))
            execution.looks.append(partial(self._look_again, booking, formula, given, None if made else zeros))
        self._results[execution.args[0] if out is None else out] = execution.booked

    def _look_at_first(
        self, booking: Booking, call: Call, many: int, bound: Bound | None, ran: Ran
    ) -> Callable[[], None]:
        """Look at an operation in another batch that reads so many arguments, the first ones."""
        return self._look_at(booking, call, ran.args[:many], ran.out, bound, zeros=False)

    def _look_again(
        self, booking: Booking, formula: Formula, given: tuple[bool, ...], zeros: bool | None, ran: Ran
    ) -> Callable[[], None]:
        """Look at the same execution in another batch; `zeros` is None of weights that are made in each."""
        inputs = list(tensors_in(ran.args))
        activations = {storage_id(x) for x, is_one in zip(inputs, given, strict=True) if is_one}
        is_activation = lambda x: storage_id(x) in activations  # noqa: E731
        call = self._call(formula, ran.args, ran.out, is_activation)
        assert call is not None  # as before
        bound = Bound.of(call, ran.out, inputs, self._instruments.weights, is_activation)
        zeros = self._has_zeros(call) if zeros is None else zeros
        return self._look_at(booking, call, call.operands, ran.out, bound, zeros)

    def _has_zeros(self, call: Call) -> bool:
        return call.weight is not None and self._instruments.weights.has_zeros(call.weight)

    def _notice_sum(self, execution: Execution) -> None:
        """A product that is summed is an attention written as mask and sum."""
        if execution.operator is not None and execution.operator.role is Role.SUMS and execution.args:
            source = self._instruments.lineage.source(execution.args[0])
            if source is not None and source.product in self.counts:
                self.counts[source.product].summed = True

    def note_read(self, x: Tensor) -> None:
        """Something reads `x`."""
        name = self._results.get(x)
        if name is not None:
            self._results.discard(x)
            self.counts[name].read += 1

    def _book(
        self, execution: Execution, call: Call, sources: tuple[Source | None, ...], out: Tensor | None
    ) -> Booking:
        """Find the operation of one execution, and add what does not hang on values."""
        instruments = self._instruments
        name, module = self.names.name(call)
        raw = raw_sources(sources)
        name = self.names.own_name(name, call, sources, raw)
        instruments.paths.current.weighted = True
        if call.weight is not None and sources[0] is not None:
            self._neurons.functional.book_reader(name, execution, call.operands[0], sources[0])
        counts = self.counts.get(name)
        if counts is None:
            counts = self.counts[name] = OperationCounts.of(name, call, module, sources)
        if any(counts.sources) or not any(sources):
            counts.raw &= raw
        else:  # it read constants alone until now: the first step of a recurrence
            counts.sources, counts.raw = sources, raw
        if call.weight is not None:
            counts.weights = call.weight.numel()  # the same at every execution, so it is not added up
        counts.constant += not any(sources)
        counts.pure |= {source.pure for source in sources if source is not None and call.weight is not None}
        counts.calls += 1
        counts.dense += call.dense
        counts.outputs += call.dense if out is None else out.numel()
        layouts = tuple(
            instruments.layouts.of((name, i), x.shape, call.stacked, x) for i, x in enumerate(call.operands)
        )
        result = layouts[0] if call.rows is None else instruments.layouts.of((name, -1), call.rows, call.stacked)
        counts.executions += result.steps * result.batch
        for i, x in enumerate(call.operands):
            counts.elements[i] += x.numel()
            counts.broadcast[i] |= call.op == "product" and x.numel() < call.dense
        # A product over the images themselves: no stack of matrices has one for each.
        mixes = call.inner and call.rows is not None and call.rows[:-2].numel() % result.rows
        if mixes or not all(layout.apart for layout in (*layouts, result)):
            self.by_image = False
            result = Layout(1, result.batch, apart=False)
        return Booking(counts, sources, layouts, result, raw)

    def _look_at(
        self,
        booking: Booking,
        call: Call,
        operands: Sequence[Tensor],
        out: Tensor | None,
        bound: Bound | None,
        zeros: bool,
    ) -> Callable[[], None]:
        """Look at the values of one execution: nonzeros, events, what else they show. What is returned books them.

        What need not be done at once is left for then: among large operators Python is slow.

        Args:
            booking: what was decided of it.
            call: the operation.
            operands: what it reads.
            out: its result; None if it is still to be written.
            bound: how large that can be.
            zeros: some of its weights are zero.
        """
        instruments, counts = self._instruments, booking.counts
        image = booking.raw and not counts.image and self.images.shown_in(operands)
        events = met_zero = None  # counting pairs looks at the values, too
        if call.fan_out is None or zeros:
            rows, counter = booking.result.rows, instruments.counter
            of = call.events_of
            met = call.events(rows, counter) if of is None else of(rows, counter, operands)
            events, met_zero = Integers(met), Integers(lost(call, met)) if zeros else None
        found = []
        for x, layout, source in zip(operands, booking.layouts, booking.sources, strict=True):
            counted = instruments.counter.counted(x, layout.rows)
            found.append((counted, self._values(x, source, _channel(call), counted)))
        if out is not None:
            if bound is not None:
                instruments.bounds.know(out, bound.most(operands, out, instruments.counter))
            if call.masked or not instruments.bounds.prove(out):
                watch = instruments.finite.watch_result if call.masked else instruments.finite.watch
                watch(out, f"the result of {counts.name} holds")

        fan_out = call.fan_out or 0  # what is booked later must not keep the tensors of the call

        def add() -> None:
            counts.image |= image
            counters, read = [], []
            for i, (counted, values) in enumerate(found):
                nonzero, ones = counted()
                read.append(nonzero)
                counters.append(booking.layouts[i].fold(nonzero))
                counts.note(i, ones, values)
            if events is not None:
                counters.append(booking.result.fold(events.tensor()))
            else:
                alike = booking.layouts[0] == booking.result
                counters.append((counters[0] if alike else booking.result.fold(read[0])) * fan_out)
            counts.add(counters)
            if met_zero is not None:
                counts.lost = met_zero if counts.lost is None else counts.lost.plus(met_zero)

        return add

    def _values(
        self, x: Tensor, source: Source | None, channel: int, counted: Counted
    ) -> Callable[[], Values | None] | None:
        """What is seen of an operand; None of one that is zeros and ones by construction.

        A state before the first step says nothing.
        """
        if self._instruments.counter.is_binary(x):
            return None
        if source is None and not bool(x.any()):
            return _nothing
        return self._instruments.meter.values_of(x, source, channel, counted)


def _first(operands: tuple[Tensor, ...], args: tuple[Any, ...]) -> bool:
    """Whether operands are the first arguments themselves."""
    return all(x is given for x, given in zip(operands, args, strict=False))


def _nothing() -> None:
    """Of what says nothing."""


def _no_events(*_: Any) -> Any:
    """What a call without its tensors has in place of their functions."""
    raise AssertionError("of a call without tensors `events_of` is asked")


def _channel(call: Call) -> int:
    """The dimension of the channels of what a layer reads."""
    return 1 if call.stacked else -1
