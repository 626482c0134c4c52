"""Runs a foreign model on a few images before anything is counted, to learn what its tensors' shapes do not say."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.model_state import State
from saformer.analysis.recording.recorder import Recorder
from saformer.analysis.recording.shown import Shown
from saformer.analysis.recording.storage_map import tensors_in

_NOT_AT_REST = (
    "run on the same images again, the model gives another output: it draws random numbers of its own, or keeps a "
    "state that cannot be seen from outside; reset that at the start of forward, or the numbers depend on the "
    "order of the images"
)


def dry_run(
    model: nn.Module,
    call: Callable[[Tensor], Any],
    images: Tensor,
    time_steps: int | None,
    to_input: Callable[[Tensor], Tensor] | None,
    state: State,
    accuracy: AccuracyMeter,
    neurons: Sequence[str],
) -> Shown:
    """Run a foreign model twice on a few images.

    Which dimension of a tensor holds the images shows where it grows with their number; a model that is back in the
    state it was in gives the same answer again; and a tensor that no operator made, and both runs read, is a constant
    that the model keeps in a place of its own.

    Args:
        model: whose modules give the names.
        call: runs it.
        images: a batch of the run.
        time_steps: T, if somebody said.
        to_input: makes the model's input from images; None if it is these.
        state: of the model, brought back after each run.
        accuracy: is shown the output.
        neurons: patterns of modules that are neurons.
    """
    few = torch.cat([images] * 3)[: 3 if len(images) == 2 else 2]
    outputs: list[Tensor] = []
    found = Shown()
    devices = [images.device] if images.device.type == "cuda" else []
    strangers: list[Tensor] = []
    for _ in range(2):
        # Both times the same random numbers, and none that the run itself would have drawn.
        with torch.random.fork_rng(devices):
            inputs = few.clone() if to_input is None else to_input(few.clone())
            recorder = Recorder(model, time_steps, neurons=neurons)
            recorder.start_batch([inputs], few)
            try:
                with recorder.recording():
                    output = call(inputs)
            except Exception:  # the model may insist on its own batch size; it will speak for itself in the run
                return Shown()
            finally:
                state.restore()
        before = {x.untyped_storage().data_ptr() for x in strangers}
        strangers = recorder.lineage.strangers
        found.outside = [x for x in strangers if x.untyped_storage().data_ptr() in before]
        found.shapes = recorder.layouts.log
        accuracy.learn(output)
        outputs.append(next(tensors_in((output,)), few).clone())
    same = outputs[0].shape == outputs[1].shape and torch.equal(outputs[0].nan_to_num(), outputs[1].nan_to_num())
    found.notes = [] if same else [_NOT_AT_REST]
    return found
