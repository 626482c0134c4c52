"""From the recorder's counters to a Profile: the integers are read, and what they show is decided."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saformer.analysis.profiles import (
    SPIKES_OF,
    DataInfo,
    FreeArithmetic,
    ModelInfo,
    Operand,
    Operation,
    Profile,
    ValueClass,
)
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.beforehand.time_steps import seen_steps
from saformer.analysis.recording.observers.neuron_candidates import Decision
from saformer.analysis.recording.observers.operation_counts import BatchRows, OperationCounts
from saformer.analysis.recording.operations.operators import OPERATORS
from saformer.analysis.recording.origins.sources import Source
from saformer.analysis.recording.recorder import Recorder
from saformer.text import some

# Images whose counters are multiplied together: products need several copies of them, and of all images too many.
_UNITS = 1024
_FOLDABLE = {packet.__name__ for packet, operator in OPERATORS.items() if operator.foldable}


def collect(
    recorder: Recorder, accuracy: AccuracyMeter, model: ModelInfo, data: DataInfo, run: dict[str, Any]
) -> Profile:
    """Read the recorder's integers, and decide what they show.

    Args:
        recorder: after at least one batch.
        accuracy: of the same batches.
        model: what was run; T is filled in where nobody said, and the run shows it.
        data: on what; the number of images is filled in.
        run: settings, for the record.
    """
    steps = recorder.time_steps
    decision = recorder.neurons.decide(steps)
    counted = [o for o in recorder.operations.counts.values() if not decision.holds(o.name, o.weights > 0)]
    outside = {place: counts for place, counts in recorder.elementwise.counts.items() if not decision.holds(place[0])}
    pools = [counts for counts in outside.values() if counts.ones is not None]
    unit, moments = _moments(recorder, [*counted, *pools])
    images = sum(recorder.batch_sizes)
    operations = _operations(recorder, counted, moments, decision, data.kind)
    if model.time_steps is None:
        steps = seen_steps(operations, decision, images, _unread(counted))
        model = replace(model, time_steps=steps)
        decision = recorder.neurons.decide(steps)
    if data.kind == "static":
        operations = tuple(
            _repeated(o, images, recorder.operations.images.elements, model.time_steps) for o in operations
        )
    free = []
    read = iter(moments.sums[len(moments.sums) - len(pools) :])  # nonzeros, pool by pool
    for (path, op), counts in outside.items():
        operand = None if counts.ones is None else Operand(counts.inputs, next(read), int(counts.ones))
        foldable = op in _FOLDABLE and counts.foldable
        free.append(FreeArithmetic(path, op, counts.elements, operand, foldable, counts.module))
    # What a layer of neurons computes is the neurons' own arithmetic; a kernel that nobody saw is named all the same.
    unsupported = [(path, op) for path, op in recorder.unsupported.found if not (path and decision.holds(path))]
    missed = [*recorder.unseen.found, *unsupported]
    return Profile(
        model=model,
        data=replace(data, images=images),
        operations=operations,
        neurons=decision.layers,
        free=tuple(free),
        uncounted=tuple(f"{op} in {path or 'the model'}" for path, op in missed),
        hits=accuracy.result(),
        unit=unit,
        moments=moments,
        passes=len(recorder.batch_sizes),
        run=run,
        notes=tuple(_remarks(decision, operations, counted)),
    )


def _repeated(operation: Operation, images: int, elements: int, steps: int | None) -> Operation:
    """A layer that reads a static image T times in one call, B x T x F: it runs T times, like one that is called so."""
    if steps is None or not operation.first or operation.executions != images:
        return operation
    repeated = operation.operands[0].elements == steps * elements
    return replace(operation, executions=images * steps) if repeated else operation


def _unread(counted: Sequence[OperationCounts]) -> dict[str, float]:
    """Operations with calls whose result no operator read, and the share of their calls."""
    return {c.name: 1 - c.read / c.calls for c in counted if c.read < c.calls}


def _remarks(decision: Decision, operations: Sequence[Operation], counted: Sequence[OperationCounts]) -> list[str]:
    """What the classes of values mean for a charge, one sentence for each fact."""
    notes = []
    if decision.graded:
        most = max(decision.graded.values())
        notes.append(
            f"{_some(list(decision.graded), 'layer')} of neurons put out whole multiples of a unit, up to {most}: "
            "`paper` charges one AC for each that is not zero, `integer-spikes` one for each unit, `exact` a MAC"
        )
    if decision.ternary:
        notes.append(f"{_some(decision.ternary, 'layer')} of neurons put out spikes of both signs: each is one AC")
    constant = [o.name for o in operations if o.constant]
    if constant:
        notes.append(f"{_some(constant, 'operation')} read constants alone, and could run once: charged as they ran")
    spikes = (ValueClass.SILENT, ValueClass.SPIKES, ValueClass.TERNARY)
    both = [o.name for o, c in zip(operations, counted, strict=True) if len(c.pure) > 1 and o.gate.kind not in spikes]
    if both:
        notes.append(
            f"{_some(both, 'layer')} read spikes in some calls, and in others what was made of them: charged by the "
            "class of all calls together"
        )
    unread = _unread(counted)
    if unread:
        notes.append(
            f"{_some(list(unread), 'operation')} ran with results that nothing read, {max(unread.values()):.0%} of the "
            "calls at most: charged, since they ran"
        )
    unproven = [o.name for o in operations if o.gate.kind is ValueClass.UNPROVEN and not o.first]
    if unproven:
        notes.append(
            f"{_some(unproven, 'operation')} read few values, but too few to tell spikes from real values: charged "
            "MACs at the nonzero rate; more images would tell"
        )
    return notes


def _some(names: Sequence[str], what: str) -> str:
    """So many, with the first of their names."""
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({some(names)})"


def _moments(recorder: Recorder, counted: Sequence[BatchRows]) -> tuple[str, Moments]:
    """Moments over images, or over batches where some activation mixes the images of a batch."""
    batches, total, rows = len(recorder.batch_sizes), None, []
    for index in range(batches):
        rows.append(_units(recorder, counted, index))
        if sum(map(len, rows)) >= _UNITS or index == batches - 1:
            part = Moments.of(np.concatenate(rows))
            total, rows = part if total is None else total + part, []
    assert total is not None  # there was a batch
    return ("image" if recorder.by_image else "batch"), total


def _units(recorder: Recorder, counted: Sequence[BatchRows], index: int) -> NDArray[np.int64]:
    """The counters of a batch, units x counters: those of each image, or their sums."""
    size = recorder.batch_sizes[index]
    rows = size if recorder.by_image else 1
    columns = [np.full((rows, 1), size // rows, dtype=np.int64)]
    for item in counted:
        width = len(item.elements) + 1 if isinstance(item, OperationCounts) else 1
        units = item.units[index] if index < len(item.units) else None
        counts = np.zeros((1, width), np.int64) if units is None else units.tensor().cpu().numpy()
        if units is not None and not recorder.by_image:
            counts = counts.sum(0, keepdims=True)
        columns.append(np.broadcast_to(counts, (rows, width)))
    return np.concatenate(columns, 1)


def _source_name(source: Source | None, decision: Decision) -> str:
    if source is None:
        return "a constant"
    neuron = decision.neuron_of(source.passed)
    return source.name if neuron is None else f"{SPIKES_OF}{neuron}"


def _operations(
    recorder: Recorder, counted: list[OperationCounts], moments: Moments, decision: Decision, kind: str
) -> tuple[Operation, ...]:
    result, position = [], 1
    for counts in counted:
        width = len(counts.elements)
        nonzero, events = moments.sums[position : position + width], moments.sums[position + width]
        position += width + 1
        first = recorder.operations.images.read_by(counts.raw, counts.image)
        operands = tuple(
            _operand(counts, i, count, first and kind == "static", decision) for i, count in enumerate(nonzero)
        )
        result.append(
            Operation(
                counts.name,
                counts.op,
                counts.dense,
                operands,
                events,
                first=first,
                outputs=counts.outputs,
                bias=counts.bias,
                inner=counts.inner,
                module=counts.module,
                effective=events if counts.lost is None else events - int(counts.lost),
                graded=None if counts.graded is None else int(counts.graded),
                sources=tuple(_source_name(source, decision) for source in counts.sources),
                weights=counts.weights,
                executions=counts.executions,
                summed=counts.summed,
                constant=counts.constant == counts.calls,
            )
        )
    return tuple(result)


def _operand(counts: OperationCounts, i: int, nonzero: int, image: bool, decision: Decision) -> Operand:
    values, source = counts.operand_values(i), counts.sources[i]
    return Operand(
        counts.elements[i],
        nonzero,
        int(counts.ones[i]),
        replace(values, provenance="real") if image else values,
        product="" if source is None else source.product,
        broadcast=counts.broadcast[i],
        neurons="" if source is None else decision.began_in(source.births),
    )
