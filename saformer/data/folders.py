"""Folders of images, such as ImageNet: a folder per class."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.data.registry import DATASETS, DatasetInfo, Request, register_dataset
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset

#: Of ImageNet's training images, as published configurations have them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

_LAYOUT = "give --data-dir a folder with train/, val/ or test/, a folder of images per class in each"


@register_dataset(
    DatasetInfo(
        name="imagefolder",
        title="a folder of images, such as ImageNet",
        classes=None,
        shape=(3, 224, 224),
        kind="static",
        train=None,
        test=None,
        expected="train/, val/ or test/ with a folder of images per class, or the folders of the classes themselves",
        download="",
        splits=("train", "val", "test"),
    )
)
def open_folder(request: Request) -> "Dataset":
    """Read the images of DIR/SPLIT, or of DIR itself where it has no folder of a split.

    Classes are the folders there, numbered by name. Images that lie there without a folder of a class have no labels.

    Raises:
        InputError: there are no images, or a class has none.
    """
    import torch

    from saformer.data.dataset import Dataset, readable
    from saformer.data.image_files import ImageFiles

    if request.image_size < 1:
        raise InputError(f"--image-size must be at least 1, got {request.image_size}")
    with readable(request.data_dir):
        folder, split = _split_folder(request.data_dir, request.split)
        paths, labels, classes = _find(folder)
    if not paths:
        raise InputError(f"{folder} holds no images: {_LAYOUT}")
    return Dataset(
        name=request.name,
        split=split,
        kind="static",
        images=ImageFiles(paths, request.image_size),
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
    """Images in a folder and the folders in it, by name; a folder that links lead to again is not read again."""
    seen: set[tuple[int, int]] = set()

    def is_new(path: str) -> bool:
        found = os.stat(path)
        place = (found.st_dev, found.st_ino)
        new = place not in seen
        seen.add(place)
        return new

    is_new(str(folder))
    for root, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        here = Path(root).resolve()
        # A link to a folder above would take in the other classes.
        inside = (name for name in sorted(folders) if not here.is_relative_to(Path(root, name).resolve()))
        folders[:] = [name for name in inside if is_new(os.path.join(root, name))]
        yield from (path for path in (Path(root, file) for file in sorted(files)) if _is_image(path))


def _raise(error: OSError) -> None:
    raise error
