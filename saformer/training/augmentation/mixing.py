"""Soft targets: label smoothing and mixup."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from saformer.devices import sent
from saformer.training.augmentation.draws import Chunk, drawn


def soft_targets(labels: Tensor, classes: int, smoothing: float) -> Tensor:
    """Labels B (x T) -> B (x T) x classes, float32, rows summing to 1: 1 - smoothing on the label, the rest over all.

    The cross-entropy with these is `F.cross_entropy(scores, labels, label_smoothing=smoothing)`.
    """
    return F.one_hot(labels.to(torch.int64), classes).float().mul_(1 - smoothing).add_(smoothing / classes)


class Mixup:
    """Each sample is blended with another, and so are their targets (Zhang et al., 2018).

    As in timm's mode "batch": one weight from Beta(alpha, alpha) for the whole chunk, and the partner of sample i is
    sample B - 1 - i. A sample that is its own partner (the middle one of an odd chunk) stays as it is.

    Args:
        alpha: of the Beta distribution; the smaller, the closer the weights are to 0 and 1.
        probability: that a chunk is blended at all.
    """

    def __init__(self, alpha: float, probability: float) -> None:
        self.alpha, self.probability = alpha, probability

    def __call__(self, inputs: Tensor, targets: Tensor, chunks: Sequence[Chunk]) -> tuple[Tensor, Tensor]:
        """B x ... and B x classes, floating; the arguments are left alone."""
        weights, offsets = drawn(chunks, self._draw)
        if not weights.any():
            return inputs, targets
        partners = sent(torch.arange(len(inputs)) + offsets, inputs.device)
        weights = sent(weights.to(inputs.dtype), inputs.device)

        def blended(values: Tensor) -> Tensor:
            # a + w (b - a): with b = a or w = 0 the sample comes out as it went in, to the last bit.
            return values.lerp(values[partners], weights.view(-1, *[1] * (values.ndim - 1)))

        return blended(inputs), blended(targets)

    def _draw(self, size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What each sample takes of its partner, and where that stands, seen from it."""
        weight = random.beta(self.alpha, self.alpha)
        mixed = random.random() < self.probability
        return np.full(size, (1 - weight) * mixed), size - 1 - 2 * np.arange(size)
