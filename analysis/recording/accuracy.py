"""Right predictions of a run: class scores, found in whatever a model puts out, beside labels."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.profiles import Correct
from saformer.data.dataset import check_labels
from saformer.errors import InputError


class AccuracyMeter:
    """Counts right predictions, on the model's device.

    Scores are B x classes; T x B x classes, of which the mean over T counts; B x T x classes or a list of T times
    B x classes, where T is known. Of an object or dictionary they are its `logits`, or its only tensor; of a tuple the
    first that is no single number (a loss), and so inwards. Where one batch gives no scores, there is no accuracy.
    Where labels are B x T and scores B x T x classes, as of language models, each position is a prediction.

    Args:
        steps: T, if somebody knows.
    """

    def __init__(self, steps: int | None = None) -> None:
        self._steps = steps
        self._labelled = 0
        self._classes = 0
        self._top1, self._top5 = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)
        self._unread = False
        self._other: torch.Size | None = None
        self._axis: int | None = None  # which dimension held the images in a batch where only one could

    def learn(self, output: Any) -> None:
        """Look at what the model puts out for another number of images: it shows which dimension holds them."""
        scores = self._tensor_of(output)
        self._other = None if scores is None else scores.shape

    def add(self, output: Any, labels: Tensor | None, images: int) -> None:
        """Add a batch.

        Raises:
            InputError: the labels are not one class number per image or position, or the model has fewer classes.
        """
        if labels is None:
            return
        scores = self._tensor_of(output)
        if labels.ndim == 2 and scores is not None and scores.shape[:-1] == labels.shape:
            scores, labels = scores.flatten(0, 1), labels.flatten()
            images = len(labels)
        else:
            scores = self.scores(output, images)
        labels = _class_numbers(labels, images)
        if scores is None:
            self._unread = True
            return
        self._classes = scores.shape[1]
        check_labels(labels, self._classes)
        best = scores.topk(min(5, self._classes), dim=1).indices
        right = best.eq(labels.to(scores.device)[:, None])
        self._labelled += images
        self._top1 = self._top1.to(scores.device) + right[:, 0].sum()
        self._top5 = self._top5.to(scores.device) + right.any(1).sum()

    @property
    def classes(self) -> int | None:
        """Classes that the scores have; None where no labels came, or no scores."""
        return None if self._unread else self._classes or None

    def result(self) -> Correct | None:
        """Right predictions so far; None without labels or scores."""
        if not self._labelled or self._unread:
            return None
        return Correct(self._labelled, int(self._top1), int(self._top5) if self._classes >= 5 else None)

    def scores(self, output: Any, images: int) -> Tensor | None:
        """B x classes in what the model puts out; None where there are none."""
        scores = self._tensor_of(output)
        if scores is None or scores.ndim not in (2, 3) or not scores.shape[-1]:
            return None
        if scores.ndim == 2:
            return scores if len(scores) == images else None
        fitting = [axis for axis in (0, 1) if scores.shape[axis] == images]
        other = self._other
        if other is not None and len(other) == 3 and other != scores.shape:  # T, or classes, may be as many as images
            fitting = [axis for axis in fitting if other[axis] != scores.shape[axis]]
        fitting = [axis for axis in fitting if axis == 1 or scores.shape[1] == self._steps]  # else: B x classes x T?
        if len(fitting) > 1:
            fitting = [self._axis if self._axis is not None else 1]
        elif fitting:
            self._axis = fitting[0]
        return scores.mean(1 - fitting[0]) if fitting else None

    def _tensor_of(self, output: Any) -> Tensor | None:
        """The scores in what the model puts out: a tensor, or T of them."""
        if isinstance(output, Tensor):
            return output
        if isinstance(output, Mapping):
            tensors = [value for value in output.values() if isinstance(value, Tensor)]
            output = output.get("logits", tensors[0] if len(tensors) == 1 else None)
            return output if isinstance(output, Tensor) else None
        logits = getattr(output, "logits", None)
        if isinstance(logits, Tensor):
            return logits
        if isinstance(output, list) and len(output) > 1 and len(output) == self._steps:
            alike = all(isinstance(x, Tensor) and x.ndim == 2 and x.shape == output[0].shape for x in output)
            return torch.stack(output) if alike else None
        if isinstance(output, tuple | list):
            inner = next((x for x in output if not (isinstance(x, Tensor) and x.ndim == 0)), None)
            return None if inner is None else self._tensor_of(inner)
        return None


def _class_numbers(labels: Tensor, images: int) -> Tensor:
    """B whole numbers, of B or B x 1."""
    flat = labels.flatten() if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.shape != (images,) or flat.is_complex() or not bool((flat == flat.to(torch.int64)).all()):
        shape = " x ".join(map(str, labels.shape)) or "a single number"
        raise InputError(
            f"labels must be one whole number for each of {images} images, got {shape} of "
            f"{str(labels.dtype).removeprefix('torch.')}: of one-hot rows give argmax(1)"
        )
    return flat.to(torch.int64)
