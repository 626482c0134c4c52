"""Event sets, against SpikingJelly's readers on the same files."""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from saformer.data import DATASETS, open_dataset
from saformer.data.aedat import read_aedat2, read_aedat3
from saformer.data.frames import Events, FrameSettings, integrate
from saformer.errors import InputError


def equal(events: Events, reference: dict) -> None:
    for axis in "txyp":
        assert np.array_equal(getattr(events, axis), reference[axis]), axis


@pytest.fixture(scope="module")
def jelly(torchvision):
    """SpikingJelly's data sets, without those that want torchaudio, which does not load beside a torch for CPUs."""
    import spikingjelly

    package = types.ModuleType("spikingjelly.datasets")
    package.__path__ = [str(Path(spikingjelly.__path__[0]) / "datasets")]
    sys.modules.setdefault("spikingjelly.datasets", package)
    from spikingjelly.datasets import cifar10_dvs, dvs128_gesture, utils

    return types.SimpleNamespace(cifar=cifar10_dvs, gesture=dvs128_gesture, utils=utils)


# --- files


def test_aedat2_events_are_those_of_spikingjelly(jelly, formats, tmp_path) -> None:
    content = formats.aedat2(*formats.events(np.random.default_rng(0), 1000, 0, 2**32 - 1))
    (tmp_path / "a.aedat").write_bytes(content)
    equal(read_aedat2(content, "a"), jelly.cifar._load_origin_data(tmp_path / "a.aedat"))


def test_an_aedat2_event_stands_upright(formats) -> None:
    # Row 1, column 2, ON: by the rule x = 127 - row, y = 127 - column, p = 1 - ON.
    events = read_aedat2(formats.aedat2([5], [2], [1], [1]), "a")
    assert (events.t[0], events.x[0], events.y[0], events.p[0]) == (5, 126, 125, 0)


def test_aedat3_events_are_those_of_spikingjelly(jelly, formats, tmp_path) -> None:
    rng = np.random.default_rng(0)
    packets = [
        formats.packet(*formats.events(rng, 100, 2**31 - 1000, 2**31)),
        formats.packet([1], [1], [0], [0], kind=0),
        formats.packet([7] * 9, *[[1] * 9] * 3, kind=12),
        formats.packet(*formats.events(rng, 100, 0, 50), overflow=1),
    ]
    content = formats.header3 + b"".join(packets)
    (tmp_path / "a.aedat").write_bytes(content)
    events = read_aedat3(content, "a")
    equal(events, jelly.utils.load_aedat_v3(tmp_path / "a.aedat"))
    assert len(events) == 200 and events.t.max() > 2**31


@pytest.mark.parametrize("split_by", ["number", "time"])
@pytest.mark.parametrize("steps", [1, 4, 16])
def test_frames_are_those_of_spikingjelly(jelly, formats, split_by: str, steps: int) -> None:
    for seed, count in enumerate((1000, 4099)):
        t, x, y, p = formats.events(np.random.default_rng(seed), count, 10**6, 2 * 10**6)
        if seed:  # a clock that jumps back, as happens in recordings
            t[100:200], t[200:300] = t[200:300].copy(), t[100:200].copy()
        reference = jelly.utils.integrate_events_by_fixed_frames_number(
            {"t": t, "x": x, "y": y, "p": p}, split_by, steps, 128, 128
        )
        frames = integrate(Events(t, x, y, p), FrameSettings(steps, split_by))
        assert np.issubdtype(frames.dtype, np.integer)
        assert np.array_equal(frames, reference)


def test_fewer_events_than_frames_all_come_in_the_last_one() -> None:
    three = np.arange(3)
    frames = integrate(Events(three, three, three, three % 2), FrameSettings(16))
    assert frames.sum((1, 2, 3)).tolist() == [0] * 15 + [3]


def test_a_span_without_events_is_an_empty_frame() -> None:
    t = np.array([0, 1, 90, 100])
    frames = integrate(Events(t, t * 0, t * 0, t * 0), FrameSettings(5, "time"))
    assert frames.sum((1, 2, 3)).tolist() == [2, 0, 0, 0, 2]


@pytest.mark.parametrize("t", [[7], [7, 7, 8]])
def test_all_events_are_counted_where_the_clock_hardly_moves(t) -> None:
    t = np.array(t)
    assert integrate(Events(t, t * 0, t * 0, t * 0), FrameSettings(16, "time")).sum() == len(t)


@pytest.mark.parametrize("size", [64, 32, 1])
def test_smaller_frames_sum_squares_of_pixels(formats, size: int) -> None:
    events = Events(*formats.events(np.random.default_rng(3), 2000))
    whole, k = integrate(events, FrameSettings(4)), 128 // size
    small = integrate(events, FrameSettings(4, "number", size))
    for row, column in ((0, 0), (size - 1, size // 2)):
        square = whole[:, :, row * k : (row + 1) * k, column * k : (column + 1) * k]
        assert np.array_equal(small[:, :, row, column], square.sum((2, 3)))
    assert small.sum() == 2000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0,), "--time-steps must be at least 1, got 0"),
        ((4, "count"), "unknown --split-by 'count': choose number or time"),
        ((4, "number", 48), "event frames of 48 pixels cannot be made: --image-size must be one of 128, 64, 32"),
        ((4, "number", 256), "--image-size must be one of 128"),
    ],
)
def test_settings_that_cannot_be_used(arguments, said: str) -> None:
    with pytest.raises(InputError, match=said):
        FrameSettings(*arguments)


def test_a_clock_that_runs_backwards_has_no_equal_times() -> None:
    t = np.array([9, 1])
    with pytest.raises(InputError, match="earlier than its first: give --split-by number"):
        integrate(Events(t, t, t, t * 0), FrameSettings(1, "time"))


# --- sets: every form of the same recordings is the same data set


def compare(ours, theirs) -> None:
    """Frames and labels in the same order."""
    assert len(ours) == len(theirs)
    assert ours.kind == "events" and ours.images.dtype == torch.uint8
    for index, (frames, label) in enumerate(theirs):
        assert np.array_equal(ours.images[index].numpy(), frames), index
        assert ours.labels[index].item() == label, index


@pytest.mark.parametrize("split", ["train", "test"])
def test_gestures_are_those_of_spikingjelly_in_every_form(jelly, gesture_root, tmp_path, split: str) -> None:
    own = tmp_path / "jelly"
    (own / "events_np").mkdir(parents=True)
    jelly.gesture.DVS128Gesture.create_raw_from_extracted(gesture_root, own / "events_np")
    theirs = jelly.gesture.DVS128Gesture(str(own), split == "train", "frame", 16, "number")
    original = open_dataset("dvs128gesture", gesture_root, split)
    compare(original, theirs)
    compare(open_dataset("dvs128gesture", own, split), theirs)  # the frames it made
    shutil.rmtree(own / "frames_number_16_split_by_number")
    events = open_dataset("dvs128gesture", own, split)
    assert torch.equal(events.images[:], original.images[:]) and torch.equal(events.labels, original.labels)


@pytest.mark.parametrize("split_by", ["number", "time"])
def test_cifar10dvs_is_that_of_spikingjelly_in_every_form(jelly, cifar10dvs_root, tmp_path, split_by: str) -> None:
    own = tmp_path / "jelly"
    (own / "events_np").mkdir(parents=True)
    jelly.cifar.CIFAR10DVS.create_raw_from_extracted(cifar10dvs_root, own / "events_np")
    parts = jelly.utils.split_to_train_test_set(
        0.9, jelly.cifar.CIFAR10DVS(str(own), "frame", frames_number=4, split_by=split_by), 10
    )
    for split, theirs in zip(("train", "test"), parts, strict=True):
        options = {"time_steps": 4, "split_by": split_by}
        original = open_dataset("cifar10dvs", cifar10dvs_root, split, **options)
        compare(original, theirs)
        compare(open_dataset("cifar10dvs", own, split, **options), theirs)
        (own / f"frames_number_4_split_by_{split_by}").rename(own / "aside")
        events = open_dataset("cifar10dvs", own, split, **options)
        assert torch.equal(events.images[:], original.images[:]) and torch.equal(events.labels, original.labels)
        (own / "aside").rename(own / f"frames_number_4_split_by_{split_by}")


def test_frames_of_spikingjelly_are_shrunk_like_events(jelly, cifar10dvs_root, tmp_path) -> None:
    own = tmp_path / "jelly"
    (own / "events_np").mkdir(parents=True)
    jelly.cifar.CIFAR10DVS.create_raw_from_extracted(cifar10dvs_root, own / "events_np")
    list(jelly.cifar.CIFAR10DVS(str(own), "frame", frames_number=4, split_by="number"))
    shutil.rmtree(own / "events_np")
    ours = open_dataset("cifar10dvs", own, time_steps=4, image_size=32)
    original = open_dataset("cifar10dvs", cifar10dvs_root, time_steps=4, image_size=32)
    assert ours.shape == (4, 2, 32, 32)
    assert torch.equal(ours.images[:], original.images[:])


def test_the_split_of_cifar10dvs_is_by_name_as_text(cifar10dvs_root) -> None:
    # Of 0, 1, 10, 11, 2, ..., 9 the first ceil(0.9 * 12) = 11 are for training: 9 is left, with 300 + 9 events.
    test = open_dataset("cifar10dvs", cifar10dvs_root)
    assert test.labels.tolist() == list(range(10))
    assert test.images[:].sum((1, 2, 3, 4)).tolist() == [309] * 10
    assert len(open_dataset("cifar10dvs", cifar10dvs_root, "train")) == 110


@pytest.mark.parametrize("place", [".", "DvsGesture", "extract/DvsGesture", "DVS128Gesture/DvsGesture"])
def test_places_where_gestures_are_found(gesture_root, tmp_path, place: str) -> None:
    (tmp_path / "there" / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(gesture_root / "DvsGesture", tmp_path / "there" / place)
    assert len(open_dataset("dvs128gesture", tmp_path / "there")) == 13


def test_a_data_set_of_events_says_what_it_is(gesture_root) -> None:
    data, info = open_dataset("dvs128gesture", gesture_root), DATASETS["dvs128gesture"]
    assert (data.name, data.split, data.classes) == ("dvs128gesture", "test", info.classes)
    assert data.shape == (16, *info.shape)
    images, labels = next(data.batches(4))
    assert images.shape == (4, 16, 2, 128, 128) and images.dtype == torch.float32
    assert torch.equal(images, data.images[torch.arange(4)].float())
    assert torch.equal(labels, data.labels[:4])
