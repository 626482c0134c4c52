"""Synaptic operations: books each execution under its name, with its dense count, nonzeros, events and values."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

from saformer.analysis.recording.beforehand.batch_axis import Layout
from saformer.analysis.recording.observers.neurons import NeuronListing
from saformer.analysis.recording.observers.operation_calls import (
    cannot_overflow,
    gathered_call,
    in_real_products,
    is_operation,
)
from saformer.analysis.recording.observers.operation_counts import OperationCounts
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.execution import Execution, Instruments
from saformer.analysis.recording.operations.operation_names import OperationNames
from saformer.analysis.recording.operations.operators import Kind, Role
from saformer.analysis.recording.origins.input_images import InputImages
from saformer.analysis.recording.origins.sources import Source, raw_sources
from saformer.analysis.recording.origins.storage_map import StorageMap


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
        call = operator.formula(execution.args, out, self._instruments.lineage.is_activation)
        if call is None:
            return
        call = in_real_products(call)
        if self._unpadded is not None and call.weight is not None:
            call = replace(call, operands=(self._unpadded,))
        read = call.read or call.operands
        sources = tuple(self._instruments.lineage.source(x) for x in read)
        if is_operation(call, sources, self._instruments):
            execution.booked = self._book(call, sources, None if execution.writes else out, execution.inputs)
            self._results[out] = execution.booked
            execution.weight = call.weight

    def _look_at_rows(self, execution: Execution, out: Any) -> None:
        """Rows of weights that are taken at the places of spikes: a layer, driven by events."""
        call = gathered_call(execution, self._instruments.lineage, out)
        if call is None:
            return
        sources = (self._instruments.lineage.source(call.operands[0]),)
        execution.booked = self._book(call, sources, out, execution.inputs)
        execution.weight = call.weight
        self._results[out] = execution.booked

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

    def _book(self, call: Call, sources: tuple[Source | None, ...], out: Tensor | None, inputs: list[Tensor]) -> str:
        """Add one execution to its operation; its name."""
        instruments = self._instruments
        name, module = self.names.name(call)
        raw = raw_sources(sources)
        name = self.names.own_name(name, call, sources, raw)
        instruments.paths.current.weighted = True
        if call.weight is not None and sources[0] is not None:
            self._neurons.functional.book_reader(name, call.operands[0], sources[0])
        counts = self.counts.get(name)
        if counts is None:
            counts = self.counts[name] = OperationCounts.of(name, call, module, sources)
        if any(counts.sources) or not any(sources):
            counts.raw &= raw
        else:  # it read constants alone until now: the first step of a recurrence
            counts.sources, counts.raw = sources, raw
        if raw and not counts.image:
            counts.image = self.images.shown_in(call.operands)
        if call.weight is not None:
            counts.weights = call.weight.numel()  # the same at every execution, so it is not added up
        counts.constant += not any(sources)
        counts.pure |= {source.pure for source in sources if source is not None and call.weight is not None}
        counts.calls += 1
        counts.dense += call.dense
        counts.outputs += call.dense if out is None else out.numel()
        events = self._count(call, counts, sources)
        if out is not None:  # what the operands were seen to hold may prove it finite
            watch = instruments.finite.watch_result if call.masked else instruments.finite.watch
            if call.masked or not cannot_overflow(call, out, inputs, instruments):
                watch(out, f"the result of {name} holds")
        if call.weight is not None and instruments.weights.has_zeros(call.weight):
            counts.add_lost(call, events)
        if self._graded:
            counts.add_graded(call, sources, instruments)
        return name

    def _count(self, call: Call, counts: OperationCounts, sources: tuple[Source | None, ...]) -> Tensor:
        """Elements, nonzeros, values and events of one execution; its events per row."""
        instruments = self._instruments
        layouts = [
            instruments.layouts.of((counts.name, i), x.shape, call.stacked, x) for i, x in enumerate(call.operands)
        ]
        result = layouts[0] if call.rows is None else instruments.layouts.of((counts.name, -1), call.rows, call.stacked)
        counts.executions += result.steps * result.batch
        counters: list[Tensor] = []
        for i, (x, layout) in enumerate(zip(call.operands, layouts, strict=True)):
            nonzero, ones = instruments.counter.count(x, layout.rows)
            counts.elements[i] += x.numel()
            counts.ones[i] = counts.ones[i].plus(ones)
            counters.append(layout.fold(nonzero))
            counts.see(i, x, sources[i], (nonzero, ones), instruments, _channel(call))
            counts.broadcast[i] |= call.op == "product" and x.numel() < call.dense
        # A product over the images themselves: no stack of matrices has one for each.
        mixes = call.inner and call.rows is not None and call.rows[:-2].numel() % result.rows
        if mixes or not all(layout.apart for layout in (*layouts, result)):
            self.by_image = False
            result = Layout(1, result.batch, apart=False)
        events = call.events(result.rows, instruments.counter)
        counters.append(result.fold(events))
        counts.add(counters)
        return events


def _channel(call: Call) -> int:
    """The dimension of the channels of what a layer reads."""
    return 1 if call.stacked else -1
