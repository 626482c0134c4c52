"""Folders of images, such as ImageNet: a folder per class, decoded when a batch asks for them."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saformer.data import DATASETS
from saformer.data.dataset import Dataset, LazyImages, readable
from saformer.errors import InputError, brief

#: Of ImageNet's training images, as published configurations have them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: The part of the shorter side that is kept: 224 of 256 pixels.
CROP = 224 / 256

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_LAYOUT = "give --data-dir a folder with train/, val/ or test/, a folder of images per class in each"


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


def open_folder(data_dir: Path, split: str, size: int) -> Dataset:
    """Read the images of DIR/SPLIT, or of DIR itself where it has no folder of a split.

    Classes are the folders there, numbered by name. Images that lie there without a folder of a class have no labels.

    Raises:
        InputError: there are no images, or a class has none.
    """
    if size < 1:
        raise InputError(f"--image-size must be at least 1, got {size}")
    with readable(data_dir):
        folder, split = _split_folder(data_dir, split)
        paths, labels, classes = _find(folder)
    if not paths:
        raise InputError(f"{folder} holds no images: {_LAYOUT}")
    return Dataset(
        name="imagefolder",
        split=split,
        kind="static",
        images=ImageFiles(paths, size),
        labels=torch.tensor(labels, dtype=torch.int64) if classes else None,
        classes=classes or None,
        mean=MEAN,
        std=STD,
    )


def _find(folder: Path) -> tuple[list[Path], list[int], int]:
    """Images, their labels (none where there are no classes) and the number of classes."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    loose = sorted(path for path in folder.iterdir() if _is_image(path))
    if classes and loose:
        raise InputError(
            f"{folder} holds {loose[0].name} beside the folders of classes: put images into the folder of their class"
        )
    paths, labels = list(loose), []
    for label, name in enumerate(classes):
        found = list(_images(folder / name))
        if not found:
            raise InputError(
                f"{folder / name} holds no image ({', '.join(SUFFIXES)}): each folder in {folder} is a class and "
                "needs one"
            )
        paths += found
        labels += [label] * len(found)
    return paths, labels, len(classes)


def _split_folder(data_dir: Path, split: str) -> tuple[Path, str]:
    """The folder that holds the classes of a split, and what to call the split."""
    if not data_dir.is_dir():
        problem = "is not a directory" if data_dir.exists() else "does not exist"
        raise InputError(f"the data directory {data_dir} {problem}: {_LAYOUT}")
    there = [name for name in DATASETS["imagefolder"].splits if (data_dir / name).is_dir()]
    if split in there:
        return data_dir / split, split
    if there:
        raise InputError(f"{data_dir} has no folder {split}, but {' and '.join(there)}: give --split {there[-1]}")
    return data_dir, "all"


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _images(folder: Path) -> Iterator[Path]:
    """Images in a folder and the folders in it, by name."""
    for root, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        here = Path(root).resolve()
        # A link to a folder above would be followed for ever.
        folders[:] = sorted(name for name in folders if not here.is_relative_to(Path(root, name).resolve()))
        yield from (path for path in (Path(root, file) for file in sorted(files)) if _is_image(path))


def _raise(error: OSError) -> None:
    raise error


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
