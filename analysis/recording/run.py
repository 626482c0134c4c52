"""Runs a model over data once and returns its Profile."""

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
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
from saformer.analysis.recording.model_state import State
from saformer.analysis.recording.module_paths import hidden_modules, named_modules
from saformer.analysis.recording.recorder import Recorder
from saformer.errors import InputError
from saformer.models.config import Model

Batch = Tensor | tuple[Tensor, Tensor | None]


def describe_model(model: nn.Module, name: str | None = None, time_steps: int | None = None) -> ModelInfo:
    """Name, parameters, T and checkpoint of a model; of one of ours, from its settings and origin."""
    config, origin = getattr(model, "config", None), getattr(model, "origin", None)
    if any(map(nn.parameter.is_lazy, nn.Module.parameters(model))):
        raise InputError("the model has lazy layers without weights yet: run it once on an image first")
    return ModelInfo(
        name=name or getattr(config, "name", None) or type(model).__name__,
        parameters=_parameters(model),
        time_steps=time_steps or getattr(config, "time_steps", None),
        checkpoint=Path(origin.path).name if origin else None,
        sha256=origin.sha256 if origin else None,
    )


def _parameters(model: nn.Module) -> int:
    """Elements of all parameters, each once; those of layers that plain lists hold, too."""
    found = {id(p): p for module in named_modules(model).values() for p in module._parameters.values() if p is not None}
    return sum(parameter.numel() for parameter in found.values())


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: BatchNorm must not learn from being measured."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    for module in training:
        module.training = False  # whatever a model's own `eval` does
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


def _in_a_loop(model: nn.Module, steps: int, frames: bool) -> Callable[[Tensor], Any]:
    """What calls the model `steps` times per sample, its state kept in between, and averages its outputs.

    Args:
        model: one step of a network.
        steps: T.
        frames: each call gets one frame of B x T x ...; else all get the same.
    """

    def run(x: Tensor) -> Any:
        outputs = [model(x[:, t] if frames else x) for t in range(steps)]
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
        batches: tensors, or pairs of a tensor and integer labels (or None). Images B x C x H x W or event frames
            B x T x C x H x W.
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
    model = _unwrapped(model)
    info = describe_model(model, name, time_steps or loop)
    known_steps = time_steps or getattr(getattr(model, "config", None), "time_steps", None)
    device = _device_of(model)
    accuracy = AccuracyMeter()  # until the first batch shows T
    recorder: Recorder | None = None
    # Our own models carry no state and say how they lay out time.
    state = None if isinstance(model, Model) else State(model)
    call: Callable[[Tensor], Any] = model
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
                if kind is None:
                    kind, likely = input_kind(images)
                    notes += [] if likely is None else [likely]
                if loop is not None:
                    call = _in_a_loop(model, loop, frames=kind == "events" and images.shape[1] == loop)
                accuracy = AccuracyMeter(known_steps or loop or (images.shape[1] if images.ndim == 5 else None))
                shown = None
                if state is not None:
                    shown = dry_run(model, call, images, known_steps, to_input, state, accuracy, neurons)
                    notes += shown.notes
                    if hidden := hidden_modules(model):
                        notes.append(
                            f"{len(hidden)} modules are held by plain lists or dictionaries ({', '.join(hidden[:3])}"
                            f"{', ...' if len(hidden) > 3 else ''}): the model's own parameters() does not see them"
                        )
                recorder = Recorder(model, known_steps, graded, shown, neurons)
            # A model may write into its input: the caller's stays as it is.
            inputs = images.clone() if to_input is None else to_input(images)
            recorder.start_batch([inputs], images)
            with recorder.recording():
                output = call(inputs)
            recorder.end_batch(output)
            if state is not None:
                state.restore()
            accuracy.add(output, labels, len(images))
            if progress is not None:
                progress(len(images))
            if enough is not None:
                so_far = DataInfo(data, split, 0, kind or "static")
                if enough(
                    sum(recorder.batch_sizes), partial(collect, recorder, accuracy, info, so_far, {"graded": graded})
                ):
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
        **({} if loop is None else {"loop": loop}),
        **(run or {}),
    }
    result = collect(recorder, accuracy, info, DataInfo(data, split, 0, kind or "static"), settings)
    if check_flops:
        with _evaluating(model):
            one = example.clone()
            result = _checked(result, model, one if to_input is None else to_input(one), loop or 1)
            if state is not None:
                state.restore()
    return replace(result, notes=(*notes, *result.notes))


def _unwrapped(model: nn.Module) -> nn.Module:
    """What torch.compile, DataParallel and the like were given: its paths are the names."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _device_of(model: nn.Module) -> torch.device:
    parameter = next(iter(nn.Module.parameters(model)), None)
    return parameter.device if parameter is not None else torch.device("cpu")


def _checked(profile: Profile, model: nn.Module, example: Tensor, loop: int) -> Profile:
    """The profile with a note for each module on whose dense operations fvcore disagrees, and what only fvcore saw
    among what was not counted.
    """
    try:
        counted = flop_check.fvcore_flops(model, example)
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
        differs.append(f"fvcore sees nothing in {', '.join(blind[:3])}{', ...' if len(blind) > 3 else ''}")
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
