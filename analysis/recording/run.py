"""Runs a model over data once and returns its Profile."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from saformer.analysis.profiles import Profile
from saformer.analysis.recording import flop_check
from saformer.analysis.recording.beforehand.inputs import Batch
from saformer.analysis.recording.module_log import ModuleLog
from saformer.analysis.recording.session import Session
from saformer.models.config import Model


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
    log: ModuleLog | None = None,
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
        log: is told what each module puts out.

    Raises:
        InputError: there is no image, or input or labels do not fit the model.
    """
    session = Session(
        model,
        data=data,
        split=split,
        kind=kind,
        name=name,
        time_steps=time_steps,
        loop=loop,
        neurons=neurons,
        settings=run or {},
        graded=graded,
        to_input=to_input,
        log=log,
    )
    with session.running():
        for batch in batches:
            images = session.add(batch)
            if images and progress is not None:
                progress(images)
            if images and enough is not None and enough(session.images, session.collect):
                break
        result = session.profile()
        return session.checked(result) if check_flops else result


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
