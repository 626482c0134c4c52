"""Runs a model over data once and returns its Profile."""

import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import saformer
from saformer.analysis.profiles import DataInfo, ModelInfo, Profile
from saformer.analysis.recording import flop_check
from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.collect import collect
from saformer.analysis.recording.dry_run import dry_run
from saformer.analysis.recording.input_kind import input_kind
from saformer.analysis.recording.inputs import Batch, Sample, sample_of
from saformer.analysis.recording.model_state import State
from saformer.analysis.recording.plain_modules import evaluating, hidden_modules, parameters, unwrapped
from saformer.analysis.recording.recorder import Recorder
from saformer.analysis.recording.spikingjelly_backend import remark_on, running_without_kernels
from saformer.errors import InputError
from saformer.models.config import Model
from saformer.text import some


def describe_model(model: nn.Module, name: str | None = None, time_steps: int | None = None) -> ModelInfo:
    """Name, parameters, T and checkpoint of a model; of one of ours, from its settings and origin."""
    config, origin = getattr(model, "config", None), getattr(model, "origin", None)
    if any(map(nn.parameter.is_lazy, parameters(model))):
        raise InputError("the model has lazy layers without weights yet: run it once on an image first")
    return ModelInfo(
        name=name or getattr(config, "name", None) or type(model).__name__,
        parameters=sum(parameter.numel() for parameter in parameters(model)),
        time_steps=time_steps or getattr(config, "time_steps", None),
        checkpoint=Path(origin.path).name if origin else None,
        sha256=origin.sha256 if origin else None,
    )


Call = Callable[[Sample], Any]


def _in_a_loop(model: nn.Module, steps: int, frames: bool) -> Call:
    """What calls the model `steps` times per sample, its state kept in between, and averages its outputs.

    Args:
        model: one step of a network.
        steps: T.
        frames: each call gets one frame of B x T x ...; else all get the same.
    """

    def run(sample: Sample) -> Any:
        outputs = [
            (sample.with_images(sample.images[:, t]) if frames else sample.copy()).call(model) for t in range(steps)
        ]
        if not all(isinstance(output, Tensor) for output in outputs):
            return outputs[-1]
        return torch.stack(outputs).mean(0)

    return run


def profile(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    data: str = "batches",
    split: str | None = None,
    kind: str | None = None,
    name: str | None = None,
    time_steps: int | None = None,
    loop: int | None = None,
    neurons: Sequence[str] = (),
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
        batches: tensors, or pairs of a tensor and integer labels (or None). Images B x C x H x W, event frames
            B x T x C x H x W, series, tokens; several inputs as a tuple, or by name as a dictionary.
        data: name of the data, for the record.
        split: its split, for the record.
        kind: "static" or "events"; by default as the values of the first batch show, see `input_kind`.
        name: name of the model, for the record.
        time_steps: T of a foreign model whose activations are laid out time first; our own models know theirs.
        loop: the model is one step: call it so often for each sample, its state kept in between, and average.
        neurons: patterns of paths (`*.lif`): these modules are layers of neurons, whatever they put out.
        run: settings to keep with the numbers.
        check_flops: compare the dense operations with fvcore's on one image and note what differs.
        graded: also count a whole multiple k of the unit as k events.
        to_input: what makes the model's input from a batch of images, if that is not the batch itself: a
            SpikingJelly model in multi-step mode takes `lambda x: x.expand(T, *x.shape)`.
        enough: called after each batch with the number of images so far and what makes their profile; True stops
            the run.
        progress: called with the number of images after each batch.

    Raises:
        InputError: there is no image, or input or labels do not fit the model.
    """
    model = unwrapped(model)
    info = describe_model(model, name, time_steps or loop)
    known_steps = time_steps or getattr(getattr(model, "config", None), "time_steps", None)
    device = _device_of(model)
    accuracy = AccuracyMeter()  # until the first batch shows T
    recorder: Recorder | None = None
    example: Sample | None = None
    call: Call = lambda sample: sample.call(model)  # noqa: E731
    notes: list[str] = []
    left: list[str] = []
    with evaluating(model), torch.inference_mode(), running_without_kernels(model, device) as told:
        # Our own models carry no state and say how they lay out time.
        state = None if isinstance(model, Model) else State(model)
        for batch in batches:
            sample = sample_of(model, batch).to(device)
            images = sample.images
            if not len(sample):
                continue
            if recorder is None:
                example = sample.first(1)
                if kind is None:
                    kind, likely = input_kind(images)
                    notes += [] if likely is None else [likely]
                frames = images.shape[1] if kind == "events" and images.ndim > 2 else None
                if loop is not None:
                    call = _in_a_loop(model, loop, frames=frames == loop)
                accuracy = AccuracyMeter(known_steps or loop or frames)
                shown = None
                if state is not None:
                    shown = dry_run(model, call, sample, known_steps, to_input, state, accuracy, neurons)
                    notes += shown.notes
                recorder = Recorder(model, known_steps, graded, shown, neurons)
            given = sample.copy() if to_input is None else sample.with_images(to_input(images))
            recorder.start_batch(given.tensors, images)
            with recorder.recording():
                output = call(given)
            recorder.end_batch(output)
            if state is not None:
                left = left or state.left_over()
                state.restore()
            accuracy.add(output, sample.labels, len(sample))
            if progress is not None:
                progress(len(sample))
            if enough is not None:
                so_far = DataInfo(data, split, 0, kind or "static")
                whole = partial(collect, recorder, accuracy, info, so_far, {"graded": graded})
                if enough(sum(recorder.batch_sizes), whole):
                    break
        if recorder is None or example is None:
            raise InputError("there is no image to run the model on")
        settings = {
            "saformer": saformer.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "device": str(device),
            "dtype": str(example.images.dtype).removeprefix("torch."),
            "graded": graded,
            **({} if loop is None else {"loop": loop}),
            **(run or {}),
        }
        result = collect(recorder, accuracy, info, DataInfo(data, split, 0, kind or "static"), settings)
    if check_flops:
        with evaluating(model), running_without_kernels(model, device):
            one = example.copy() if to_input is None else example.with_images(to_input(example.images))
            result = _checked(result, model, one, loop or 1)
            if state is not None:
                state.restore()
    notes += [remark_on(told)] if told else []
    notes += _state_remarks(model, left, result, shown_state=recorder.changing, loop=loop)
    if result.model.time_steps == 1 and recorder.changing and result.neurons and time_steps is None and loop is None:
        result = replace(result, model=replace(result.model, time_steps=None))
    return replace(result, notes=(*notes, *result.notes))


def _state_remarks(
    model: nn.Module, left: Sequence[str], profile: Profile, shown_state: bool, loop: int | None
) -> list[str]:
    """What is said of layers that PyTorch does not see, and of states between calls."""
    notes = []
    if hidden := hidden_modules(model):
        notes.append(
            f"{len(hidden)} modules are held by plain lists or dictionaries ({some(hidden)}): the model's own "
            "parameters() does not see them"
        )
    if left:
        notes.append(
            f"the model came with a state that an earlier call left ({some(left)}): reset it first, or the first "
            "steps of every batch start from there"
        )
    if profile.model.time_steps == 1 and shown_state and profile.neurons and loop is None:
        notes.append(
            "the neurons keep a state between calls, and ran once per sample: if the loop over time stands outside "
            "the model, these are the numbers of one step, and --loop T gives those of T"
        )
    return notes


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(iter(parameters(model)), None)
    return parameter.device if parameter is not None else torch.device("cpu")


def _checked(profile: Profile, model: nn.Module, example: Sample, loop: int) -> Profile:
    """The profile with a note for each module on whose dense operations fvcore disagrees, and what only fvcore saw
    among what was not counted.
    """
    try:
        counted = flop_check.fvcore_flops(model, (*example.args, *example.kwargs.values()))
    except Exception as error:  # tracing runs foreign code, which may raise anything
        note = f"fvcore could not trace the model, so its FLOPs were not cross-checked ({type(error).__name__})"
        return replace(profile, notes=(*profile.notes, note))
    counted = {path: count * loop for path, count in counted.items()}
    rows = flop_check.compare(profile.operations, profile.images, counted)
    if sum(row.recorder or 0 for row in rows if row.fvcore is not None) == sum(row.fvcore or 0 for row in rows):
        return profile  # a function that uses another module's weights is booked there
    rows = [row for row in rows if not row.agrees]
    scalings = {entry.name for entry in profile.free if entry.op == "einsum"}  # an operation to fvcore alone
    missed = [row for row in rows if row.fvcore and not row.recorder and row.module not in scalings]
    differs = [
        f"fvcore counts {row.fvcore:,} multiply-accumulates per image in {row.module or 'the model'}, "
        f"the recorder {row.recorder:,}"
        for row in rows
        if row.recorder and row.fvcore
    ]
    blind = [row.module or "the model" for row in rows if not row.fvcore]
    if blind:
        differs.append(f"fvcore sees nothing in {some(blind)}")
    return replace(
        profile,
        notes=(*profile.notes, *differs),
        uncounted=(
            *profile.uncounted,
            *(f"{row.fvcore:,} multiply-accumulates in {row.module or 'the model'}" for row in missed),
        ),
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
) -> list[flop_check.ModuleFlops]:
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
        counts = flop_check.fvcore_flops(model, example if to_input is None else to_input(example))
    except Exception:  # the trace of a stranger's model may fail in any way
        if isinstance(model, Model):
            raise
        return [replace(row, fvcore=None) for row in flop_check.compare(operations, 1, {})]
    return flop_check.compare(operations, 1, counts)
