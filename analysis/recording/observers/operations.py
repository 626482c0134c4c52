"""Synaptic operations: books each execution under its name, with its dense count, nonzeros, events and values."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.profiles import SPIKES_OF
from saformer.analysis.recording.batch_axis import Layout
from saformer.analysis.recording.execution import Execution, Instruments
from saformer.analysis.recording.formulas import Call
from saformer.analysis.recording.lineage import RESULT_OF, Source, apart, raw_sources
from saformer.analysis.recording.module_paths import Frame, of_torch
from saformer.analysis.recording.observers.neurons import NeuronListing
from saformer.analysis.recording.observers.operation_counts import OperationCounts, add
from saformer.analysis.recording.operators import Kind
from saformer.analysis.recording.storage_map import StorageMap
from saformer.naming import current_name


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
        self.by_image = True
        self._kinds: defaultdict[str, dict[Any, str]] = defaultdict(dict)  # name -> kind of call -> name of its own
        self._zero_weights: StorageMap[bool] = StorageMap()
        self._results: StorageMap[str] = StorageMap()  # that nobody has read yet
        self._merging = 0
        self._unpadded: Tensor | None = None
        self._drawn = False  # the input is spikes that were drawn from the images
        self._coloured = False  # images hold other values than zeros and ones: so far, and in this batch
        self._coloured_now = False

    def start_batch(self, inputs: Iterable[Tensor], images: Tensor) -> None:
        """Announce a forward pass over a batch of images, from which these input tensors were made."""
        counter, lineage = self._instruments.counter, self._instruments.lineage
        self._coloured_now = not counter.holds_binary(images)
        self._coloured |= self._coloured_now
        for x in inputs:
            self._instruments.finite.watch(x, "the input holds")
            # Spikes that were drawn from an image are the image no more.
            self._drawn |= x is not images and self._coloured_now and counter.holds_binary(x)
            lineage.enter(x, raw=not self._drawn)

    @contextmanager
    def merging(self) -> Iterator[None]:
        """Calls inside are steps of one sequence: the same weights under one name."""
        self._merging += 1
        try:
            yield
        finally:
            self._merging -= 1

    @contextmanager
    def padding(self, x: Tensor) -> Iterator[None]:
        """A convolution inside reads a padded copy of `x`."""
        self._unpadded = x
        try:
            yield
        finally:
            self._unpadded = None

    def reads_image(self, counts: OperationCounts) -> bool:
        """Whether an operation reads the network's input itself, and not spikes that the model drew from it."""
        return counts.raw and (counts.image or not self._coloured)

    # -- operators ---------------------------------------------------------------------------------------------------

    def before(self, execution: Execution) -> None:
        """An operator that writes into its argument is counted on what it reads."""
        for x in execution.inputs:
            self.note_read(x)
        if execution.writes:
            self._look(execution, execution.args[0] if execution.args else None)
            for x in execution.inputs:
                self._instruments.forget(x)

    def after(self, execution: Execution) -> None:
        """Any other has its result."""
        if not execution.writes:
            self._look(execution, execution.out)

    def _look(self, execution: Execution, out: Any) -> None:
        operator = execution.operator
        if operator is None or operator.kind is not Kind.SYNAPTIC or operator.formula is None:
            self._notice_sum(execution)
            return
        call = operator.formula(execution.args, out, self._instruments.lineage.is_activation)
        if call is None:
            return
        call = _complex(call)
        if self._unpadded is not None and call.weight is not None:
            call = replace(call, operands=(self._unpadded,))
        read = call.read or call.operands
        sources = tuple(self._instruments.lineage.source(x) for x in read)
        if self._is_operation(call, sources):
            execution.booked = self._book(call, sources, None if execution.writes else out)
            self._results[out] = execution.booked
            execution.weighted = call.weight is not None

    def _is_operation(self, call: Call, sources: tuple[Source | None, ...]) -> bool:
        """Whether a call joins an activation with weights, or two activations that are different things."""
        if call.weight is None:
            if not any(sources):
                return False
            if call.op != "product":
                return True
            outer = call.dense > max(x.numel() for x in call.operands)
            return apart(*sources) or (outer and all(source is not None and source.roots for source in sources))
        if call.layer and (call.dense <= call.operands[0].numel() or not self._instruments.lineage.owners(call.weight)):
            return False
        return any(sources) or self._could_run_once(call)

    def _could_run_once(self, call: Call) -> bool:
        """Whether a layer reads constants: a state at rest, or a parameter that an nn.Linear is given as its input.
        Weights that are made of weights (low rank, orthogonal) are no layer.
        """
        lineage, frame = self._instruments.lineage, self._instruments.paths.current
        if call.weight is None or not lineage.owners(call.weight):
            return False
        own = of_torch(frame.module) and lineage.name_in(frame.module, frame.path, call.weight) == "weight"
        return own or not lineage.owners(call.operands[0])

    def _notice_sum(self, execution: Execution) -> None:
        """A product that is summed is an attention written as mask and sum."""
        if execution.packet is torch.ops.aten.sum and execution.args:
            source = self._instruments.lineage.source(execution.args[0])
            if source is not None and source.product in self.counts:
                self.counts[source.product].summed = True

    def note_read(self, x: Tensor) -> None:
        """Something reads `x`."""
        name = self._results.get(x)
        if name is not None:
            self._results.discard(x)
            self.counts[name].read += 1

    # -- names -------------------------------------------------------------------------------------------------------

    def _name(self, call: Call) -> tuple[str, bool]:
        """Path of the module whose weight it is, or the module it runs in plus what it is; whether it is a module."""
        paths, lineage = self._instruments.paths, self._instruments.lineage
        frame = paths.current
        if call.weight is not None:
            name = lineage.name_in(frame.module, frame.path, call.weight)
            if name == "weight" and frame.path:
                return frame.path, True
            if name is not None:
                return f"{frame.path}.{name}".lstrip("."), False
            owners = {owner.path for owner in lineage.owners(call.weight) if owner.name == "weight"}
            if len(owners) == 1 and (path := owners.pop()):
                return path, False  # a layer's weight, used by a function
        what = current_name()
        if what is None:
            frame.used[call.op] += 1
            again = frame.used[call.op] > 1 and not self._merging
            what = f"{call.op}_{frame.used[call.op]}" if again else call.op
        name = f"{frame.path}.{what}".lstrip(".")
        if name in paths.names:  # somebody's nn.Linear that is called `linear`
            name = f"{frame.path}.functional_{what}".lstrip(".")
        return name, False

    def _own_name(self, name: str, call: Call, sources: tuple[Source | None, ...], raw: bool) -> str:
        """`name`; for calls of another kind under the same name, such as the second product of a module that
        multiplies anything, or a layer that reads the image first and spikes later, `name:2` and so on.
        """
        # T steps of one product have the same origins.
        what = map(_origin, sources) if call.weight is None else (raw, call.weight.shape)
        kind = (call.op, *what)
        kinds = self._kinds[name]
        return kinds.setdefault(kind, f"{name}:{len(kinds) + 1}" if kinds else name)

    # -- booking -----------------------------------------------------------------------------------------------------

    def _book(self, call: Call, sources: tuple[Source | None, ...], out: Tensor | None) -> str:
        """Add one execution to its operation; its name."""
        instruments = self._instruments
        name, module = self._name(call)
        raw = raw_sources(sources)
        name = self._own_name(name, call, sources, raw)
        frame: Frame = instruments.paths.current
        frame.weighted = True
        if out is not None:
            watch = instruments.finite.watch_result if call.masked else instruments.finite.watch
            watch(out, f"the result of {name} holds")
        if call.weight is not None and sources[0] is not None:
            self._neurons.book_reader(name, call.operands[0], sources[0])
        counts = self.counts.get(name)
        if counts is None:
            counts = self.counts[name] = OperationCounts.of(name, call, module, sources)
        if any(counts.sources) or not any(sources):
            counts.raw &= raw
        else:  # it read constants alone until now: the first step of a recurrence
            counts.sources, counts.raw = sources, raw
        if raw and self._coloured_now and not counts.image:
            counts.image = not all(instruments.counter.holds_binary(x) for x in call.operands)
        if call.weight is not None:
            counts.weights = call.weight.numel()  # the same at every execution, so it is not added up
        counts.constant += not any(sources)
        counts.pure |= {source.pure for source in sources if source is not None and call.weight is not None}
        counts.calls += 1
        counts.dense += call.dense
        counts.outputs += call.dense if out is None else out.numel()
        events = self._count(call, counts, sources)
        self._book_weights(call, counts, events)
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
            counts.see(i, x, sources[i], ones, instruments, _channel(call))
            counts.broadcast[i] |= call.op == "product" and x.numel() < call.dense
        if not all(layout.apart for layout in (*layouts, result)):
            self.by_image = False
            result = Layout(1, result.batch, apart=False)
        events = call.events(result.rows, instruments.counter)
        counters.append(result.fold(events))
        counts.add(counters)
        return events

    def _book_weights(self, call: Call, counts: OperationCounts, events: Tensor) -> None:
        """Events that meet a zero weight, where some weights are zero."""
        if call.weight is not None:
            whole = call.weight.numel() * call.weight.element_size() == call.weight.untyped_storage().nbytes()
            any_zero = self._zero_weights.get(call.weight) if whole else None  # of a part, the rest says nothing
            if any_zero is None:
                any_zero = bool((call.weight == 0).any())
                if whole:
                    self._zero_weights[call.weight] = any_zero
            if any_zero:
                x, w = (z.ne(0).to(torch.float32) for z in (call.operands[0], call.weight))
                met = call.again(x, w).round().sum(dtype=torch.float64).to(torch.int64) * call.multiplies
                counts.lost = add(counts.lost, events.sum() - met)


def _channel(call: Call) -> int:
    """The dimension of the channels of what a layer reads."""
    return 1 if call.stacked else -1


def _complex(call: Call) -> Call:
    """Four real products for a complex one, two where one side is real."""
    sides = [*call.operands, *([] if call.weight is None else [call.weight])]
    times = 1
    for x in sides:
        times *= 2 if x.is_complex() else 1
    if times == 1:
        return call
    events = call.events
    return replace(
        call, dense=call.dense * times, events=lambda rows, counter: events(rows, counter) * times, multiplies=times
    )


def _origin(source: Source | None) -> str:
    """Module or layer that an operand comes from: the same at every step, whatever the first step does otherwise."""
    if source is None:
        return "a constant"
    return source.maker or (source.name if source.name.startswith((RESULT_OF, SPIKES_OF)) else "")
