"""Arrays of one's own: images already normalised, or event frames, from an .npz file."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.errors import InputError

# torch has few operations on unsigned integers wider than eight bits, and its older versions fewer.
_TORCH_INTEGERS = {"u2": np.int32, "u4": np.int64, "u8": np.int64}


def open_arrays(path: str | Path) -> Dataset:
    """Read `x` (N x C x H x W, or N x T x C x H x W for events) and `y`, if there, from an .npz file."""
    path = Path(path)
    arrays = _load(path)
    images = _images(path, arrays["x"])
    labels = _labels(path, arrays["y"], len(images)) if "y" in arrays else None
    return Dataset(
        name=path.name,
        split=None,
        kind="events" if images.ndim == 5 else "static",
        images=images,
        labels=labels,
        classes=None,
        mean=None,
        std=None,
    )


def _load(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise InputError(f"{path} does not exist: give the path of an .npz file with an array x")
    if path.is_dir():
        raise InputError(f"{path} is a directory: give the path of an .npz file with an array x")
    try:
        archive = np.load(path, allow_pickle=False)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is a truncated or damaged .npz file: save or copy it again") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    # What is no .npz at all may break numpy's reader in almost any way.
    except Exception as error:
        raise InputError(f"{path} is not an .npz file: save the arrays with numpy.savez(path, x=..., y=...)") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InputError(f"{path} is a single array, not an .npz file: save it with numpy.savez(path, x=...)")
    with archive:
        if "x" not in archive.files:
            held = ", ".join(repr(name) for name in archive.files[:8]) or "none"
            raise InputError(f"{path} has no array 'x' (arrays found: {held}): save the images under that name")
        return {name: _member(path, archive, name) for name in ("x", "y") if name in archive.files}


def _member(path: Path, archive: "np.lib.npyio.NpzFile", name: str) -> np.ndarray:
    try:
        array = archive[name]
    # A member may be cut short, damaged, encrypted, too large, or made of Python objects.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: {name} cannot be read ({reason}): save it again as a plain array of numbers"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: {name} is not an array: save it with numpy.savez")
    return array


def _images(path: Path, x: np.ndarray) -> Tensor:
    shape = " x ".join(map(str, x.shape)) or "a single number"
    if x.ndim not in (4, 5):
        raise InputError(
            f"{path}: x has {x.ndim} axes ({shape}), expected 4 (N x C x H x W) or, for events, 5 (N x T x C x H x W)"
        )
    if x.size == 0:
        raise InputError(f"{path}: x is empty ({shape}): every axis must be at least 1")
    if x.dtype.kind in "iu":
        if x.ndim == 4:
            raise InputError(
                f"{path}: x is {x.dtype}, but images must be normalised floating numbers (float16, float32 "
                "or float64): normalise them as for training and save them again"
            )
        return _integers(path, "x", x)
    if x.dtype.kind != "f" or x.dtype.itemsize > 8:
        raise InputError(f"{path}: x is {x.dtype}, expected float16, float32 or float64, or integer counts for events")
    finite = np.isfinite(x)
    if not finite.all():
        first = np.unravel_index(int(finite.argmin()), x.shape)
        where = ", ".join(str(int(i)) for i in first)
        raise InputError(f"{path}: x[{where}] is {x[first]}: x must hold finite numbers only")
    return torch.from_numpy(np.ascontiguousarray(x, dtype=x.dtype.newbyteorder("=")))


def _labels(path: Path, y: np.ndarray, count: int) -> Tensor:
    if y.dtype.kind not in "iu":
        raise InputError(f"{path}: y is {y.dtype}, expected integer labels")
    if y.shape != (count,):
        found = " x ".join(map(str, y.shape)) or "a single number"
        raise InputError(f"{path}: y is {found}, expected one label for each of the {count} images in x")
    if y.min() < 0:
        first = int((y < 0).argmax())
        raise InputError(f"{path}: y[{first}] is {y[first]}: labels must be 0 or more")
    return _integers(path, "y", y).to(torch.int64)


def _integers(path: Path, name: str, array: np.ndarray) -> Tensor:
    if array.dtype.kind == "u" and array.max() > np.iinfo(np.int64).max:
        raise InputError(f"{path}: {name} holds {array.max()}, which is too large")
    dtype = _TORCH_INTEGERS.get(array.dtype.str[1:], array.dtype.newbyteorder("="))
    return torch.from_numpy(np.ascontiguousarray(array, dtype=dtype))
