"""Event frames on the disk: made once, checked, made again where they are damaged or their source changed."""

import json
import os
import pickle
import shutil
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from saformer.data import frame_cache, open_dataset
from saformer.data.recordings import Recording
from saformer.errors import InputError
from saformer.training.state import data_sha256


@pytest.fixture
def root(cifar10dvs_root):
    return cifar10dvs_root


def opened(root, **options):
    return open_dataset("cifar10dvs", root, **{"time_steps": 2, **options})


def files(folder, suffix=".npy"):
    return sorted(path for path in folder.iterdir() if path.suffix == suffix)


@pytest.fixture
def made(root, monkeypatch):
    """The data set as made the first time, and a count of the recordings read after that."""
    images, read = opened(root).images[:], []
    frames = Recording.frames

    def counted(self, settings):
        read.append(self.path.name)
        return frames(self, settings)

    monkeypatch.setattr(Recording, "frames", counted)
    return images, read


def test_frames_are_made_once(root, made) -> None:
    images, read = made
    again = opened(root)
    assert torch.equal(again.images[:], images) and read == []
    (path,) = files(root / ".saformer")
    assert np.array_equal(np.load(path), images.numpy())
    assert torch.equal(opened(root, time_steps=4).images[:].sum(1), images.sum(1)) and len(read) == 10
    assert len(files(root / ".saformer")) == 2


def test_frames_have_a_digest(root, formats) -> None:
    digest = data_sha256(opened(root))
    assert digest is not None and digest == data_sha256(opened(root))
    assert digest != data_sha256(opened(root, time_steps=4))
    shutil.rmtree(root / ".saformer")
    assert digest == data_sha256(opened(root))
    (root / "bird" / "cifar10_bird_9.aedat").write_bytes(formats.aedat2([1, 2], [3, 3], [4, 4], [0, 1]))
    assert digest != data_sha256(opened(root))


def test_a_changed_recording_has_its_frames_made_again(root, made, formats) -> None:
    images, read = made
    path = root / "bird" / "cifar10_bird_9.aedat"
    path.write_bytes(formats.aedat2([1, 2], [3, 3], [4, 4], [0, 1]))
    again = opened(root).images[:]
    assert len(read) == 10
    assert again[2].sum() == 2 and torch.equal(again[3], images[3])


def test_a_damaged_sample_is_made_again_when_it_is_read(root, made) -> None:
    images, read = made
    (path,) = files(root / ".saformer")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # in the last sample
    path.write_bytes(content)
    data = opened(root)
    assert torch.equal(data.images[torch.tensor([0, 9])], images[[0, 9]])
    assert read == ["cifar10_truck_9.aedat"]
    # The whole file is made again when it is opened next.
    assert torch.equal(opened(root).images[:], images) and len(read) == 11
    assert np.array_equal(np.load(path), images.numpy())


HARMS = ("cut", "empty", "header", "no index", "index", "version", "fewer sums", "another sum", "no object", "deep")


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_file_is_made_again(root, made, harm: str) -> None:
    images, read = made
    (path,) = files(root / ".saformer")
    index = path.with_suffix(".json")
    held = json.loads(index.read_text())
    match harm:
        case "cut":
            path.write_bytes(path.read_bytes()[:-7])
        case "empty":
            path.write_bytes(b"")
        case "header":
            content = bytearray(path.read_bytes())
            content[10] ^= 1  # the brace that opens it
            path.write_bytes(content)
        case "no index":
            index.unlink()
        case "index":
            index.write_text(index.read_text()[:30])
        case "version":
            index.write_text(json.dumps({**held, "version": 0}))
        case "fewer sums":
            index.write_text(json.dumps({**held, "crc32": held["crc32"][1:]}))
        case "another sum":  # it is part of the digest, by which a run knows its data
            index.write_text(json.dumps({**held, "crc32": [held["crc32"][0] ^ 1, *held["crc32"][1:]]}))
        case "no object":
            index.write_text("[]")
        case "deep":
            index.write_text("[" * 100_000)
    assert torch.equal(opened(root).images[:], images)
    assert len(read) == 10
    assert torch.equal(opened(root).images[:], images) and len(read) == 10


def test_a_recording_that_changes_under_a_damaged_sample_is_named(root, formats) -> None:
    data = opened(root, time_steps=1)
    (path,) = files(root / ".saformer")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    truck = root / "truck" / "cifar10_truck_9.aedat"
    truck.write_bytes(formats.aedat2(range(300), [5] * 300, [5] * 300, [1] * 300))  # more than fit in a byte
    with pytest.raises(InputError, match=rf"{truck} was changed while it was in use: start again"):
        data.images[9]


@pytest.mark.parametrize(("count", "dtype", "stored"), [(255, "u1", "u1"), (256, "i4", "u2"), (70_000, "i8", "u4")])
def test_counts_are_stored_as_narrow_as_they_fit(root, formats, count: int, dtype: str, stored: str) -> None:
    images = opened(root).images[:]
    # A pixel with so many events in a frame, in the middle of the set: what was written before is widened.
    path = root / "deer" / "cifar10_deer_9.aedat"
    path.write_bytes(formats.aedat2(range(count), [127] * count, [127] * count, [1] * count))
    frames = opened(root, time_steps=1).images
    assert frames[4].numpy().dtype == np.dtype(dtype)
    assert frames[4][0, 0, 0, 0] == count and frames[4].sum() == count
    others = [i for i in range(10) if i != 4]
    assert torch.equal(frames[torch.tensor(others)][:, 0].long(), images[others].sum(1))
    assert {np.load(path).dtype for path in files(root / ".saformer") if "-T1-" in path.name} == {np.dtype(stored)}


def test_where_the_data_cannot_be_written_to_the_users_cache_has_the_frames(root, tmp_path, monkeypatch) -> None:
    (root / ".saformer").write_text("a file, so that no folder can be made")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    images = opened(root).images[:]
    assert len(files(tmp_path / "home" / "saformer")) == 1
    assert torch.equal(opened(root, cache_dir=tmp_path / "mine").images[:], images)
    assert len(files(tmp_path / "mine")) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InputError, match=r"cannot be kept in .*/file: name a folder that can be written with --cache-dir"
    ):
        opened(root, cache_dir=tmp_path / "file")


def test_a_folder_that_takes_no_files_is_refused_whatever_its_rights_say(root, monkeypatch) -> None:
    def refused(target):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(frame_cache, "Partial", refused)  # /proc is such a folder for root
    with pytest.raises(InputError, match="name a folder that can be written with --cache-dir"):
        opened(root, cache_dir=root / "strange")


def test_without_a_home_frames_lie_beside_the_data(root, monkeypatch) -> None:
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    opened(root)
    assert len(files(root / ".saformer")) == 1
    with pytest.raises(InputError, match=r"cannot be kept in .*: name a folder"):
        monkeypatch.setattr(frame_cache, "FOLDER", "bird/cifar10_bird_9.aedat/below a file")
        opened(root)


def test_more_steps_than_any_disk_holds(root) -> None:
    with pytest.raises(InputError, match=r"take [\d.]+ GB, .* GB left"):
        opened(root, time_steps=10**18)


def test_frames_whose_index_cannot_be_written_are_taken_away(root, monkeypatch) -> None:
    def full(path, text):
        raise InputError(f"cannot write {path}: no space left on the device")

    monkeypatch.setattr(frame_cache, "write_text_atomic", full)
    with pytest.raises(InputError, match="no space left"):
        opened(root)
    assert files(root / ".saformer") == []


_COUNTING = """
import os, signal, sys
from saformer.data import open_dataset
from saformer.data.recordings import Recording
frames, read = Recording.frames, []
def counted(self, settings):
    read.append(0)
    if len(read) == 5 and len(sys.argv) > 2:
        try:
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))  # the first to come this far dies of it
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return frames(self, settings)
Recording.frames = counted
total = open_dataset("cifar10dvs", sys.argv[1], "train", time_steps=2).images[:].sum().item()
print(len(read), total)
"""


def test_of_several_processes_one_makes_the_frames(root, forked) -> None:
    answers = [ended.out.split() for ended in forked("-c", _COUNTING, root)]
    assert sorted(int(read) for read, _ in answers) == [0, 110]
    assert len({total for _, total in answers}) == 1
    assert {p.suffix for p in (root / ".saformer").iterdir()} == {".npy", ".json"}


def test_where_one_of_several_processes_is_killed_at_it_another_makes_the_frames(root, tmp_path, forked) -> None:
    ended = forked("-c", _COUNTING, root, tmp_path / "died", count=4)
    assert sorted(each.code for each in ended) == [-signal.SIGKILL, 0, 0, 0]
    answers = [each.out.split() for each in ended if each.code == 0]
    assert sorted(int(read) for read, _ in answers) == [0, 0, 110]
    assert {p.suffix for p in (root / ".saformer").iterdir()} == {".npy", ".json"}


def test_a_clock_that_was_set_back_changes_nothing(root, made) -> None:
    _, read = made
    for path in [p for p in root.rglob("*") if p.is_file()]:
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns + 10**18, found.st_mtime_ns + 10**18))  # made in thirty years
    images = opened(root).images[:]  # recordings of another time are others
    assert len(read) == 10 and torch.equal(opened(root).images[:], images) and len(read) == 10


def test_what_a_killed_process_left_is_taken_away(root) -> None:
    opened(root)
    (path,) = files(root / ".saformer")
    path.with_suffix(".json").unlink()
    path.with_name(f".{path.stem}.saformer-0123456789abcdef.npy").write_bytes(b"half")
    opened(root)
    assert {p.suffix for p in (root / ".saformer").iterdir()} == {".npy", ".json"}
    assert len(files(root / ".saformer")) == 1


def test_a_full_disk_is_said_and_leaves_nothing(root, monkeypatch) -> None:
    usage = shutil.disk_usage(root)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        with pytest.raises(
            InputError, match=r"take 0\.0 GB, .* has 0\.0 GB left: name another folder with --cache-dir"
        ):
            opened(root)

    def full(self, row, frames):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(frame_cache.FrameFile, "add_row", full)
    with pytest.raises(InputError, match="the disk is full"):
        opened(root)
    assert list((root / ".saformer").iterdir()) == []


def test_a_worker_process_gets_no_copy_of_the_frames(root) -> None:
    images = opened(root).images
    pickled = pickle.dumps(images)
    assert len(pickled) < 10_000
    assert torch.equal(pickle.loads(pickled)[:], images[:])


def test_frames_are_indexed_like_a_tensor(root) -> None:
    images = opened(root).images
    whole = images[:]
    assert (images.shape, images.ndim, len(images), images.dtype) == (whole.shape, 5, 10, whole.dtype)
    for index in (torch.tensor([3, 3, 0]), torch.tensor([-1]), torch.arange(10) % 3 == 0, slice(2, 8, 3)):
        assert torch.equal(images[index], whole[index])
    assert torch.equal(images[4], whole[4])
    assert images[torch.tensor([], dtype=torch.int64)].shape == (0, *whole.shape[1:])
    with pytest.raises(IndexError):
        images[torch.tensor([10])]


def test_the_making_is_shown(root) -> None:
    shown = []

    @contextmanager
    def progress(text, total):
        shown.append([text, total, 0])

        def advance(done):
            shown[-1][2] += done

        yield advance

    opened(root, progress=progress)
    opened(root, progress=progress)
    assert shown == [["making the frames of cifar10dvs-test", 10, 10]]
