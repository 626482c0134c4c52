"""From stored images and labels to what the network and the loss take, as a pure function of a seed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.errors import InputError
from saformer.training.augmentation.draws import Chunk
from saformer.training.augmentation.events import EventTransforms
from saformer.training.augmentation.mixing import Mixup, soft_targets
from saformer.training.augmentation.static import CropAndFlip, RandomErasing

_Stage = Callable[[Tensor, Sequence[Chunk]], Tensor]

# Chance that a chunk is mixed at all: timm's `mixup_prob`, 1 in Spikformer's CIFAR configurations and 0.5 in its
# script for CIFAR10-DVS.
_MIXUP_PROBABILITY = {"static": 1.0, "events": 0.5}

# What is of use for one kind of data only.
_STATIC = ("shift", "flip", "randaugment", "erasing")
_EVENTS = ("event_flip", "event_roll", "event_rotation", "event_shear", "event_cutout")

# What does not apply to each kind of data, and what that holds.
_FOREIGN = {
    "static": (_EVENTS, "static images"),
    "events": (_STATIC, "event frames"),
    "tokens": ((*_STATIC, *_EVENTS, "mixup"), "tokens"),
}


class Augmentation:
    """Made by `build_augmentation`. Calling it depends on its arguments alone, whatever the threads and the device.

    Every stage has random numbers of its own, drawn on the CPU: switching one stage off leaves the draws of the
    others as they were. The random numbers of the caller are left alone.
    """

    def __init__(
        self,
        dataset: Dataset,
        classes: int,
        smoothing: float,
        stored: dict[str, _Stage],
        normalised: dict[str, _Stage],
        mixup: Mixup | None,
    ) -> None:
        self._dataset, self._classes, self._smoothing = dataset, classes, smoothing
        self._stored, self._normalised, self._mixup = stored, normalised, mixup

    def __call__(self, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Augment one chunk: `chunks` with one seed."""
        return self.chunks(images, labels, [(seed, len(images))])

    def chunks(self, images: Tensor, labels: Tensor, chunks: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """Augment samples, chunk by chunk; what becomes of a chunk does not depend on the others.

        Args:
            images: as stored: B x C x H x W pixels, event frames B x T x C x H x W, or tokens B x T.
            labels: B, or B x T of tokens; whole numbers.
            chunks: in the order of the samples, a seed (at least 0) and the number of samples of each; the same seed
                gives the same result.

        Returns:
            Inputs, float32 (tokens int64), of the shape and on the device of `images`, normalised; and targets,
            B x classes or B x T x classes, float32, each row summing to 1.
        """
        for name, stage in self._stored.items():
            images = stage(images, _streams(chunks, name))
        inputs = self._dataset.normalise(images)
        for name, stage in self._normalised.items():
            inputs = stage(inputs, _streams(chunks, name))
        targets = soft_targets(labels, self._classes, self._smoothing)
        if self._mixup is not None:
            inputs, targets = self._mixup(inputs, targets, _streams(chunks, "mixup"))
        return inputs, targets


def _streams(chunks: Sequence[tuple[int, int]], stage: str) -> list[Chunk]:
    number = int.from_bytes(stage.encode())
    return [Chunk(size, np.random.default_rng((seed, number))) for seed, size in chunks]


def build_augmentation(settings: Any, dataset: Dataset) -> Augmentation:
    """The augmentation that `settings` asks for; with all off, images are normalised and nothing else.

    Args:
        settings: any object with these attributes, 0 or False for off:
            `shift` (pixels; 4 is the usual random crop of CIFAR), `flip`, `randaugment` (magnitude, 0 to 10),
            `erasing` (probability) for static images;
            `event_flip`, `event_roll` (pixels), `event_rotation` (degrees), `event_shear` (degrees), `event_cutout`
            (pixels) for event frames;
            `mixup` (alpha) and `label_smoothing` (share) for both.
        dataset: what the chunks come from.

    Raises:
        InputError: a setting that is out of range, or does not fit the data set.
    """
    _check(settings, dataset)
    assert dataset.classes is not None  # _check
    stored: dict[str, _Stage] = {}
    normalised: dict[str, _Stage] = {}
    if any(getattr(settings, name) for name in _EVENTS):
        stored["events"] = EventTransforms(*(getattr(settings, name) for name in _EVENTS))
    if settings.shift or settings.flip:
        stored["crop and flip"] = CropAndFlip(settings.shift, settings.flip, _black(dataset))
    if settings.randaugment:
        # Pillow is imported only for those who use it.
        from saformer.training.augmentation.randaugment import RandAugment

        assert dataset.mean is not None  # _check
        stored["randaugment"] = RandAugment(settings.randaugment, [round(255 * mean) for mean in dataset.mean])
    if settings.erasing:
        normalised["erasing"] = RandomErasing(settings.erasing)
    mixup = Mixup(settings.mixup, _MIXUP_PROBABILITY[dataset.kind]) if settings.mixup else None
    return Augmentation(dataset, dataset.classes, settings.label_smoothing, stored, normalised, mixup)


def _black(dataset: Dataset) -> float:
    """A black pixel as stored: 0, or the least value of images that are stored normalised."""
    images = dataset.images
    return images.min().item() if isinstance(images, Tensor) and images.dtype != torch.uint8 else 0


def _check(settings: Any, dataset: Dataset) -> None:
    """Raise InputError where `settings` cannot be applied to `dataset`."""
    if dataset.classes is None:
        raise InputError(f"{dataset.name} does not say how many classes it has: training needs their number")
    check_augmentation(settings, dataset.name, dataset.kind, dataset.shape)
    if settings.randaugment and (dataset.mean is None or dataset.shape[-3] not in (1, 3)):
        raise InputError(
            f"randaugment needs grey or RGB pixels stored as bytes, and {dataset.name} has "
            f"{dataset.shape[-3]} channels of {str(dataset.images.dtype).removeprefix('torch.')}: set it to 0"
        )


def check_augmentation(settings: Any, name: str, kind: str, shape: Sequence[int]) -> None:
    """See that `settings` can be applied to a data set, before anything of it is read.

    Args:
        settings: a `Recipe`, or anything with its fields of augmentation.
        name: of the data set.
        kind: "static", "events" or "tokens".
        shape: ... x C x H x W, or T.

    Raises:
        InputError: a setting is out of its range, or for another kind of data.
    """
    foreign, holds = _FOREIGN.get(kind, _FOREIGN["static"])
    for setting in foreign:
        if getattr(settings, setting):
            raise InputError(f"{setting} does not apply to {name}, which holds {holds}: leave it off")
    size, plane = min(shape[-2:]), "x".join(map(str, shape[-2:]))
    limits = {
        "shift": (size - 1, f"from 0 to {size - 1} pixels for images of {plane}"),
        "randaugment": (10, "a magnitude from 0 to 10"),
        "erasing": (1, "a probability from 0 to 1"),
        "mixup": (1e3, "from 0 to 1000"),
        "event_roll": (size - 1, f"from 0 to {size - 1} pixels for frames of {plane}"),
        "event_rotation": (180, "from 0 to 180 degrees"),
        "event_shear": (80, "from 0 to 80 degrees"),
        "event_cutout": (size, f"from 0 to {size} pixels for frames of {plane}"),
    }
    for setting, (most, wanted) in limits.items():
        # Not a number fails every comparison, so it is asked for and not against.
        if not 0 <= getattr(settings, setting) <= most:
            raise InputError(f"{setting} must be {wanted}, got {getattr(settings, setting)!r}")
    if not 0 <= settings.label_smoothing < 1:
        raise InputError(f"label_smoothing must be from 0 to below 1, got {settings.label_smoothing!r}")
