"""Where T and the kind of input come from: what somebody said, settings, layers; one step of a network in a loop."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import Profile, inside
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.analysis.recording.beforehand.inputs import Sample
from saformer.analysis.recording.beforehand.shown import Shown
from saformer.models.config import Model

Call = Callable[[Sample], Any]


class Answers(list[Any]):
    """What one step of a network answered, call by call."""


def answer_of(output: Any) -> Any:
    """What the model answered; of several calls their mean, which is the training script's and no part of the model."""
    if not isinstance(output, Answers):
        return output
    return torch.stack(output).mean(0) if all(isinstance(x, Tensor) for x in output) else output[-1]


def in_a_loop(model: nn.Module, steps: int, frames: bool) -> Call:
    """What calls the model `steps` times per sample, its state kept in between; see `answer_of`.

    Args:
        model: one step of a network.
        steps: T.
        frames: each call gets one frame of B x T x ...; else all get the same.
    """

    def run(sample: Sample) -> Any:
        return Answers(
            (sample.with_images(sample.images[:, t]) if frames else sample.copy()).call(model) for t in range(steps)
        )

    return run


def read_from(model: nn.Module, said: int | None, kind: bool) -> dict[str, str]:
    """Where T and the kind of input were read, as far as that is known before the run, for its record.

    Args:
        model: what is run.
        said: T, if somebody said.
        kind: somebody said the kind of input.
    """
    steps: StepsFrom | None = None
    if said:
        steps = StepsFrom.GIVEN
    elif isinstance(model, Model):
        origin = model.origin
        sources = {a.setting: a.source for a in origin.assumptions} if origin else {}
        events = model.config.input_kind == "events"  # whose frames decide
        found = {"default": StepsFrom.DEFAULT, "given": StepsFrom.FRAMES if events else StepsFrom.GIVEN}
        settings = StepsFrom.FRAMES if events else StepsFrom.SETTINGS
        stored = StepsFrom.CHECKPOINT if origin else settings
        steps = found.get(sources.get("time_steps", ""), stored)
    record = {} if steps is None else {"time_steps_from": str(steps)}
    return record | ({"kind_from": str(StepsFrom.GIVEN)} if kind else {})


def taken_for_time(model: str, frames: int | None) -> str:
    """What is wrong where a model takes the images of a batch for time steps.

    Args:
        model: what it is called.
        frames: of event data.
    """
    flag, shown = f"--time-first {frames or 'T'}", "gives it T x B x ..." if frames else "shows each image T times"
    return (
        f"{model} takes the images of a batch for time steps: what one leaves in its neurons, the next one meets, and "
        f"each would be charged as a single step. {flag} {shown} (in Python time_steps=T and to_input=...), and its "
        "energy is that of T steps"
    )


def open_steps(result: Profile, frames: int, said: int | None, shown: Shown) -> str | None:
    """Why T may be more than the one step that was seen; None where it is known.

    Args:
        result: of the run.
        frames: of the input.
        said: T, if somebody said.
        shown: by a dry run.
    """
    if said is None and shown.as_time is None:
        return (
            "the model runs on the images of a batch one after the other, and none was seen to change the next: T is "
            "not known, and --time-steps says it; a model that takes T x B x ... wants --time-first T, else these are "
            "the numbers of one step"
        )
    if said is None and shown.channels_as_time:
        return (
            "the model runs on the channels of an image one after the other, as if they were time steps: T is not "
            "known; a model that takes B x T x ... wants --time-axis 1 --time-steps T, and its energy is that of T "
            "steps of the whole image"
        )
    if said is not None or result.model.time_steps != 1:
        return None
    if frames > 1:
        return (
            f"the input has {frames} frames, and the layers were seen to run once: T is not known, and "
            "--time-steps says it"
        )
    layers = [layer.name for layer in result.neurons]
    functions = any(name.endswith(" (input)") for name in layers)  # their state may be anywhere
    if any(functions or any(inside(name, layer) for layer in layers) for name in shown.changed):
        return (
            "the neurons keep a state between calls, and ran once per sample: if the loop over time stands outside "
            "the model, these are the numbers of one step, and --loop T gives those of T"
        )
    return None
