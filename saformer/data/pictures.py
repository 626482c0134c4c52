"""A picture from a file, brought to the size and the channels of a network."""

import warnings
from pathlib import Path

import numpy as np
import torch

from saformer.data.dataset import Dataset
from saformer.data.registry import DATASETS
from saformer.errors import InputError, brief
from saformer.files import open_file

_MODES = {1: "L", 3: "RGB"}


def normalisation(dataset: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, by channel, of pixels from 0 to 1 of a data set of images.

    Raises:
        InputError: it is not one of images.
    """
    known = {name: info.normalisation for name, info in DATASETS.items() if info.normalisation is not None}
    if dataset not in known:
        raise InputError(f"pictures are normalised as in one of {', '.join(known)}; {dataset!r} is none of them")
    return known[dataset]


def open_picture(path: str | Path, like: str, channels: int, size: int) -> Dataset:
    """A PNG or JPEG file as a data set of one image: cut to a square around its centre and resized.

    Args:
        path: the file.
        like: the data set whose normalisation the network was trained with.
        channels: 1 (grey) or 3 (colours).
        size: pixels on a side.

    Raises:
        InputError: the file is no picture, or the network takes other channels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    mean, std = normalisation(like)
    if channels not in _MODES or len(mean) != channels:
        raise InputError(
            f"the network takes {channels} channels, pictures like those of {like} have {len(mean)}: "
            "give the index of a sample of its own data instead"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_file(path, "the picture") as content, Image.open(content, formats=("PNG", "JPEG")) as file:
                upright = ImageOps.exif_transpose(file).convert(_MODES[channels])
                pixels = np.array(ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS))
    except UnidentifiedImageError:
        raise InputError(f"{path} is no PNG or JPEG picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path} has too many pixels: make it smaller first") from None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders fail on damage in almost any way
        reason = getattr(error, "strerror", None) or brief(error)
        raise InputError(f"cannot read the picture {path}: {reason}") from None
    image = torch.from_numpy(pixels.reshape(size, size, channels)).permute(2, 0, 1)[None].contiguous()
    return Dataset(Path(path).name, None, "static", image, None, classes=None, mean=mean, std=std)
