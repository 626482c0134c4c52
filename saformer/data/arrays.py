"""Arrays of one's own, from an .npz file: images already normalised, event frames, or what one's own model takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.data.npz import open_npz
from saformer.errors import InputError

# torch has few operations on unsigned integers wider than eight bits, and its older versions fewer.
_TORCH_INTEGERS = {"u2": np.int32, "u4": np.int64, "u8": np.int64}


@dataclass(frozen=True, eq=False)
class NamedArrays(Dataset):
    """Inputs of a model that takes several, by the names of its parameters; `images` are the first of them."""

    arrays: Mapping[str, Tensor]

    def inputs(self, chosen: Tensor, dtype: torch.dtype, device: torch.device) -> Any:
        """A dictionary of what a network takes of the samples of these indices."""
        return {name: self.normalise(array[chosen].to(device), dtype) for name, array in self.arrays.items()}


def named_arrays(name: str, arrays: Mapping[str, Tensor], labels: Tensor | None = None) -> NamedArrays:
    """Several inputs, each N x ..., as a data set."""
    return NamedArrays(name, None, "arrays", next(iter(arrays.values())), labels, None, None, None, arrays)


def open_arrays(path: str | Path) -> Dataset:
    """Read `x` (N x C x H x W, or N x T x C x H x W for events) and `y`, if there, from an .npz file."""
    path = Path(path)
    arrays = _load(path, ("x", "y"))
    images = _images(path, arrays["x"])
    labels = _labels(path, arrays["y"], len(images)) if "y" in arrays else None
    return _dataset(path, images, labels, "events" if images.ndim == 5 else "static")


def open_inputs(path: str | Path) -> Dataset:
    """Read what a model of the user's own takes from an .npz file.

    `x` alone, N x ..., is its one input, with labels `y` if they are there. Otherwise every array is an input by its
    name, but for one called `y` or `labels` that holds a whole number for each sample.
    """
    path = Path(path)
    arrays = _load(path)
    if not arrays:
        raise InputError(f"{path} holds no array: save the inputs with numpy.savez(path, x=...)")
    sizes = {name: len(array) if array.ndim else None for name, array in arrays.items()}
    if None in sizes.values() or 0 in sizes.values():
        name = next(name for name, size in sizes.items() if not size)
        raise InputError(f"{path}: {name} holds no samples: its first axis counts them")
    label = next((key for key in ("y", "labels") if key in arrays), None)
    inputs = [name for name in arrays if name != label]
    if inputs == ["x"] and arrays["x"].ndim in (4, 5):
        images = _images(path, arrays["x"])
        return _dataset(
            path,
            images,
            _labels(path, arrays[label], len(images)) if label else None,
            "events" if images.ndim == 5 else "static",
        )
    if label and inputs and (inputs == ["x"] or (arrays[label].ndim == 1 and arrays[label].dtype.kind in "iu")):
        labels = _labels(path, arrays[label], len(arrays[inputs[0]]))
    else:
        labels, inputs = None, list(arrays)
    if len({sizes[name] for name in inputs}) > 1:
        held = ", ".join(f"{name} {sizes[name]}" for name in inputs)
        raise InputError(f"{path}: the arrays hold different numbers of samples ({held})")
    tensors = {name: _array(path, name, arrays[name]) for name in inputs}
    if inputs == ["x"]:
        x = tensors["x"]
        return _dataset(path, x.to(torch.float32) if x.dtype == torch.bool else x, labels, "arrays")
    return named_arrays(path.name, tensors, labels)


def _dataset(path: Path, images: Tensor, labels: Tensor | None, kind: str) -> Dataset:
    return Dataset(path.name, None, kind, images, labels, classes=None, mean=None, std=None)


def _load(path: Path, names: tuple[str, ...] | None = None) -> dict[str, np.ndarray]:
    """The arrays of these names, of which the first must be there; all of them unless told."""
    with open_npz(path, "save the arrays with numpy.savez(path, x=..., y=...)") as archive:
        if names and names[0] not in archive.names:
            held = ", ".join(map(repr, archive.names[:8])) or "none"
            raise InputError(
                f"{path} has no array {names[0]!r} (arrays found: {held}): save the images under that name"
            )
        wanted = archive.names if names is None else [name for name in names if name in archive.names]
        return {name: archive.array(name) for name in wanted}


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
        if (negative := x.reshape(-1) < 0).any():
            raise InputError(
                f"{path}: x holds {x.reshape(-1)[int(negative.argmax())]}, and events are counted from 0: save "
                "normalised frames as floating numbers"
            )
        return _integers(path, "x", x)
    if x.dtype.kind != "f" or x.dtype.itemsize > 8:
        raise InputError(f"{path}: x is {x.dtype}, expected float16, float32 or float64, or integer counts for events")
    return _floats(path, "x", x)


def _array(path: Path, name: str, array: np.ndarray) -> Tensor:
    """One input of any shape.

    Whole numbers of 32 and 64 bits stay whole, as tokens are; shorter ones, counts and spikes, become floats.
    """
    if array.dtype.kind == "b":
        return torch.from_numpy(np.ascontiguousarray(array))
    if array.dtype.kind in "iu":
        whole = _integers(path, name, array)
        return whole.to(torch.float32) if array.dtype.itemsize < 4 else whole.to(torch.int64)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise InputError(f"{path}: {name} is {array.dtype}, expected floating or whole numbers")
    return _floats(path, name, array)


def _floats(path: Path, name: str, array: np.ndarray) -> Tensor:
    finite = np.isfinite(array)
    if not finite.all():
        first = np.unravel_index(int(finite.argmin()), array.shape)
        where = ", ".join(str(int(i)) for i in first)
        raise InputError(f"{path}: {name}[{where}] is {array[first]}: {name} must hold finite numbers only")
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


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
