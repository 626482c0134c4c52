import threading
from contextlib import closing
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from saformer.data.dataset import LazyImages
from saformer.errors import InputError
from saformer.training.batches import CHUNK, Batches, share
from saformer.training.seeds import derived_seed


class Lazy(LazyImages):
    """Images that count how often they are read, and in which threads; one of them may be damaged."""

    def __init__(self, images: Tensor, unreadable: int | None = None) -> None:
        super().__init__(tuple(images.shape), images.dtype)
        self.images, self.unreadable = images, unreadable
        self.seen, self.readers = threading.Semaphore(0), set[int]()

    def read(self, indices: list[int]) -> Tensor:
        if self.unreadable in indices:
            raise InputError(f"image {indices.index(self.unreadable)} of its batch is damaged")
        self.seen.release()
        self.readers.add(threading.get_ident())
        return self.images[indices]


def test_every_image_comes_once_in_an_epoch_and_in_another_order_in_the_next(digits, small) -> None:
    batches = Batches(small(), digits("train", 50), torch.device("cpu"))
    first, second = batches.order(1), batches.order(2)
    assert [len(batch) for batch in first] == [20, 20, 10] and batches.per_epoch == 3
    assert sorted(torch.cat(first).tolist()) == list(range(50))
    assert torch.cat(first).tolist() != torch.cat(second).tolist()
    assert torch.equal(torch.cat(batches.order(1)), torch.cat(first))


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 40])
def test_however_a_batch_is_shared_out_its_images_are_the_same(digits, small, parts: int) -> None:
    recipe = small(mixup=0.5, erasing=0.5)
    batches = Batches(recipe, digits("train", 50), torch.device("cpu"))
    chosen = batches.order(1)[0][: CHUNK + 3]
    inputs, targets = batches.inputs(chosen, 7, 0, len(chosen))
    pieces = [batches.inputs(chosen, 7, *share(len(chosen), part, parts)) for part in range(parts)]
    assert torch.equal(torch.cat([piece for piece, _ in pieces]), inputs)
    assert torch.equal(torch.cat([piece for _, piece in pieces]), targets)
    assert not torch.equal(batches.inputs(chosen, 8, 0, len(chosen))[0], inputs)


def test_images_are_blended_in_the_first_epochs_only(digits, small) -> None:
    data, cpu = digits("train", 50), torch.device("cpu")

    def targets(step: int, **changes: object) -> Tensor:
        batches = Batches(small(**changes), data, cpu)
        return batches.inputs(batches.order(1)[0], step, 0, 20)[1]

    steps = Batches(small(), data, cpu).per_epoch
    plain = targets(0)
    assert not torch.equal(targets(2 * steps - 1, mixup=0.5, mixup_off_epoch=2), plain)
    assert torch.equal(targets(2 * steps, mixup=0.5, mixup_off_epoch=2), plain)
    assert not torch.equal(targets(2 * steps, mixup=0.5), plain)


def test_images_that_are_read_one_batch_at_a_time_come_out_the_same(digits, small) -> None:
    data = digits("train", 50)
    lazy = replace(data, images=Lazy(data.images))
    cpu, recipe = torch.device("cpu"), small(shift=0, mixup=0.5)
    chosen = Batches(recipe, data, cpu).order(1)[0]
    expected = Batches(recipe, data, cpu).inputs(chosen, 0, 0, 20)
    found = Batches(recipe, lazy, cpu).inputs(chosen, 0, 0, 20)
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


# Any device but the CPU; what is computed on this one is thrown away.
ELSEWHERE = torch.device("meta")


@pytest.mark.parametrize("accumulate", [1, 3])
def test_what_comes_is_what_each_step_asks_for(digits, small, accumulate: int) -> None:
    batches = Batches(small(mixup=0.5, accumulate=accumulate), digits("train", 50), torch.device("cpu"))
    order = batches.order(2)[1:]
    wanted = [
        batches.inputs(chosen, 4 + i, *part) for i, chosen in enumerate(order) for part in batches.shares(len(chosen))
    ]
    found = list(batches.ahead(order, 4))
    assert len(found) == len(wanted) == 2 * accumulate
    for made, expected in zip(found, wanted, strict=True):
        assert torch.equal(made[0], expected[0]) and torch.equal(made[1], expected[1])


def test_one_batch_is_read_while_a_device_learns_from_the_one_before(digits, small) -> None:
    data = digits("train", 50)
    lazy = Lazy(data.images)
    batches = Batches(small(shift=0, batch_size=16), replace(data, images=lazy), ELSEWHERE)
    with closing(batches.ahead(batches.order(1), 0)) as coming:
        next(coming)
        assert lazy.seen.acquire(timeout=60) and lazy.seen.acquire(timeout=60)
        assert not lazy.seen.acquire(timeout=0.2)  # and no more: memory may be short
        next(coming)
        assert lazy.seen.acquire(timeout=60)
    assert lazy.readers.isdisjoint({threading.get_ident()})


@pytest.mark.parametrize("device", ["cpu", ELSEWHERE])
def test_images_that_cannot_be_read_are_told_when_their_batch_is_due(digits, small, device) -> None:
    data = digits("train", 50)
    lazy = Lazy(data.images, unreadable=int(Batches(small(), data, torch.device("cpu")).order(1)[1][3]))
    batches = Batches(small(shift=0), replace(data, images=lazy), torch.device(device))
    coming = batches.ahead(batches.order(1), 0)
    next(coming)
    with pytest.raises(InputError, match="image 3 of its batch is damaged"):
        next(coming)


def test_shares_follow_each_other_and_differ_by_one_at_most() -> None:
    for count in (0, 1, 7, 64):
        shares = [share(count, part, 5) for part in range(5)]
        assert shares[0][0] == 0 and shares[-1][1] == count
        assert all(left[1] == right[0] for left, right in pairwise(shares))
        sizes = [stop - start for start, stop in shares]
        assert max(sizes) - min(sizes) <= 1


def test_seeds_differ_by_every_part_and_fit_torch() -> None:
    seeds = {derived_seed(seed, name, step) for seed in (0, 1) for name in ("a", "b") for step in range(100)}
    assert len(seeds) == 400 and all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(1, 23) != derived_seed(12, 3)
