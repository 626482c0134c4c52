"""One run of a model: what is known before, what each batch adds, and the profile at the end."""

import gc
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import saformer
from saformer.analysis.profiles import DataInfo, ModelInfo, Profile
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.analysis.recording import flop_check
from saformer.analysis.recording.accuracy import AccuracyMeter
from saformer.analysis.recording.beforehand.dry_run import DryRun
from saformer.analysis.recording.beforehand.input_kind import doubt_of_events, input_kind
from saformer.analysis.recording.beforehand.inputs import Batch, Sample, sample_of
from saformer.analysis.recording.beforehand.model_state import State
from saformer.analysis.recording.beforehand.plain_modules import evaluating, hidden_modules, parameters, unwrapped
from saformer.analysis.recording.beforehand.shown import Shown
from saformer.analysis.recording.beforehand.spikingjelly_backend import remark_on, running_without_kernels
from saformer.analysis.recording.beforehand.steps_and_kind import (
    Call,
    answer_of,
    in_a_loop,
    open_steps,
    read_from,
    taken_for_time,
)
from saformer.analysis.recording.collect import collect
from saformer.analysis.recording.module_log import ModuleLog
from saformer.analysis.recording.recorder import Recorder
from saformer.errors import InputError
from saformer.models.config import Model
from saformer.process import somebody_froze
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


class Session:
    """Runs a model batch by batch, inside `running()`; see `saformer.analysis.profile` for the arguments."""

    def __init__(
        self,
        model: nn.Module,
        *,
        data: str,
        split: str | None,
        kind: str | None,
        name: str | None,
        time_steps: int | None,
        loop: int | None,
        neurons: Sequence[str],
        settings: dict[str, Any],
        graded: bool,
        to_input: Callable[[Tensor], Tensor] | None,
        log: ModuleLog | None = None,
    ) -> None:
        self._log = log
        self._model = unwrapped(model)
        self._info = describe_model(self._model, name, time_steps or loop)
        self._said_steps, self._loop = time_steps, loop
        self._known_steps = time_steps or getattr(getattr(self._model, "config", None), "time_steps", None)
        self._kind_given = kind is not None
        self._device = next((parameter.device for parameter in parameters(self._model)), torch.device("cpu"))
        self._data, self._split, self._kind, self._settings = data, split, kind, settings
        self._neurons, self._graded, self._to_input = neurons, graded, to_input
        self._call: Call = lambda sample: sample.call(self._model)
        self._accuracy = AccuracyMeter()  # until the first batch shows T
        self._recorder: Recorder | None = None
        self._example: Sample | None = None
        self._state: State | None = None
        self._notes: list[str] = []
        self._left: list[str] = []
        self._frames: int | None = None
        self._dry_run: DryRun | None = None  # until the first batch has run
        self._shown = Shown()

    @property
    def images(self) -> int:
        """Images so far."""
        return 0 if self._recorder is None else sum(self._recorder.batch_sizes)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The model in evaluation mode, without gradients, on kernels that this machine has."""
        with (
            _collecting_new_objects(),
            evaluating(self._model),
            torch.inference_mode(),
            running_without_kernels(self._model, self._device) as told,
        ):
            # Our own models carry no state and say how they lay out time.
            self._state = None if isinstance(self._model, Model) else State(self._model)
            self._notes += [remark_on(told)] if told else []
            yield

    def add(self, batch: Batch) -> int:
        """Run a batch; the number of its images.

        Raises:
            InputError: input or labels do not fit the model.
        """
        sample = sample_of(self._model, batch).to(self._device)
        if not len(sample):
            return 0
        recorder = self._recorder or self._begin(sample)
        draws = _Draws(self._device)
        given = self._input(sample)
        recorder.start_batch(given.tensors, sample.images)
        with nullcontext() if self._dry_run is None else self._dry_run.beside(recorder):
            output = self._run(recorder, sample, given, draws)
            recorder.end_batch(output)
        if self._state is not None:
            self._left = self._left or self._state.left_over()
            self._state.restore()
        if self._dry_run is not None:  # of the first batch
            if self._dry_run.compare().as_time:
                raise InputError(taken_for_time(type(self._model).__name__, self._frames))
            self._dry_run = None
        self._accuracy.add(answer_of(output), sample.labels, len(sample))
        return len(sample)

    def _run(self, recorder: Recorder, sample: Sample, given: Sample, draws: "_Draws") -> Any:
        """Run the model; once more where it leaves the plan, by the same random numbers."""
        try:
            with recorder.recording():
                output = self._call(given)
            if not recorder.departed():
                return output
        except InputError:
            if not recorder.planned:
                raise  # a batch that is judged says what is not finite, and where
        if self._state is not None:
            self._state.restore()
        draws.restore()
        given = self._input(sample)
        recorder.start_again(given.tensors)
        with recorder.recording():
            return self._call(given)

    def _begin(self, sample: Sample) -> Recorder:
        """Look at the first batch, and at how a model that is not ours runs on a few of its images."""
        images = sample.images
        self._example = sample.first(1)
        if self._kind is None:
            self._kind, likely = input_kind(images)
        else:
            likely = doubt_of_events(images) if self._kind == "events" else None
        self._notes += [] if likely is None else [likely]
        frames = images.shape[1] if self._kind == "events" and images.ndim in (3, 5) else None
        self._frames = frames
        if self._loop is not None:
            self._call = in_a_loop(self._model, self._loop, frames=frames == self._loop)
        self._accuracy = AccuracyMeter(self._known_steps or self._loop or frames)
        shown = None
        if self._state is not None:
            self._dry_run = DryRun(
                self._model,
                self._call,
                sample,
                self._known_steps,
                self._to_input,
                self._state,
                self._accuracy,
                self._neurons,
            )
            self._shown = shown = self._dry_run.look()
        self._recorder = Recorder(self._model, self._known_steps, self._graded, shown, self._neurons, log=self._log)
        return self._recorder

    def _input(self, sample: Sample) -> Sample:
        """What the model is given. It may write into that: the caller's batch stays as it is."""
        return sample.copy() if self._to_input is None else sample.with_images(self._to_input(sample.images.clone()))

    def collect(self) -> Profile:
        """The profile of the images so far.

        Raises:
            InputError: there are none.
        """
        if self._recorder is None or self._example is None:
            raise InputError("there is no image to run the model on")
        settings = {
            **_versions(self._example.images),
            "device": str(self._device),
            "graded": self._graded,
            **read_from(self._model, self._said_steps or self._loop, self._kind_given),
            **({} if self._loop is None else {"loop": self._loop}),
            **({"fold": True} if getattr(self._model, "folded", False) is True else {}),
            "classes": getattr(getattr(self._model, "config", None), "num_classes", None) or self._accuracy.classes,
            **self._settings,
        }
        data = DataInfo(self._data, self._split, 0, self._kind or "static")
        result = collect(self._recorder, self._accuracy, self._info, data, settings)
        if result.model.time_steps is None or "time_steps_from" in settings:
            return result
        return replace(result, run={**result.run, "time_steps_from": str(StepsFrom.LAYERS)})

    def profile(self) -> Profile:
        """The same, with what is to be said of model and data."""
        result = self.collect()
        notes = [*self._notes, *self._shown.notes, *_notes_on(hidden_modules(self._model), self._left)]
        said = self._said_steps or self._loop
        if (why := open_steps(result, self._frames or 1, said, self._shown)) is not None:
            notes.append(why)
            result = replace(result, model=replace(result.model, time_steps=None))
        return replace(result, notes=(*notes, *result.notes))

    def checked(self, profile: Profile) -> Profile:
        """The profile with a note for each module on whose dense operations fvcore disagrees, and what only fvcore saw
        among what was not counted.
        """
        assert self._example is not None  # of a profile there was one
        try:
            return flop_check.checked(profile, self._model, self._input(self._example), self._loop or 1)
        finally:
            if self._state is not None:
                self._state.restore()


class _Draws:
    """PyTorch's random numbers from here on, for a batch that may have to run again."""

    def __init__(self, device: torch.device) -> None:
        self._on_cuda = device.type == "cuda"
        self._state = torch.get_rng_state(), torch.cuda.get_rng_state(device) if self._on_cuda else None
        self._device = device

    def restore(self) -> None:
        """Draw the same again."""
        here, there = self._state
        torch.set_rng_state(here)
        if there is not None:
            torch.cuda.set_rng_state(there, self._device)


@contextmanager
def _collecting_new_objects() -> Iterator[None]:
    """In the block Python's collector looks for cycles among objects of the block alone: those that are there already,
    modules and classes, are many, and looking through them takes a tenth of a second each time.
    """
    if somebody_froze():  # what is let go of here would be let go of there
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _notes_on(hidden: Sequence[str], left: Sequence[str]) -> Iterator[str]:
    """What is to be said of modules that a model hides, and of state that it came with."""
    if hidden:
        yield (
            f"{len(hidden)} modules are held by plain lists or dictionaries ({some(hidden)}): the model's own "
            "parameters() does not see them"
        )
    if left:
        yield (
            f"the model came with a state that an earlier call left ({some(left)}): reset it first, or the "
            "first steps of every batch start from there"
        )


def _versions(images: Tensor) -> dict[str, Any]:
    """What a run is repeated with, and the type and shape of one input."""
    return {
        "saformer": saformer.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "dtype": str(images.dtype).removeprefix("torch."),
        "input_shape": list(images.shape[1:]),
    }
