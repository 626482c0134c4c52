"""Augmentation of event frames: one transform per sample, the same at all its time steps."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from saformer.training.augmentation.draws import Chunk, drawn
from saformer.training.augmentation.resampling import Resampling, boxes

_Matrix = tuple[tuple[float, float], tuple[float, float]]
_IDENTITY: _Matrix = ((1.0, 0.0), (0.0, 1.0))


class EventTransforms:
    """The neuromorphic data augmentation of Li et al. (NDA, ECCV 2022), in the form that Spikformer trains with.

    A sample is mirrored with a chance of one half. Then one transform is drawn for it, each with the same chance:
    none, or one of those switched on. Pixels are copied from the nearest and never blended, so numbers of events
    stay whole; what comes in is empty.

    Differences from the published code: NDA's roll wraps around, as here, where Spikformer's translation along one
    axis does not; the magnitudes are drawn from a continuous range instead of 31 values; a cutout is a square of 1 to
    `cutout` pixels with its centre anywhere in the frame, cut off at the edge, where NDA's has a fixed side.

    Args:
        flip: half of the samples are mirrored left to right.
        roll: up to so many pixels down or up, and right or left; 5 in both.
        rotation: up to so many degrees either way, about the centre; 30 in both.
        shear: up to so many degrees either way, along the rows; 30 in NDA, 17.2 (0.3 rad) in Spikformer.
        cutout: longest side of the square that is emptied, pixels.
    """

    def __init__(self, flip: bool, roll: int, rotation: float, shear: float, cutout: int) -> None:
        self.flip, self.roll, self.rotation, self.shear, self.cutout = flip, roll, rotation, shear, cutout
        switches = {"roll": roll, "rotation": rotation, "shear": shear, "cutout": cutout}
        self.choices = ("none", *(name for name, value in switches.items() if value))

    def __call__(self, frames: Tensor, chunks: Sequence[Chunk]) -> Tensor:
        """B x T x C x H x W of any type; the input is left alone."""
        height, width = frames.shape[-2:]
        mirrored, rolled, angles, slants, squares = drawn(
            chunks, lambda batch, random: self._draw(batch, random, height, width)
        )
        resampling = Resampling(len(frames), height, width)
        resampling.cut(boxes(squares, height, width))
        if self.rotation or self.shear:
            matrices = [
                _rotation(angle) if angle else _shear(slant) if slant else _IDENTITY
                for angle, slant in zip(angles.tolist(), slants.tolist(), strict=True)
            ]
            resampling.affine(torch.tensor(matrices, dtype=torch.float64))
        resampling.roll(*rolled)
        if self.flip:
            resampling.flip(mirrored)
        return resampling(frames, 0)

    def _draw(self, batch: int, random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, ...]:
        """For each sample: whether it is mirrored, two ways to roll, two angles, and the square to empty."""
        mirrored = random.integers(2, size=batch).astype(bool)
        chosen = np.array(self.choices)[random.integers(len(self.choices), size=batch)]
        rolled = random.integers(-self.roll, self.roll + 1, (2, batch)) * (chosen == "roll")
        angles = random.uniform(-self.rotation, self.rotation, batch) * (chosen == "rotation")
        slants = random.uniform(-self.shear, self.shear, batch) * (chosen == "shear")
        sides = random.integers(1, max(self.cutout, 1) + 1, batch) * (chosen == "cutout")
        middle = random.integers(0, [[height], [width]], (2, batch))
        return mirrored, rolled, angles, slants, np.stack([*(middle - sides // 2), sides, sides])


def _rotation(degrees: float) -> _Matrix:
    """On row and column, counter-clockwise as seen (rows count downwards)."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return ((cosine, -sine), (sine, cosine))


def _shear(degrees: float) -> _Matrix:
    """Columns move in proportion to the row: column + tan(degrees) * row."""
    return ((1.0, 0.0), (math.tan(math.radians(degrees)), 1.0))
