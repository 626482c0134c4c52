"""A data set: its images in memory or read when asked for, its labels, how pixels are normalised, and batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saformer.devices import sent
from saformer.errors import InputError


class LazyImages(ABC):
    """Images that are read when asked for; of a tensor it has what a data set needs.

    Args:
        shape: N x C x H x W, or N x T x C x H x W.
        dtype: of what `self[indices]` returns.
    """

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice | int) -> Tensor:
        if isinstance(index, int):
            return self[torch.tensor([index])][0]
        if isinstance(index, slice):
            return self.read(list(range(len(self)))[index])
        chosen = torch.arange(len(self))[index.cpu()]  # refuses what is out of range, takes masks
        return self.read(chosen.tolist())

    def digest(self) -> str | None:
        """SHA-256, in hexadecimal, that differs where an image does; None where only reading them all would tell."""
        return None

    @abstractmethod
    def read(self, indices: list[int]) -> Tensor:
        """The images of these indices, in this order, in memory of the CPU."""


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Say in one line what the system forbids while a data set is looked for in `folder`."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        raise InputError(f"{where} cannot be read ({error.strerror or error}): is it yours to read?") from None


def check_labels(labels: Tensor, classes: int) -> None:
    """Raise InputError unless all labels are numbers of a model's classes."""
    wrong = [label for label in (int(labels.min()), int(labels.max())) if not 0 <= label < classes]
    if wrong:
        raise InputError(f"the data has a label {wrong[0]}, the model only {classes} classes (0 to {classes - 1})")


# Compared by identity: `==` between the tensors of two data sets has no single answer.
@dataclass(frozen=True, eq=False)
class Dataset:
    """One split of a data set.

    `images` are raw uint8 pixels (N x C x H x W, with `mean` and `std`), floating images already
    normalised (N x C x H x W), event frames (N x T x C x H x W), or, of kind "arrays", anything else that a model of
    the user's own takes (N x ...): vectors, series, tokens, clips. Only the first have `mean` and `std`.
    They lie in memory, or are read when a batch asks for them: `images[indices]` is a tensor either way.

    Of kind "tokens" they are sequences of whole numbers (N x T), with a label at each position (N x T), too.
    """

    name: str
    split: str | None
    kind: str
    images: Tensor | LazyImages
    labels: Tensor | None
    classes: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    def __post_init__(self) -> None:
        ranks = {"static": 4, "events": 5, "tokens": 2, "arrays": self.images.ndim}
        if self.kind not in ranks:
            raise ValueError(f"kind must be {', '.join(map(repr, ranks))}, got {self.kind!r}")
        if self.images.ndim != ranks[self.kind]:
            raise ValueError(f"{self.kind} images must have {ranks[self.kind]} axes, got {tuple(self.images.shape)}")
        labelled = tuple(self.images.shape) if self.kind == "tokens" else (len(self.images),)
        if self.labels is not None and self.labels.shape != labelled:
            raise ValueError(f"{tuple(self.labels.shape)} labels for {len(self.images)} images")
        pixels = self.kind == "static" and self.images.dtype == torch.uint8
        if (self.mean is not None) != pixels or (self.std is not None) != pixels:
            raise ValueError("mean and std belong to static uint8 pixels, and to nothing else")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one image: C x H x W, T x C x H x W for events, T for tokens, or any other for arrays."""
        return tuple(self.images.shape[1:])

    @property
    def unit(self) -> str:
        """What it holds, in words for messages."""
        return "sequences" if self.kind == "tokens" else "images"

    @property
    def labelled(self) -> str:
        """What has a label, in words for messages."""
        return "positions" if self.kind == "tokens" else "images"

    def normalise(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return `images` as the network takes them: pixels as (x/255 - mean)/std, all else only cast.

        Whole numbers among arrays stay whole: they are tokens.
        """
        if self.kind == "tokens":
            return images.to(torch.int64)
        if self.kind == "arrays" and not images.is_floating_point():
            return images
        if images.dtype != torch.uint8 or self.mean is None or self.std is None:
            return images.to(dtype)
        # Half precision would round three times over; compute wider and round once.
        wide = dtype if dtype == torch.float64 else torch.float32
        mean, std = (sent(torch.tensor(v, dtype=wide).view(-1, 1, 1), images.device) for v in (self.mean, self.std))
        return images.to(wide).div_(255).sub_(mean).div_(std).to(dtype)

    def indices(self, limit: int | None, seed: int = 0) -> Tensor:
        """Which images to use, ascending: all of them, or `limit` drawn without replacement by `seed`."""
        if limit is not None and limit < 1:
            raise InputError(f"--limit must be at least 1, got {limit}")
        if limit is None or limit >= len(self):
            return torch.arange(len(self))
        if not -(2**63) <= seed < 2**64:
            raise InputError(f"--seed must fit in 64 bits, got {seed}")
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(len(self), generator=generator)[:limit].sort().values

    def batches(
        self,
        batch_size: int,
        limit: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
        shuffled: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[tuple[Any, Tensor | None]]:
        """Normalised batches and their labels, in the order of `indices(limit, seed)`.

        With `shuffled` in random order by `seed`: then the first images are a fair sample of all. `part` is the number
        of a process and of all processes: each of them gets whole batches of the same sequence, in turn.
        """
        # Checked here and not in the generator, so that a bad option fails before anything is set up.
        if batch_size < 1:
            raise InputError(f"--batch-size must be at least 1, got {batch_size}")
        chosen = self.indices(limit, seed)
        if shuffled:
            chosen = chosen[torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed))]
        return self._batches(chosen.split(batch_size)[part[0] :: part[1]], dtype, torch.device(device))

    def _batches(
        self, batches: Sequence[Tensor], dtype: torch.dtype, device: torch.device
    ) -> Iterator[tuple[Any, Tensor | None]]:
        for chosen in batches:
            yield self.inputs(chosen, dtype, device), None if self.labels is None else self.labels[chosen].to(device)

    def inputs(self, chosen: Tensor, dtype: torch.dtype, device: torch.device) -> Any:
        """What a network takes of the images of these indices."""
        # Moved before they are normalised: bytes are a quarter of the traffic of floats.
        return self.normalise(self.images[chosen].to(device), dtype)
