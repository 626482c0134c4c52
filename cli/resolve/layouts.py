"""Which options would lay out the input as a user's own model takes it, found by trying them where it failed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saformer.cli.options.layout import LayoutOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.resolve.foreign import model_input
from saformer.user_code import faults, process_kept
from saformer.user_code import words as said

if TYPE_CHECKING:
    from torch import Tensor, nn

_STEPS = 4  # where nobody said T
_SAMPLES = 3  # neither T nor a divisor of it, so that one is not taken for the other
# What PyTorch and user code raise where a shape is not the one they expect.
_OF_SHAPES = (RuntimeError, ValueError, IndexError, AssertionError, TypeError)


def layout_advice(
    model: "nn.Module", options: ModelOptions, batch: Callable[[int], Any]
) -> Callable[[BaseException], str]:
    """What makes the end of a message about a model that failed on its input.

    Args:
        model: it.
        options: how its input was laid out.
        batch: makes a batch of so many samples, on the model's device.
    """

    def advice(error: BaseException) -> str:
        import torch

        if not isinstance(error, _OF_SHAPES):
            return ""
        try:
            samples = batch(_SAMPLES)
        except Exception:  # the message is about another error
            return ""
        if not isinstance(samples, torch.Tensor):
            return ""
        was = f"; it was given {_given(samples, options)}"
        if runs := [words for words, other in _others(samples, options) if _runs(model, samples, other)]:
            return f"{was}, and runs {' or '.join(runs)}"
        return f"{was}, and no other layout runs: does it take a batch B, of samples of this shape?"

    return advice


def _given(samples: "Tensor", options: ModelOptions) -> str:
    """The shape that the model got, such as `T x B x 1 x 28 x 28`."""
    axis = 0 if options.time_first is not None else options.time_axis
    timed = samples.ndim in (3, 5)
    words = ["B", *map(str, samples.shape[1:] if axis is None else samples.shape[1 + timed :])]
    if axis is not None:
        words.insert(axis if axis >= 0 else len(words) + 1 + axis, "T")
    return " x ".join(words)


def _others(samples: "Tensor", options: ModelOptions) -> Iterator[tuple[str, ModelOptions]]:
    """Other layouts of the same samples: the options, as typed, and what they make."""
    if not samples.is_floating_point():
        return
    plain = replace(options, time_first=None, time_axis=None, loop=None, time_steps=None)
    timed = samples.ndim in (3, 5)  # series or event frames have a time of their own
    steps = samples.shape[1] if timed else options.steps or options.loop or _STEPS
    said = "" if timed else f" --time-steps {steps}"
    drop = "--loop" if options.loop else "--time-first" if options.time_first else "--time-axis"
    layouts = {
        f"with --time-first {steps}": replace(plain, time_first=steps),
        f"without {drop}": plain,
        f"with --loop {steps}": replace(plain, loop=steps),
        f"with --time-axis 1{said}": replace(plain, time_axis=1, time_steps=None if timed else steps),
        f"with --time-axis -1{said}": replace(plain, time_axis=-1, time_steps=None if timed else steps),
    }
    if timed:
        del layouts["with --time-axis 1"]  # as they are
    now = _key(options)
    yield from ((words, other) for words, other in layouts.items() if _key(other) != now)


def _key(options: LayoutOptions) -> tuple[int | None, int | None]:
    """What tells layouts apart, whatever T is."""
    axis = 0 if options.time_first is not None else options.time_axis
    return axis, None if options.loop is None else 1


def _runs(model: "nn.Module", samples: "Tensor", options: ModelOptions) -> bool:
    """Whether the model gives an answer for each sample, and keeps nothing for a next step where there is none."""
    import torch

    from saformer.analysis.recording.calling import NetworkCall, class_scores

    call = NetworkCall(model, model_input(options), options.loop)
    try:
        with faults(said), process_kept(), torch.inference_mode():
            answer = call(samples)
    except Exception:
        return False
    steps = options.steps or options.loop
    if steps is None and isinstance(answer, torch.Tensor) and answer.ndim == 3 and len(answer) != len(samples):
        steps = len(answer)  # it answers at each step of a loop of its own
    scores = class_scores(answer, len(samples), steps)
    whole = steps is not None or options.time_axis is not None
    return scores is not None and (whole or not call.left_state)
