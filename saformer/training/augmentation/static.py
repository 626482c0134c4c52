"""Augmentation of static images: random crop, mirror image, random erasing."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from saformer.devices import sent
from saformer.training.augmentation.draws import Chunk, drawn
from saformer.training.augmentation.resampling import Resampling, boxes


class CropAndFlip:
    """The random crop of a padded image, which is a shift, and the mirror image.

    Args:
        shift: each image moves by -shift to shift pixels down and right; 4 is the usual crop of CIFAR.
        flip: half of the images, by chance, are mirrored left to right.
        black: what comes in at the edges, as stored.
    """

    def __init__(self, shift: int, flip: bool, black: float) -> None:
        self.shift, self.flip, self.black = shift, flip, black

    def __call__(self, images: Tensor, chunks: Sequence[Chunk]) -> Tensor:
        """B x C x H x W of any type, each image moved and mirrored on its own."""
        batch, _, height, width = images.shape
        resampling = Resampling(batch, height, width)
        mirrored, moved = drawn(chunks, self._draw)
        if self.flip:
            resampling.flip(mirrored)
        resampling.shift(*moved)
        return resampling(images, self.black)

    def _draw(self, batch: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        # Both are always drawn, the one that uses the same number of random bits first: so that switching one on
        # or off leaves the other as it was.
        mirrored = random.integers(2, size=batch).astype(bool)
        return mirrored, random.integers(-self.shift, self.shift + 1, (2, batch))


class RandomErasing:
    """A rectangle of some images is blotted out (Zhong et al., AAAI 2020), as in timm's mode "const".

    The rectangle covers 2 % to a third of the image at an aspect ratio of 0.3 to 1/0.3, lies inside it, and is drawn
    up to ten times until it fits. It is filled with 0, which after normalisation is the mean colour of the data set:
    Spikformer's published CIFAR-10 configuration has `reprob: 0.25, remode: const`.

    Args:
        probability: share of the images that is erased from, 0 to 1.
    """

    AREA = (0.02, 1 / 3)
    ASPECT = (0.3, 1 / 0.3)
    ATTEMPTS = 10

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, images: Tensor, chunks: Sequence[Chunk]) -> Tensor:
        """B x C x H x W, normalised and floating; the input is left alone."""
        height, width = images.shape[-2:]
        (rectangles,) = drawn(chunks, lambda batch, random: (self._draw(batch, random, height, width),))
        covered = boxes(rectangles, height, width)
        return images.masked_fill(sent(covered[:, None], images.device), 0.0)

    def _draw(self, batch: int, random: np.random.Generator, height: int, width: int) -> np.ndarray:
        """Top, left and sides of a rectangle for each image: 4 x B."""
        chosen = random.random(batch) < self.probability
        area = random.uniform(*self.AREA, (self.ATTEMPTS, batch)) * height * width
        aspect = np.exp(random.uniform(math.log(self.ASPECT[0]), math.log(self.ASPECT[1]), (self.ATTEMPTS, batch)))
        heights = np.rint(np.sqrt(area * aspect)).astype(np.int64)
        widths = np.rint(np.sqrt(area / aspect)).astype(np.int64)
        fits = (heights < height) & (widths < width)
        first = fits.argmax(0), np.arange(batch)
        # An image on which no attempt fits stays whole: a rectangle of no height.
        heights, widths = heights[first] * (chosen & fits.any(0)), widths[first]
        top, left = random.integers(0, height - heights + 1), random.integers(0, np.maximum(width - widths, 0) + 1)
        return np.stack([top, left, heights, widths])
