"""Runs a foreign model on a few images before anything is counted, to learn what its tensors' shapes do not say."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import DataInfo, ModelInfo
from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.beforehand.images_as_time import Pass, channels_as_time, images_as_time, steps_given
from saformer.analysis.recording.beforehand.inputs import Sample
from saformer.analysis.recording.beforehand.model_state import State
from saformer.analysis.recording.beforehand.shown import Shown
from saformer.analysis.recording.beforehand.steps_and_kind import answer_of
from saformer.analysis.recording.collect import collect
from saformer.analysis.recording.origins.storage_map import tensors_in
from saformer.analysis.recording.recorder import Recorder

_NOT_AT_REST = (
    "run on the same images again, the model gives another output: it draws random numbers of its own, or keeps a "
    "state that cannot be seen from outside; reset that at the start of forward, or the numbers depend on the "
    "order of the images"
)

_MIXED = (
    "the answer for an image depends on the other images of its batch, or on their order, so images influence each "
    "other: the energy is that of these batches, and its interval, which takes them for independent, may be too "
    "narrow; a model that takes T x B x ... wants --time-first T"
)

_PARTLY = (
    "a part of the model runs on the images of a batch one after the other, as if they were time steps, and one "
    "changes what the next one meets: the energy is that of these batches in this order, and its interval, which "
    "takes images for independent, may be too narrow"
)


class DryRun:
    """Runs a foreign model on a few samples before the first batch, and looks at that batch when it has run.

    Which dimension of a tensor holds the samples shows where it grows with their number, and how samples and steps are
    merged where the first sample's rows move to the end. Its answer must not change in other company; a model that is
    back in the state it was in gives the same answers again; and a tensor that no operator made, and both runs read, is
    a constant that the model keeps in a place of its own.

    Args:
        model: whose modules give the names.
        call: runs it.
        sample: the first batch of the run.
        time_steps: T, if somebody said.
        to_input: makes the model's input from images; None if it is these.
        state: of the model, brought back after each run.
        accuracy: is shown the output.
        neurons: patterns of modules that are neurons.
    """

    def __init__(
        self,
        model: nn.Module,
        call: Callable[[Sample], Any],
        sample: Sample,
        time_steps: int | None,
        to_input: Callable[[Tensor], Tensor] | None,
        state: State,
        accuracy: AccuracyMeter,
        neurons: Sequence[str],
    ) -> None:
        self._model, self._call, self._sample, self._to_input = model, call, sample, to_input
        self._time_steps, self._state, self._accuracy, self._neurons = time_steps, state, accuracy, neurons
        self._draws = False
        self._few: Pass | None = None  # what ran on a few samples
        self._batch: Pass | None = None
        self.shown = Shown()

    def look(self) -> Shown:
        """What two passes over a few samples show, the second with the first sample last, among others."""
        few = self._sample.few()
        try:
            with steps_given(self._model) as steps:
                first, scores = self._answer(few)
            second, elsewhere = self._answer(self._sample.in_other_company())
        except Exception:  # the model may insist on its own batch size; it will speak for itself in the run
            self.shown = Shown()
            return self.shown
        found, self._few = self.shown, Pass(len(few), first.operators, steps)
        before = {x.untyped_storage().data_ptr() for x in first.lineage.constants.strangers}
        found.outside = [x for x in second.lineage.constants.strangers if x.untyped_storage().data_ptr() in before]
        found.shapes = first.layouts.log
        found.shapes.compare(second.layouts.log)
        if not _moved(scores, elsewhere, len(few)):
            _, again = self._answer(few)
            if not _alike(scores, again):
                found.notes, found.at_rest = [_NOT_AT_REST], False
            elif not self._draws:  # else each image gets other random numbers, wherever it stands
                found.notes = [_MIXED]
        if self._to_input is None and few.images.ndim == 4 and few.images.is_floating_point():
            found.channels_as_time = channels_as_time(self._on_images, self._sample)
        return found

    @contextmanager
    def beside(self, recorder: Recorder) -> Iterator[None]:
        """In the block the first batch runs."""
        with steps_given(self._model) as steps:
            yield
        self._batch = Pass(len(self._sample), recorder.operators, steps)

    def compare(self) -> Shown:
        """What the first batch shows when it has run, too: whether more images make more operators run."""
        if self._few is None or self._batch is None:
            return self.shown
        with suppress(Exception):  # the model may insist on its own batch size, as above
            as_time = images_as_time(self._on_images, self._sample, *sorted((self._few, self._batch)))
            if as_time is not False:
                alone, three = self._steps_seen(1), self._steps_seen(3)
                by_others = alone == three and (alone or 1) > 1  # T does not follow the images: most of the model knows
                if by_others and as_time:
                    self.shown.notes = [_PARTLY]
                self.shown.as_time = False if by_others else as_time
        return self.shown

    def _laid_out(self, given: Sample) -> Sample:
        return given.copy() if self._to_input is None else given.with_images(self._to_input(given.images.clone()))

    def _trial(self, inputs: Sample, watching: AbstractContextManager[Any]) -> Any:
        images = self._sample.images
        # Each time the same random numbers, and none that the run itself would have drawn.
        with torch.random.fork_rng([images.device] if images.device.type == "cuda" else []):
            state_of_draws = torch.random.get_rng_state()
            try:
                with watching:
                    output = self._call(inputs)
                self.shown.changed |= set(self._state.changed())
                self._draws |= not torch.equal(state_of_draws, torch.random.get_rng_state())
            finally:
                self._state.restore()
        return answer_of(output)

    def _answer(self, given: Sample) -> tuple[Recorder, Tensor]:
        inputs = self._laid_out(given)
        recorder = Recorder(self._model, self._time_steps, neurons=self._neurons, noting_rows=True)
        recorder.start_batch(inputs.tensors, given.images)
        output = self._trial(inputs, recorder.recording())
        self._accuracy.learn(output)
        return recorder, next(tensors_in((output,)), given.images).clone()

    def _on_images(self, given: Sample, watching: AbstractContextManager[Any]) -> Any:
        return self._trial(self._laid_out(given), watching)

    def _steps_seen(self, images: int) -> int | None:
        given = self._sample.repeated(images)
        inputs = self._laid_out(given)
        recorder = Recorder(self._model, None, neurons=self._neurons)
        recorder.start_batch(inputs.tensors, given.images)
        recorder.end_batch(self._trial(inputs, recorder.recording()))
        data = DataInfo("", None, 0, "static")
        return collect(recorder, AccuracyMeter(), ModelInfo("", 0, None), data, {}).model.time_steps


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are the same, up to rounding."""
    if not one.is_floating_point():
        return torch.equal(one, other)
    return torch.allclose(one.nan_to_num(), other.nan_to_num(), rtol=1e-3, atol=1e-4)


def _moved(scores: Tensor, elsewhere: Tensor, images: int) -> bool:
    """Whether the answer for the first image of one pass is that for the last image of the other; True where no
    dimension of the answers can hold images.
    """
    if scores.shape != elsewhere.shape:
        return False
    held = [axis for axis, size in enumerate(scores.shape) if size and size % images == 0]
    for axis in held:
        steps = scores.shape[axis] // images
        for sizes, inner in (((steps, images), axis + 1), ((images, steps), axis)):  # in either order
            first, last = (x.unflatten(axis, sizes).select(inner, i) for x, i in ((scores, 0), (elsewhere, -1)))
            if _alike(first, last):
                return True
    return not held
