"""Whether a foreign model takes the images of a batch, or their channels, for time steps.

A model that loops over the first dimension of T x B x ... runs on B x C x H x W, too, and so may one that loops over
the second of B x T x ...: their numbers look like any others.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.recording.beforehand.inputs import Sample
from saformer.analysis.recording.beforehand.plain_modules import named_modules
from saformer.analysis.recording.beforehand.spikingjelly_backend import is_multi_step
from saformer.analysis.recording.origins.storage_map import tensors_in

#: Runs the model on a sample while a mode watches, and brings its state back.
Trial = Callable[[Sample, AbstractContextManager[Any]], Any]
_ALIKE = 1e-4  # of the largest value of a tensor: the same image may be rounded otherwise in another batch


class _Results(TorchDispatchMode):
    """Counts the operators that run, and keeps what they put out where that is wanted."""

    def __init__(self, keeping: bool = False) -> None:
        super().__init__()
        self.count, self._keeping = 0, keeping
        self.kept: list[Tensor] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Compiled parts run as they were written, as under the recorder."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        out = func(*args, **(kwargs or {}))
        self.count += 1
        if self._keeping:
            self.kept += [x.clone() for x in tensors_in((out,)) if x.is_floating_point()]
        return out


@contextmanager
def steps_given(model: nn.Module) -> Iterator[list[int]]:
    """In the block, the first dimension of what neurons get that take it for time by the word of their library."""
    given: list[int] = []

    def note(_: nn.Module, args: tuple[Any, ...]) -> None:
        given.extend(len(x) for x in args[:1] if isinstance(x, Tensor) and x.ndim)

    hooks = [module.register_forward_pre_hook(note) for _, module in named_modules(model) if is_multi_step(module)]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True, order=True)
class Pass:
    """A pass over so many images: how many operators ran, and what `steps_given` had; fewer images come first."""

    images: int
    operators: int
    steps: list[int]


def images_as_time(trial: Trial, sample: Sample, fewer: Pass, more: Pass) -> bool | None:
    """Whether the model runs on one image of a batch after the other, and one changes what the next one meets.

    Neurons in SpikingJelly's multi-step mode say that their first dimension is time: images must not be there. Of any
    other model more images make more operators run, which they do in no other way. Then each of three images in turn is
    changed: the first result that depends on several of them depends on the first two alone where a membrane goes from
    one to the next, and on all where images are put together after the loop.

    Args:
        trial: runs the model.
        sample: a batch.
        fewer: what ran on some images.
        more: what ran on more.

    Returns:
        True: they are time steps. None: it loops over images, and no image was seen to change another. False: neither.
    """

    def run(given: Sample, keeping: bool = False) -> _Results:
        watch = _Results(keeping)
        trial(given, watch)
        return watch

    if any(b * fewer.images == a * more.images for a, b in zip(fewer.steps, more.steps, strict=False)):
        return True
    if fewer.operators >= more.operators:
        return False
    two, three = run(sample.repeated(2)), sample.repeated(3)
    plain = run(three, keeping=True)
    if two.count >= plain.count:  # of one image alone some operators need not run
        return False
    changed = (run(three.with_another(row), keeping=True).kept for row in range(3))
    return True if _handed_on(plain.kept, *changed) else None


def channels_as_time(trial: Trial, sample: Sample) -> bool:
    """Whether the model runs on the channels of an image one after the other, as many as there are: B x T x ..., to it.

    Args:
        trial: runs the model.
        sample: a batch of static images.
    """
    counts = []
    for times in (2, 1):  # mostly the first of them fails at once
        watch, few = _Results(), sample.repeated(2)
        try:
            trial(few.with_images(few.images.repeat(1, times, 1, 1)), watch)
        except Exception:  # most models have a layer for so many channels
            return False
        counts.append(watch.count)
    return counts[0] > counts[1]


def _handed_on(plain: Sequence[Tensor], *changed: Sequence[Tensor]) -> bool:
    """Whether the first result that depends on several images has a number that depends on the first two alone."""
    for x, *others in zip(plain, *changed, strict=False):
        if any(x.shape != other.shape for other in others):
            return False  # the model took another way: results cannot be laid side by side
        first, second, third = (_differs(x, other) for other in others)
        if bool(((first & second) | (second & third) | (first & third)).any()):
            return bool((first & second & ~third).any())
    return False


def _differs(x: Tensor, other: Tensor) -> Tensor:
    """Where two results are not the same, up to rounding."""
    x, other = x.nan_to_num(), other.nan_to_num()
    most = x.abs().max() if x.numel() else torch.zeros((), device=x.device)
    return (x - other).abs() > _ALIKE * most
