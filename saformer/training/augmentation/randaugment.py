"""RandAugment (Cubuk et al., 2020) with the operations and magnitudes of timm's `rand-mM-n1-mstd0.4-inc1`."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from saformer.training.augmentation.draws import Chunk, drawn

MAGNITUDE_STD = 0.4
MAGNITUDE_MAX = 10.0
PROBABILITY = 0.5

_Colour = tuple[int, ...]
# image, level (0 to 1), sign (-1 or 1), colour that comes in at the edges -> image
_Operation = Callable[[Image.Image, float, int, _Colour], Image.Image]


def _affine(image: Image.Image, matrix: tuple[float, ...], fill: _Colour) -> Image.Image:
    colour = fill if len(fill) > 1 else fill[0]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=colour)


def _rotate(image: Image.Image, level: float, sign: int, fill: _Colour) -> Image.Image:
    colour = fill if len(fill) > 1 else fill[0]
    return image.rotate(sign * 30 * level, Image.Resampling.BICUBIC, fillcolor=colour)


def _enhance(kind: Callable[[Image.Image], "ImageEnhance._Enhance"]) -> _Operation:
    # A factor of 1 changes nothing; both ways from it the change grows with the level.
    return lambda image, level, sign, _: kind(image).enhance(max(0.1, 1 + sign * 0.9 * level))


def _solarize_add(image: Image.Image, level: float, sign: int, fill: _Colour) -> Image.Image:
    added = int(110 * level)
    table = [min(255, value + added) if value < 128 else value for value in range(256)]
    return image.point(table * len(image.getbands()))


#: The fifteen operations of timm's "increasing" list, by their names there.
OPERATIONS: dict[str, _Operation] = {
    "AutoContrast": lambda image, level, sign, fill: ImageOps.autocontrast(image),
    "Equalize": lambda image, level, sign, fill: ImageOps.equalize(image),
    "Invert": lambda image, level, sign, fill: ImageOps.invert(image),
    "Rotate": _rotate,
    # At level 1 timm keeps no bit, which is a black image; Pillow no longer accepts that, and nobody misses it.
    "PosterizeIncreasing": lambda image, level, sign, fill: ImageOps.posterize(image, max(1, 4 - int(4 * level))),
    "SolarizeIncreasing": lambda image, level, sign, fill: ImageOps.solarize(image, 256 - int(256 * level)),
    "SolarizeAdd": _solarize_add,
    "ColorIncreasing": _enhance(ImageEnhance.Color),
    "ContrastIncreasing": _enhance(ImageEnhance.Contrast),
    "BrightnessIncreasing": _enhance(ImageEnhance.Brightness),
    "SharpnessIncreasing": _enhance(ImageEnhance.Sharpness),
    "ShearX": lambda image, level, sign, fill: _affine(image, (1, sign * 0.3 * level, 0, 0, 1, 0), fill),
    "ShearY": lambda image, level, sign, fill: _affine(image, (1, 0, 0, sign * 0.3 * level, 1, 0), fill),
    "TranslateXRel": lambda image, level, sign, fill: _affine(
        image, (1, 0, sign * 0.45 * level * image.width, 0, 1, 0), fill
    ),
    "TranslateYRel": lambda image, level, sign, fill: _affine(
        image, (1, 0, 0, 0, 1, sign * 0.45 * level * image.height), fill
    ),
}


class RandAugment:
    """One operation per image, drawn from `OPERATIONS` and applied to half of the images, by chance.

    The magnitude of each image is drawn from a normal distribution around `magnitude` with a deviation of 0.4 and cut
    off at 0 and 10; the direction of an operation that has two is drawn too. All of it runs in Pillow on bytes, as in
    timm, so the same draws give the same bytes on every device.

    Args:
        magnitude: 0 to 10; 9 in `rand-m9-n1-mstd0.4-inc1`, the setting published for Spikformer and the Spike-driven
            Transformer. (Spikformer's code crosses ten operations off the list: it keeps Equalize, Rotate, ShearX,
            TranslateXRel and TranslateYRel.)
        fill: what comes in at the edges, a byte per channel; timm takes the mean colour of the data set.
    """

    def __init__(self, magnitude: float, fill: Iterable[int]) -> None:
        self.magnitude, self.fill = magnitude, tuple(fill)

    def __call__(self, images: Tensor, chunks: Sequence[Chunk]) -> Tensor:
        """B x C x H x W bytes, C = 1 or 3; the input is left alone."""
        names, applied, levels, signs = (found.numpy() for found in drawn(chunks, self._draw))
        operations = list(OPERATIONS.values())
        # Pillow takes the channels last, and none for grey images.
        pixels = images.permute(0, 2, 3, 1).cpu().contiguous().numpy().copy()
        for index in np.flatnonzero(applied):
            view = pixels[index, :, :, 0] if pixels.shape[-1] == 1 else pixels[index]
            image = Image.fromarray(view)
            view[...] = operations[names[index]](image, float(levels[index]), int(signs[index]), self.fill)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(images.device)

    def _draw(self, batch: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        """For each image: which operation, whether it is applied, its level and its sign."""
        names = random.integers(len(OPERATIONS), size=batch)
        applied = random.random(batch) < PROBABILITY
        levels = random.normal(self.magnitude, MAGNITUDE_STD, batch).clip(0, MAGNITUDE_MAX) / MAGNITUDE_MAX
        return names, applied, levels, random.choice([-1, 1], batch)
