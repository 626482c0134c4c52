"""Runs over many images: what is kept of each, and that it does not matter how they are taken together."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest
import torch
from mixed_images import Mixed
from torch import nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.recording import collect


@pytest.mark.parametrize(
    ("unit", "build", "shape"),
    [
        ("image", lambda: saformer.build("saformer-1-16", image_size=8), (3, 8, 8)),
        ("batch", Mixed, (5, 6)),
    ],
)
def test_counters_multiplied_part_by_part_give_the_same_profile(
    monkeypatch: pytest.MonkeyPatch, unit: str, build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    model, batches = build(), [torch.randn(size, *shape) for size in (3, 4, 2, 6)]

    def found() -> Profile:
        return profile(model, batches, check_flops=False)

    whole = found()
    assert whole.unit == unit and whole.images == 15
    monkeypatch.setattr(collect, "_UNITS", 2)
    assert found() == whole


def test_an_image_is_remembered_in_eight_bytes_a_counter() -> None:
    torch.manual_seed(0)
    model, batch = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), torch.randn(512, 6)
    held = []

    def measure(images: int, so_far: Callable[[], Profile]) -> bool:
        if len(held) in (9, 29):  # the ones that are compared
            gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        return False

    tracemalloc.start()
    found = profile(model, [batch] * 30, check_flops=False, enough=measure)
    tracemalloc.stop()
    # Python's own integers, in a list for each row, would take four times as much.
    assert (held[29] - held[9]) / (20 * len(batch)) < 1.5 * 8 * len(found.moments.sums)
