import subprocess
import sys

import pytest
import torch

import saformer.data
from saformer.data import DATASETS, Dataset, open_dataset
from saformer.errors import InputError


def make(images, labels=None, kind="static", mean=None, std=None):
    return Dataset("made", None, kind, images, labels, None, mean, std)


@pytest.fixture
def numbered():
    """Ten one-pixel images, each holding its own number, each labelled with ten times it."""
    return make(torch.arange(10.0).view(10, 1, 1, 1), torch.arange(10) * 10)


@pytest.fixture
def pixels():
    images = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4).mul(2).to(torch.uint8)
    return make(images, mean=(0.5, 0.25, 0.125), std=(0.5, 0.25, 2.0))


def test_len_and_shape(pixels):
    assert len(pixels) == 2
    assert pixels.shape == (3, 4, 4)


def test_shape_of_events_has_its_time_axis():
    assert make(torch.zeros(3, 5, 2, 4, 6), kind="events").shape == (5, 2, 4, 6)


def test_pixels_are_normalised_channel_by_channel(pixels):
    normal = pixels.normalise(pixels.images, torch.float64)
    assert normal.dtype == torch.float64
    for image in range(2):
        for channel, (mean, std) in enumerate([(0.5, 0.5), (0.25, 0.25), (0.125, 2.0)]):
            expected = (pixels.images[image, channel].double() / 255 - mean) / std
            assert torch.equal(normal[image, channel], expected)


def test_normalise_leaves_the_pixels_as_they_were(pixels):
    before = pixels.images.clone()
    pixels.normalise(pixels.images)
    assert torch.equal(pixels.images, before)


def test_half_precision_rounds_once(pixels):
    wide = pixels.normalise(pixels.images, torch.float32)
    for dtype in (torch.float16, torch.bfloat16):
        assert torch.equal(pixels.normalise(pixels.images, dtype), wide.to(dtype))


def test_what_is_normalised_already_is_only_cast(numbered):
    normal = numbered.normalise(numbered.images, torch.float64)
    assert normal.dtype == torch.float64
    assert torch.equal(normal, numbered.images.double())


def test_event_counts_in_bytes_are_only_cast():
    events = make(torch.full((2, 3, 2, 4, 4), 7, dtype=torch.uint8), kind="events")
    assert torch.equal(events.normalise(events.images), torch.full((2, 3, 2, 4, 4), 7.0))


@pytest.mark.parametrize("limit", [None, 10, 11])
def test_no_limit_or_a_large_one_takes_all_in_order(numbered, limit):
    assert numbered.indices(limit, seed=3).tolist() == list(range(10))


def test_a_limit_draws_a_sorted_sample_without_replacement(numbered):
    for seed in range(20):
        drawn = numbered.indices(6, seed).tolist()
        assert len(set(drawn)) == 6
        assert drawn == sorted(drawn)
        assert set(drawn) <= set(range(10))


def test_the_seed_decides_the_sample(numbered):
    assert torch.equal(numbered.indices(4, 1), numbered.indices(4, 1))
    assert len({tuple(numbered.indices(4, seed).tolist()) for seed in range(20)}) > 5
    # The first images are not favoured, as they would be if a limit only cut the data set short.
    assert {i for seed in range(40) for i in numbered.indices(2, seed).tolist()} == set(range(10))


def test_the_sample_does_not_depend_on_what_was_drawn_before(numbered):
    torch.manual_seed(0)
    first = numbered.indices(5)
    torch.rand(3)
    state = torch.random.get_rng_state()
    assert torch.equal(numbered.indices(5), first)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_refused(numbered, limit):
    with pytest.raises(InputError, match=rf"^--limit must be at least 1, got {limit}$"):
        numbered.indices(limit)
    with pytest.raises(InputError, match="--limit"):
        numbered.batches(2, limit)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1])
def test_a_seed_wider_than_64_bits_is_refused(numbered, seed):
    with pytest.raises(InputError, match="--seed must fit in 64 bits"):
        numbered.indices(3, seed)


def test_batches_cover_everything_in_order_with_a_short_last_one(numbered):
    batches = list(numbered.batches(4))
    assert [len(images) for images, _ in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([images for images, _ in batches]), numbered.images)
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(0, 100, 10))


def test_batches_of_a_sample_follow_its_indices(numbered):
    chosen = numbered.indices(5, seed=2)
    batches = list(numbered.batches(2, limit=5, seed=2))
    assert torch.cat([images for images, _ in batches]).flatten().tolist() == chosen.tolist()
    assert torch.cat([labels for _, labels in batches]).tolist() == (chosen * 10).tolist()


def test_batches_are_normalised_and_cast(pixels):
    ((images, labels),) = pixels.batches(8, dtype=torch.float64, device="cpu")
    assert labels is None
    assert torch.equal(images, pixels.normalise(pixels.images, torch.float64))


def test_changing_a_batch_does_not_change_the_data(numbered):
    for images, _ in numbered.batches(10):
        images.zero_()
    assert numbered.images.flatten().tolist() == list(range(10))


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_size_below_one_is_refused_at_the_call(numbered, size):
    with pytest.raises(InputError, match=rf"^--batch-size must be at least 1, got {size}$"):
        numbered.batches(size)


@pytest.mark.parametrize(
    "arguments",
    [
        {"images": torch.zeros(2, 3, 4)},
        {"images": torch.zeros(2, 3, 4, 4), "kind": "events"},
        {"images": torch.zeros(2, 3, 4, 4), "kind": "film"},
        {"images": torch.zeros(2, 3, 4, 4), "labels": torch.zeros(3, dtype=torch.int64)},
        {"images": torch.zeros(2, 3, 4, 4), "mean": (0.5,) * 3, "std": (0.5,) * 3},
        {"images": torch.zeros(2, 3, 4, 4, dtype=torch.uint8)},
    ],
)
def test_a_data_set_that_contradicts_itself_is_refused(arguments):
    with pytest.raises(ValueError):
        make(**arguments)


def test_the_listing_is_consistent():
    assert list(DATASETS) == ["digits", "cifar10", "cifar100", "dvs128gesture", "cifar10dvs", "imagefolder", "text"]
    for name, info in DATASETS.items():
        assert info.name == name
        assert info.kind == {(2, 128, 128): "events", (1024,): "tokens"}.get(info.shape, "static")
    assert DATASETS["digits"].expected == "nothing: it comes with the program"
    assert DATASETS["digits"].download == ""
    assert DATASETS["cifar100"].download == "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        InputError, match="unknown data set 'mnist': choose one of digits, cifar10, cifar100, dvs128gesture"
    ):
        open_dataset("mnist")


@pytest.mark.parametrize("name", ["digits", "cifar10"])
def test_an_unknown_split_is_refused(name):
    with pytest.raises(InputError, match=f"unknown split 'val' of {name}: choose train or test"):
        open_dataset(name, split="val")


@pytest.mark.parametrize("name", ["digits", "cifar10", "imagefolder"])
def test_images_are_not_split_like_events(name):
    with pytest.raises(
        InputError, match=f"{name} holds images, not events: --split-by is for dvs128gesture and cifar10dvs"
    ):
        open_dataset(name, split="train", split_by="time")


def test_unknown_attributes_are_still_errors():
    with pytest.raises(AttributeError, match=r"'saformer\.data' has no attribute 'nothing'"):
        _ = saformer.data.nothing


def test_listing_the_data_sets_imports_neither_torch_nor_numpy():
    code = (
        "import sys, saformer.data; list(saformer.data.DATASETS); "
        "sys.exit(','.join({'torch', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
