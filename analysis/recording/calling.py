"""Calls a network as a run does: input laid out as it takes it, in a loop over time if it is one step, then at rest."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.beforehand.inputs import Batch, Sample, sample_of
from saformer.analysis.recording.beforehand.model_state import State
from saformer.analysis.recording.beforehand.steps_and_kind import Call, answer_of, in_a_loop
from saformer.models.config import Model


class NetworkCall:
    """What a batch becomes when a network answers it; each call starts alike.

    Args:
        model: ours or somebody's, in evaluation mode.
        to_input: makes the model's input from a batch of images; None if it is these.
        loop: the model is one step, and called so often for each batch.
    """

    def __init__(
        self, model: nn.Module, to_input: Callable[[Tensor], Tensor] | None = None, loop: int | None = None
    ) -> None:
        self.model = model
        self._to_input, self._loop = to_input, loop
        self._state = None if isinstance(model, Model) else State(model)
        #: The last call left something behind for a next one: the model is one step of a network, or none at all.
        self.left_state = False

    def given(self, batch: Batch) -> Sample:
        """The batch as the model takes it."""
        sample = sample_of(self.model, batch)
        return sample.copy() if self._to_input is None else sample.with_images(self._to_input(sample.images))

    def __call__(self, batch: Batch) -> Any:
        """The model's answer; of a model in a loop its T answers."""
        sample = self.given(batch)
        try:
            return self._call(sample)(sample)
        finally:
            if self._state is not None:
                self.left_state = bool(self._state.changed())
                self._state.restore()

    def _call(self, sample: Sample) -> Call:
        if self._loop is None:
            return lambda given: given.call(self.model)
        images = sample.images
        frames = images.ndim in (3, 5) and images.shape[1] == self._loop
        return in_a_loop(self.model, self._loop, frames)


def class_scores(answer: Any, images: int, steps: int | None) -> Tensor | None:
    """Class scores, images x classes, in what a network answered; None where there are none."""
    return AccuracyMeter(steps).scores(answer_of(answer), images)
