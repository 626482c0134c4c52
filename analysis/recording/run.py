"""Runs a model over data once and returns its Profile."""

import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import saformer
from saformer.analysis.accounting.account import DataInfo, ModelInfo
from saformer.analysis.profiles import SPIKES_OF, FreeArithmetic, Operand, Operation, Profile
from saformer.analysis.recording import flop_check as witness
from saformer.analysis.recording.accuracy import HitCounter
from saformer.analysis.recording.batch_axis import ShapeLog
from saformer.analysis.recording.lateness import Calls, Late
from saformer.analysis.recording.lineage import Source
from saformer.analysis.recording.model_state import State
from saformer.analysis.recording.operators import NORMS
from saformer.analysis.recording.recognition import Decision
from saformer.analysis.recording.recorder import FreeCounts, OperationCounts, Recorder
from saformer.analysis.recording.storage_map import tensors_in
from saformer.analysis.statistics.moments import Moments
from saformer.errors import InputError
from saformer.models.config import Model

_NORM_NAMES = {packet.__name__ for packet in NORMS}

_NOT_AT_REST = (
    "run on the same images again, the model gives another output: it draws random numbers of its own, or keeps a "
    "state that cannot be seen from outside; reset that at the start of forward, or the numbers depend on the "
    "order of the images"
)

Batch = Tensor | tuple[Tensor, Tensor | None]


def describe_model(model: nn.Module, name: str | None = None, time_steps: int | None = None) -> ModelInfo:
    """Name, parameters, T and checkpoint of a model; of one of ours, from its settings and origin."""
    config, origin = getattr(model, "config", None), getattr(model, "origin", None)
    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise InputError("the model has lazy layers without weights yet: run it once on an image first")
    return ModelInfo(
        name=name or getattr(config, "name", None) or type(model).__name__,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        time_steps=time_steps or getattr(config, "time_steps", None),
        checkpoint=Path(origin.path).name if origin else None,
        sha256=origin.sha256 if origin else None,
    )


@contextmanager
def _evaluating(model: nn.Module) -> Any:
    """Evaluation mode for a while: BatchNorm must not learn from being measured."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _split(batch: Batch) -> tuple[Tensor, Tensor | None]:
    if isinstance(batch, Tensor):
        return batch, None
    if isinstance(batch, tuple | list) and len(batch) == 2 and isinstance(batch[0], Tensor):
        images, labels = batch
        return images, None if labels is None else torch.as_tensor(labels)
    what = f"{len(batch)} things" if isinstance(batch, tuple | list) else type(batch).__name__
    raise InputError(f"a batch is a tensor of images, or a pair of such a tensor and labels, got {what}")


def _moments(recorder: Recorder, counted: Sequence[OperationCounts | FreeCounts]) -> tuple[str, Moments]:
    """Moments over images, or over batches where some activation mixes the images of a batch."""
    widths = [len(c.elements) + 1 if isinstance(c, OperationCounts) else 1 for c in counted]
    blocks = []
    for index, size in enumerate(recorder.batch_sizes):
        rows = size if recorder.by_image else 1
        columns = [np.full((rows, 1), size // rows, dtype=np.int64)]
        for item, width in zip(counted, widths, strict=True):
            units = item.units[index] if index < len(item.units) else None
            counts = np.zeros((1, width), np.int64) if units is None else units.tensor().cpu().numpy()
            columns.append(
                np.broadcast_to(counts, (rows, width))
                if units is None
                else counts
                if recorder.by_image
                else counts.sum(0, keepdims=True)
            )
        blocks.append(np.concatenate(columns, 1))
    return ("image" if recorder.by_image else "batch"), Moments.of(np.concatenate(blocks))


def _source_name(source: Source | None, decision: Decision) -> str:
    if source is None:
        return "a constant"
    neuron = decision.neuron_of(source.passed)
    return source.name if neuron is None else f"{SPIKES_OF}{neuron}"


def _operations(
    recorder: Recorder, operations: list[OperationCounts], moments: Moments, decision: Decision
) -> tuple[Operation, ...]:
    result, position = [], 1
    for counts in operations:
        width = len(counts.elements)
        nonzero, events = moments.sums[position : position + width], moments.sums[position + width]
        position += width + 1
        operands = tuple(
            Operand(elements, count, int(ones))
            for elements, count, ones in zip(counts.elements, nonzero, counts.ones, strict=True)
        )
        spikes = any(source is not None and decision.neuron_of(source.passed) for source in counts.sources)
        result.append(
            Operation(
                counts.name,
                counts.op,
                counts.dense,
                operands,
                events,
                first=recorder.reads_image(counts) and not spikes,
                outputs=counts.outputs,
                bias=counts.bias,
                inner=counts.inner,
                module=counts.module,
                effective=events if counts.lost is None else events - int(counts.lost),
                graded=None if counts.graded is None else int(counts.graded),
                sources=tuple(_source_name(source, decision) for source in counts.sources),
                weights=counts.weights,
                executions=counts.executions,
            )
        )
    return tuple(result)


def profile(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    data: str = "batches",
    split: str | None = None,
    kind: str | None = None,
    name: str | None = None,
    time_steps: int | None = None,
    run: dict[str, Any] | None = None,
    check_flops: bool = True,
    graded: bool = False,
    to_input: Callable[[Tensor], Tensor] | None = None,
    enough: Callable[[int, Callable[[], Profile]], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Profile:
    """Run `model` over `batches` once and write down its integers.

    Args:
        model: any module; its modules give the names. It is run in evaluation mode, without gradients.
        batches: tensors, or pairs of a tensor and integer labels (or None). Images B x C x H x W or event frames
            B x T x C x H x W.
        data: name of the data, for the record.
        split: its split, for the record.
        kind: "static" or "events"; by default five-dimensional input is events.
        name: name of the model, for the record.
        time_steps: T of a foreign model whose activations are laid out time first; our own models know theirs.
        run: settings to keep with the numbers.
        check_flops: compare the dense operations with fvcore's on one image and note what differs.
        graded: also count an integer input of k as k events.
        to_input: what makes the model's input from a batch of images, if that is not the batch itself: a
            SpikingJelly model in multi-step mode takes `lambda x: x.expand(T, *x.shape)`.
        enough: called after each batch with the number of images so far and what makes their profile; True stops
            the run.
        progress: called with the number of images after each batch.

    Raises:
        InputError: there is no image, or input or labels do not fit the model.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile was given: its paths are the names
    info = describe_model(model, name, time_steps)
    known_steps = time_steps or getattr(getattr(model, "config", None), "time_steps", None)
    parameter = next(model.parameters(), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    hits = HitCounter()  # until the first batch shows T
    recorder: Recorder | None = None
    # Our own models carry no state and say how they lay out time.
    state = None if isinstance(model, Model) else State(model)
    example: Tensor | None = None
    notes: list[str] = []
    with _evaluating(model), torch.inference_mode():
        for batch in batches:
            images, labels = _split(batch)
            images = images.to(device)
            if not len(images):
                continue
            if recorder is None:
                example = images[:1].clone()
                kind = kind or ("events" if images.ndim == 5 else "static")
                hits = HitCounter(known_steps or (images.shape[1] if images.ndim == 5 else None))
                shapes, late = None, Late()
                if state is not None:
                    shapes, late, notes = _rehearse(model, images, known_steps, to_input, state, hits)
                recorder = Recorder(model, known_steps, graded, shapes, late)
            inputs = images if to_input is None else to_input(images)
            recorder.start_batch([inputs], images)
            with recorder.recording():
                output = model(inputs)
            recorder.end_batch(output)
            if state is not None:
                state.restore()
            hits.add(output, labels, len(images))
            if progress is not None:
                progress(len(images))
            if enough is not None:
                so_far = DataInfo(data, split, 0, kind or "static")
                collect = partial(_collect, recorder, hits, info, so_far, {"graded": graded})
                if enough(sum(recorder.batch_sizes), collect):
                    break
    if recorder is None or example is None:
        raise InputError("there is no image to run the model on")
    settings = {
        "saformer": saformer.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "dtype": str(example.dtype).removeprefix("torch."),
        "graded": graded,
        **(run or {}),
    }
    result = _collect(recorder, hits, info, DataInfo(data, split, 0, kind or "static"), settings)
    if recorder.fired and not result.neurons:
        notes.append(
            "something fires and is reset as neurons are, but no layer reads its zeros and ones (they are scaled "
            "or added first): no spiking neurons were recognised"
        )
    steps = result.model.time_steps
    if known_steps is None and example.ndim == 5 and steps not in (None, example.shape[1]):
        notes.append(
            f"the input has {example.shape[1]} frames, but the neurons were seen to run {steps} times: if they "
            "get all frames in one call, T is not known, nor are spikes by step"
        )
    for name, levels in recorder.recognition.graded().items():
        values = ", ".join(f"{level:g}" for level in levels)
        notes.append(f"{name} puts out a few values, but not 0 and 1 alone ({values}): not taken for spiking neurons")
    if check_flops:
        with _evaluating(model):
            one = example.clone()
            notes += _witness_notes(model, one if to_input is None else to_input(one), result.operations, result.images)
            if state is not None:
                state.restore()
    return replace(result, notes=tuple(notes))


def _rehearse(
    model: nn.Module,
    images: Tensor,
    time_steps: int | None,
    to_input: Callable[[Tensor], Tensor] | None,
    state: State,
    hits: HitCounter,
) -> tuple[ShapeLog | None, Late, list[str]]:
    """Run a foreign model twice on a few images before anything is counted.

    Which dimension of a tensor holds the images shows where it grows with their number; and a model that is back in
    the state it was in gives the same answer again.

    Returns:
        The shapes, or None if it cannot run on any other number of images; modules whose first steps come before any
        input; sentences on what was found.
    """
    few = torch.cat([images] * 3)[: 3 if len(images) == 2 else 2]
    outputs: list[Tensor] = []
    shapes: ShapeLog | None = None
    late = Late()
    devices = [images.device] if images.device.type == "cuda" else []
    for _ in range(2):
        # Both times the same random numbers, and none that the run itself would have drawn.
        with torch.random.fork_rng(devices):
            inputs = few.clone() if to_input is None else to_input(few.clone())
            recorder = Recorder(model, time_steps, late=late)
            recorder.calls = calls = Calls()
            recorder.start_batch([inputs], few)
            try:
                with recorder.recording():
                    output = model(inputs)
            except Exception:  # the model may insist on its own batch size; it will speak for itself in the run
                return None, Late(), []
            finally:
                state.restore()
            if shapes is None:
                late = calls.late()
            shapes = recorder.layouts.log
            hits.learn(output)
            outputs.append(next(tensors_in((output,)), few).clone())
    same = outputs[0].shape == outputs[1].shape and torch.equal(outputs[0].nan_to_num(), outputs[1].nan_to_num())
    return shapes, late, [] if same else [_NOT_AT_REST]


def _collect(recorder: Recorder, hits: HitCounter, model: ModelInfo, data: DataInfo, run: dict[str, Any]) -> Profile:
    """Read the recorder's integers, and decide what they show."""
    decision = recorder.recognition.decide(recorder.time_steps)
    operations = [o for o in recorder.operations.values() if not decision.holds(o.name, o.weights > 0)]
    outside = {place: counts for place, counts in recorder.free.items() if not decision.holds(place[0])}
    pools = [counts for counts in outside.values() if counts.ones is not None]
    unit, moments = _moments(recorder, [*operations, *pools])
    if model.time_steps is None and decision.neurons:
        model = replace(model, time_steps=decision.steps)  # nobody said; the neurons show it
    free = []
    read = iter(moments.sums[len(moments.sums) - len(pools) :])  # nonzeros, pool by pool
    for (path, op), counts in outside.items():
        operand = None if counts.ones is None else Operand(counts.inputs, next(read), int(counts.ones))
        foldable = op in _NORM_NAMES and counts.foldable
        free.append(FreeArithmetic(path, op, counts.elements, operand, foldable, counts.module))
    return Profile(
        model=model,
        data=replace(data, images=sum(recorder.batch_sizes)),
        operations=_operations(recorder, operations, moments, decision),
        neurons=decision.neurons,
        free=tuple(free),
        uncounted=tuple(
            f"{op} in {path or 'the model'}" for path, op in recorder.uncounted if not decision.holds(path)
        ),
        hits=hits.result(),
        unit=unit,
        moments=moments,
        passes=len(recorder.batch_sizes),
        run=run,
        undecided=decision.undecided,
    )


def example_input(model: Model) -> Tensor:
    """An image of zeros, or its event frames, as one of our own models takes it."""
    config = model.config
    shape = [config.in_channels, config.image_size, config.image_size]
    return torch.zeros(1, *([config.time_steps] if config.input_kind == "events" else []), *shape)


def dense_operations(
    model: nn.Module,
    example: Tensor,
    time_steps: int | None = None,
    to_input: Callable[[Tensor], Tensor] | None = None,
) -> list[witness.ModuleFlops]:
    """The recorder's and fvcore's counts for a model; dense operations need no data.

    A model that fvcore cannot trace has no count of fvcore's.

    Args:
        model: any module.
        example: one image, or its event frames.
        time_steps: T of a foreign model whose activations are laid out time first.
        to_input: what makes the model's input from the example, if that is not the example itself.
    """
    operations = profile(model, [example], check_flops=False, time_steps=time_steps, to_input=to_input).operations
    try:
        counts = witness.fvcore_flops(model, example if to_input is None else to_input(example))
    except Exception:  # the trace of a stranger's model may fail in any way
        if isinstance(model, Model):
            raise
        return [replace(row, fvcore=None) for row in witness.compare(operations, 1, {})]
    return witness.compare(operations, 1, counts)


def _witness_notes(model: nn.Module, example: Tensor, operations: tuple[Operation, ...], images: int) -> list[str]:
    """One sentence for each module on whose dense operations fvcore disagrees."""
    try:
        counted = witness.fvcore_flops(model, example)
    except Exception as error:  # tracing runs foreign code, which may raise anything
        return [f"fvcore could not trace the model, so its FLOPs were not cross-checked ({type(error).__name__})"]
    return [
        f"fvcore counts {row.fvcore:,} multiply-accumulates per image in {row.module or 'the model'}, "
        f"the recorder {row.recorder:,}"
        for row in witness.compare(operations, images, counted)
        if not row.agrees
    ]
