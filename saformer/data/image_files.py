"""Image files of one size, decoded when a batch asks for them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saformer.data.dataset import LazyImages
from saformer.errors import InputError, brief

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
        with ThreadPoolExecutor(min(len(indices), os.cpu_count() or 1, 16)) as threads:
            images = list(threads.map(lambda index: _decode(self._paths[index], self._size), indices))
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def _decode(path: Path, size: int) -> np.ndarray:
    """Decode one image to S x S x 3 bytes."""
    from PIL import Image

    # Decoders fail on damage in almost any way.
    try:
        with Image.open(path) as file:
            # Pillow warns of what it drops where a palette has transparent colours, unless they become alpha first.
            transparent = file.mode == "P" and "transparency" in file.info
            image = (file.convert("RGBA") if transparent else file).convert("RGB")
        scaled = int(size / CROP)
        width, height = image.size
        if width <= height:
            image = image.resize((scaled, int(scaled * height / width)), Image.Resampling.BICUBIC)
        else:
            image = image.resize((int(scaled * width / height), scaled), Image.Resampling.BICUBIC)
        left, top = (round((side - size) / 2) for side in image.size)
        return np.asarray(image.crop((left, top, left + size, top + size)))
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} cannot be decoded as an image ({brief(error)}): copy it again, or take it away"
        ) from None
