"""Runs of a second: the first images of digits, and a network that is as small as they come."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from saformer.data import Dataset, open_dataset
from saformer.training import Recipe, load_recipe

SMALL = {"model": "saformer-1-16", "epochs": 2, "batch_size": 20, "warmup_epochs": 1, "time_steps": 2}


@pytest.fixture(scope="session")
def digits() -> Callable[[str, int], Dataset]:
    """The first images of a split of digits: `digits("train", 50)`."""

    def first(split: str, images: int) -> Dataset:
        data = open_dataset("digits", split=split)
        assert data.labels is not None
        return replace(data, images=data.images[:images], labels=data.labels[:images])

    return first


@pytest.fixture(scope="session")
def small() -> Callable[..., Recipe]:
    """The recipe of a run of a second, with whatever is given instead."""
    return lambda **overrides: load_recipe("digits", **{**SMALL, **overrides})
