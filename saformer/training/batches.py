"""Batches to learn from: their order and their augmentation depend on the recipe's seed and the step alone."""

import math
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import starmap

import torch
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.devices import sent
from saformer.distributed import rank, world_size
from saformer.errors import InputError
from saformer.training.augmentation import build_augmentation
from saformer.training.recipe import Recipe
from saformer.training.seeds import derived_seed

#: Images that share a seed. It is fixed, so that however a batch is shared out over processes and parts, each
#: image comes out the same; a process whose share ends inside a chunk augments the whole chunk and takes its part.
CHUNK = 16


def labels_of(dataset: Dataset) -> Tensor:
    """The labels, or InputError where there are none."""
    if dataset.labels is None or not len(dataset):
        raise InputError(f"{dataset.name} has no labelled {dataset.unit}: training and testing need them")
    return dataset.labels


class Batches:
    """The training set, cut into batches.

    Args:
        recipe: its seed, batch size and augmentation.
        dataset: images and labels. Raw pixels in memory are moved once to where they are augmented; anything else
            batch by batch.
        device: where the inputs shall be.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        # RandAugment runs on the CPU; pixels from a device would first wait for all that the device has to do.
        self._place = torch.device("cpu") if recipe.randaugment else device
        self.images, self.labels = dataset.images, labels_of(dataset).to(self._place)
        if isinstance(self.images, Tensor) and self.images.dtype == torch.uint8 and self.images.ndim == 4:
            self.images = self.images.to(self._place)
        self.unit = dataset.unit
        #: Labels of each sample: one, or as many as a sequence has positions.
        self.labels_each = math.prod(self.labels.shape[1:])
        self.per_epoch = math.ceil(len(dataset) / recipe.batch_size)
        self._augment = build_augmentation(recipe, dataset)
        self._unmixed = build_augmentation(replace(recipe, mixup=0.0), dataset)

    def order(self, epoch: int) -> tuple[Tensor, ...]:
        """Indices of the images of each batch of an epoch (from 1); the last batch may be smaller."""
        generator = torch.Generator().manual_seed(derived_seed(self.recipe.seed, "order", epoch))
        return torch.randperm(len(self.labels), generator=generator).split(self.recipe.batch_size)

    def shares(self, count: int) -> list[tuple[int, int]]:
        """Where this process's share of each part of a batch of `count` images begins and ends."""
        parts = min(self.recipe.accumulate, count)
        found = []
        for start, stop in (share(count, part, parts) for part in range(parts)):
            mine = share(stop - start, rank(), world_size())
            found.append((start + mine[0], start + mine[1]))
        return found

    def ahead(self, batches: Iterable[Tensor], step: int) -> Generator[tuple[Tensor, Tensor], None, None]:
        """The `inputs` of all shares of these batches, the first of which is that of step `step`.

        While a GPU learns from one, the next is read and augmented in another thread. A CPU has no thread to spare: a
        second one was measured to make steps a third longer.
        """
        wanted = (
            (chosen, step + later, *part) for later, chosen in enumerate(batches) for part in self.shares(len(chosen))
        )
        if self.device.type == "cpu":
            yield from starmap(self.inputs, wanted)
            return
        coming: deque[Future[tuple[Tensor, Tensor]]] = deque()
        with ThreadPoolExecutor(1) as thread:
            for arguments in wanted:
                coming.append(thread.submit(self.inputs, *arguments))
                if len(coming) > 1:
                    yield coming.popleft().result()
            yield from (last.result() for last in coming)

    def inputs(self, chosen: Tensor, step: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images `start` to `stop` of the batch `chosen` of step `step` (from 0), augmented, with soft targets.

        Both come on the device; they have no rows where `start` is `stop`.
        """
        mixing = not self.recipe.mixup_off_epoch or step < self.recipe.mixup_off_epoch * self.per_epoch
        augment = self._augment if mixing else self._unmixed
        first = min(start, len(chosen) - 1) // CHUNK
        last = max(math.ceil(stop / CHUNK), first + 1)
        whole = chosen[first * CHUNK : last * CHUNK]
        # Where the images are indexed: in their place, or on the CPU, where those that come from a file are.
        stored = sent(self.images[sent(whole, getattr(self.images, "device", torch.device("cpu")))], self._place)
        labels = self.labels[sent(whole, self._place)]
        seeds = (derived_seed(self.recipe.seed, "augmentation", step, chunk) for chunk in range(first, last))
        chunks = list(zip(seeds, map(len, whole.split(CHUNK)), strict=True))
        inputs, targets = augment.chunks(stored, labels, chunks)
        mine = slice(start - first * CHUNK, stop - first * CHUNK)
        return sent(inputs[mine], self.device), sent(targets[mine], self.device)


def share(count: int, part: int, parts: int) -> tuple[int, int]:
    """Where part `part` of `parts` of `count` things begins and ends; parts differ by at most one thing."""
    return count * part // parts, count * (part + 1) // parts
