"""Image files of one size, decoded when a batch asks for them."""

import math
import os
import threading
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from saformer.data.dataset import LazyImages
from saformer.errors import InputError, brief
from saformer.files import open_file

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("PNG", "JPEG", "PPM", "BMP", "TIFF", "WEBP")  # those of the suffixes that a folder is searched for
_MOST_PIXELS = 2**26  # of one image: the largest of ImageNet has fewer
_MANY_PIXELS = 2**22  # images of more are decoded one at a time, whatever the number of threads
_one_at_a_time = threading.Lock()

#: The part of the shorter side that is kept: 224 of 256 pixels.
CROP = 224 / 256


class ImageFiles(LazyImages):
    """Image files as N x 3 x S x S bytes: the shorter side scaled to S * 256 / 224 (bicubic), the middle cut out."""

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        super().__init__((len(paths), 3, size, size), torch.uint8)
        self._paths, self._size = tuple(paths), size

    def read(self, indices: list[int]) -> Tensor:
        """Decode the images of these indices, several at a time."""
        if not indices:
            return torch.empty((0, *self.shape[1:]), dtype=torch.uint8)
        # Pillow warns of large images, for which there is a bound here; a filter holds for all threads at once.
        with (
            warnings.catch_warnings(action="ignore"),
            ThreadPoolExecutor(min(len(indices), os.cpu_count() or 1, 16)) as threads,
        ):
            images = list(threads.map(lambda index: _decode(self._paths[index], self._size), indices))
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def _decode(path: Path, size: int) -> np.ndarray:
    """Decode one image to S x S x 3 bytes."""
    from PIL import Image

    # Decoders fail on damage in almost any way.
    try:
        with open_file(path) as content, Image.open(content, formats=_FORMATS) as file:
            pixels = math.prod(file.size)
            if pixels > _MOST_PIXELS:
                raise ValueError(f"it has {pixels:,} pixels, more than {_MOST_PIXELS:,}")
            with _one_at_a_time if pixels > _MANY_PIXELS else nullcontext():
                return _middle(file, size)
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be decoded as an image ({brief(error)}): copy it again, or take it away"
        ) from None


def _middle(file: "Image.Image", size: int) -> np.ndarray:
    """The middle of an opened image, as S x S x 3 bytes."""
    from PIL import Image

    # Pillow warns of what it drops where a palette has transparent colours, unless they become alpha first.
    transparent = file.mode == "P" and "transparency" in file.info
    image = (file.convert("RGBA") if transparent else file).convert("RGB")
    scaled = int(size / CROP)
    width, height = image.size
    shorter = min(width, height)
    sides = (int(scaled * width / shorter), int(scaled * height / shorter))
    if math.prod(sides) > _MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are no picture: scaled, it would have {math.prod(sides):,}")
    image = image.resize(sides, Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in sides)
    return np.asarray(image.crop((left, top, left + size, top + size)))
