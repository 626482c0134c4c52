"""What is wrong with the files of an event set: each file at fault names itself, and the byte or the line."""

import pickle
import shutil
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

from saformer.data import open_dataset
from saformer.data.aedat import read_aedat2, read_aedat3
from saformer.errors import InputError


def complaint(name, root, **options) -> str:
    with pytest.raises(InputError) as caught:
        open_dataset(name, root, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(read, content) -> str:
    with pytest.raises(InputError) as caught:
        read(content, "a.aedat")
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- bytes


def test_a_damaged_aedat2_file_gives_the_byte(formats) -> None:
    start = len(formats.header2)
    good = formats.aedat2(*formats.events(np.random.default_rng(0), 10))
    assert refused(read_aedat2, good[:-3]) == (
        f"a.aedat is truncated: at byte {start + 72} an event of 8 bytes begins and 5 are left; "
        "copy or download it again"
    )
    wrong = bytearray(good)
    wrong[start + 8 * 4] = 0x40
    assert refused(read_aedat2, bytes(wrong)) == (
        f"a.aedat is damaged: event 4, at byte {start + 32}, has no address of a DVS128; copy or download it again"
    )
    assert "a.aedat is empty" in refused(read_aedat2, b"")
    assert "it ends at byte 20, after its header" in refused(read_aedat2, b"#!AER-DAT2.0\r\n# ab\r\n")
    assert "the line of its header at byte 14 does not end" in refused(read_aedat2, b"#!AER-DAT2.0\r\n# ab")
    assert "is not an AEDAT 2 file: at byte 0" in refused(read_aedat2, formats.header3 + b"\0" * 64)
    assert "is not an AEDAT 2 file" in refused(read_aedat2, b"PK\x03\x04")


def test_a_synchronisation_pulse_is_counted_as_by_spikingjelly(formats) -> None:
    content = formats.header2 + struct.pack(">IIII", 0x80000000 | 3 << 8, 1, 0x8000 | 3 << 8, 2)
    assert read_aedat2(content, "a").x.tolist() == [124, 124]


def test_a_damaged_aedat3_file_gives_the_byte(formats) -> None:
    start = len(formats.header3)
    rng = np.random.default_rng(0)
    first, second = (formats.packet(*formats.events(rng, count)) for count in (5, 7))
    good = formats.header3 + first + second
    at = start + len(first)
    assert refused(read_aedat3, good[:-10]) == (
        f"a.aedat is truncated: the packet at byte {at} holds 56 bytes of events, the file has 46 left; "
        "copy or download it again"
    )
    assert f"the header of the packet at byte {at} is cut short" in refused(read_aedat3, good[: at + 20])
    for field, value in ((4, 12), (8, 0), (12, -1), (16, -5), (20, 8)):  # size, offset, overflow, capacity, number
        wrong = bytearray(good)
        struct.pack_into("<i", wrong, at + field, value)
        assert f"at byte {at} there is no header of a packet" in refused(read_aedat3, bytes(wrong)), field
    wrong = bytearray(good)
    struct.pack_into("<I", wrong, at + 28 + 8 * 2, 128 << 17)
    assert f"event 7, at byte {at + 44}, has no pixel of 128 x 128" in refused(read_aedat3, bytes(wrong))
    special = formats.header3 + formats.packet([1], [1], [1], [1], kind=0)
    assert "holds no polarity events" in refused(read_aedat3, special)
    assert "is not an AEDAT 3 file" in refused(read_aedat3, formats.aedat2([1], [1], [1], [1]))


# --- sets


def test_a_file_at_fault_in_a_set_is_named_and_nothing_is_kept(cifar10dvs_root) -> None:
    path = cifar10dvs_root / "dog" / "cifar10_dog_9.aedat"
    path.write_bytes(path.read_bytes()[:-1])
    assert complaint("cifar10dvs", cifar10dvs_root).startswith(f"{path} is truncated: at byte ")
    assert list((cifar10dvs_root / ".saformer").iterdir()) == []


def test_missing_classes_of_cifar10dvs(cifar10dvs_root) -> None:
    for path in (cifar10dvs_root / "dog").iterdir():
        path.unlink()
    assert complaint("cifar10dvs", cifar10dvs_root) == (
        f"{cifar10dvs_root / 'dog'} holds no .aedat file: each class needs at least one"
    )
    (cifar10dvs_root / "dog").rmdir()
    assert complaint("cifar10dvs", cifar10dvs_root) == (
        f"{cifar10dvs_root} has no folder dog, one of its 10 classes: is it complete?"
    )


def test_too_few_recordings_leave_no_test_set(cifar10dvs_root) -> None:
    for path in cifar10dvs_root.glob("*/*_*_?*.aedat"):
        if not path.stem.endswith("_0"):
            path.unlink()
    assert "the test split of CIFAR10-DVS in " in complaint("cifar10dvs", cifar10dvs_root)
    assert len(open_dataset("cifar10dvs", cifar10dvs_root, "train", time_steps=1)) == 10


def test_the_official_lists_must_agree_with_the_files(gesture_root) -> None:
    folder = gesture_root / "DvsGesture"
    trials, labels = folder / "trials_to_test.txt", folder / "user24_led_labels.csv"
    for text, said in (
        ("\nuser99_led.aedat\n", f"{trials}, line 2 names user99_led.aedat, which is not in {folder}"),
        ("../user24_led.aedat\n", f"{trials}, line 1: '../user24_led.aedat' is not the name of an .aedat file"),
        ("\n\n", f"{trials} names no file"),
    ):
        trials.write_text(text)
        assert complaint("dvs128gesture", gesture_root).startswith(said)
    trials.write_text("user24_led.aedat\n")
    header = "class,startTime_usec,endTime_usec\n"
    for text, said in (
        ("1,2,3\n", f"{labels}, line 1: expected the names of the columns, class,startTime_usec,endTime_usec"),
        (header, f"{labels} names no gesture"),
        (f"{header}1,2\n", f"{labels}, line 2: expected three whole numbers, got '1,2'"),
        (f"{header}\n1,2,x\n", f"{labels}, line 3: expected three whole numbers, got '1,2,x'"),
        (
            f"{header}12,2,3\n",
            f"{labels}, line 2: expected a class from 1 to 11 and a start before the end, got 12,2,3",
        ),
        (f"{header}1,3,3\n", f"{labels}, line 2: expected a class from 1 to 11 and a start before the end, got 1,3,3"),
        (
            f"{header}1,1000,2000\n2,90000,90001\n",
            f"{folder / 'user24_led.aedat'} holds no events from 90000 to 90001 microseconds, as "
            "user24_led_labels.csv, line 3, says: is the file cut short?",
        ),
    ):
        labels.write_text(text)
        assert complaint("dvs128gesture", gesture_root).startswith(said)
    labels.write_text(f"{header}1,2,{'3' * 200_000}\n")
    assert complaint("dvs128gesture", gesture_root).startswith(f"cannot read {labels}: it has 200,039 bytes")
    labels.write_bytes(b"class\xff")
    assert complaint("dvs128gesture", gesture_root).startswith(f"cannot read {labels}: it is no text (UTF-8): byte 5")
    labels.unlink()
    assert complaint("dvs128gesture", gesture_root).startswith(f"cannot read {labels}: there is no such file")
    trials.unlink()
    assert complaint("dvs128gesture", gesture_root).startswith(f"cannot read {trials}: there is no such file")


def test_a_wrong_level_gets_a_hint(gesture_root, cifar10dvs_root, tmp_path) -> None:
    (tmp_path / "outer").mkdir()
    shutil.move(cifar10dvs_root, tmp_path / "outer" / "inner")
    message = complaint("cifar10dvs", tmp_path / "outer")
    assert message.startswith(f"CIFAR10-DVS is not in {tmp_path / 'outer'}: looked there for a folder per class")
    assert message.endswith(f"; give --data-dir {tmp_path / 'outer' / 'inner'}")
    message = complaint("cifar10dvs", tmp_path / "outer" / "inner" / "dog")
    assert message.endswith(f"; give --data-dir {tmp_path / 'outer' / 'inner'}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    deep = tmp_path / "far" / "from" / "all"
    deep.mkdir(parents=True)
    assert "get it from https://ibm.ent.box.com" in complaint("dvs128gesture", tmp_path / "far" / "from" / "all")
    assert "does not exist: make it" in complaint("dvs128gesture", tmp_path / "absent")
    assert "is not a directory: make it" in complaint("dvs128gesture", tmp_path / "file")


# --- folders of SpikingJelly


@pytest.fixture
def events_np(tmp_path, formats):
    """One recording per class and split, as SpikingJelly writes events."""
    rng = np.random.default_rng(4)
    for split in ("train", "test"):
        for gesture in range(11):
            folder = tmp_path / "jelly" / "events_np" / split / str(gesture)
            folder.mkdir(parents=True)
            np.savez(folder / "user24_led_0.npz", **dict(zip("txyp", formats.events(rng, 50), strict=True)))
    return tmp_path / "jelly"


def test_what_is_no_recording_of_spikingjelly(events_np) -> None:
    path = events_np / "events_np" / "test" / "3" / "user24_led_0.npz"
    good = dict(np.load(path))

    def says(**arrays) -> str:
        np.savez(path, **arrays)
        return complaint("dvs128gesture", events_np)

    assert says(**{**good, "x": good["x"] * 0 + 128}) == f"{path}: x[0] is 128, outside 0 to 127"
    assert says(**{**good, "p": good["p"] + 2}).startswith(f"{path}: p[0] is ")
    assert says(**{**good, "y": good["y"] - 200}).startswith(f"{path}: y[0] is -")
    assert says(**{**good, "x": good["x"][1:]}) == f"{path}: x is 49 of int64, not a row of integers as long as t"
    assert says(**{**good, "t": good["t"] * 1.0}).startswith(f"{path}: t is 50 of float64")
    assert says(**{name: good[name][:0] for name in "txyp"}) == f"{path}: it holds no events"
    assert says(t=good["t"], x=good["x"]) == f"{path} has no array 'y' (it holds t, x): was it written by SpikingJelly?"
    assert says(**{**good, "t": good["t"].astype(object)}).startswith(f"{path}: t cannot be read (Object")
    np.savez(path, **good)
    path.write_bytes(path.read_bytes()[:-40])
    assert complaint("dvs128gesture", events_np).startswith(f"{path} is a truncated or damaged .npz file (")
    for content in (b"something else", pickle.dumps(good), b"\x93NUMPY"):  # numpy's own words advise to unpickle
        path.write_bytes(content)
        assert complaint("dvs128gesture", events_np) == (
            f"{path} is a single array, not an .npz file: save it with numpy.savez(path, x=...)"
            if content.startswith(b"\x93")
            else f"{path} is not an .npz file: make or copy it again"
        )
    path.unlink()
    assert complaint("dvs128gesture", events_np) == f"{path.parent} holds no .npz file: each class needs at least one"
    shutil.rmtree(path.parent.parent)
    assert "events_np has no folder test" in complaint("dvs128gesture", events_np)


def test_frames_that_are_not_counts_of_the_right_shape(events_np) -> None:
    path = events_np / "frames_number_2_split_by_number" / "test" / "3" / "user24_led_0.npz"
    (events_np / "events_np").rename(events_np / "frames_number_2_split_by_number")
    for file in (events_np / "frames_number_2_split_by_number").glob("*/*/*.npz"):
        np.savez(file, frames=np.ones((2, 2, 128, 128)))
    np.savez(path, frames=np.ones((2, 2, 128, 128), np.float16))
    path.with_name(f"._{path.name}").write_bytes(b"what macOS keeps about a file")
    with warnings.catch_warnings(action="error"):
        frames = open_dataset("dvs128gesture", events_np, time_steps=2).images[:]
    assert frames.shape == (11, 2, 2, 128, 128) and (frames == 1).all()
    for frames, said in (
        (np.ones((4, 2, 128, 128)), f"{path}: frames is 4 x 2 x 128 x 128, expected 2 x 2 x 128 x 128"),
        (np.full((2, 2, 128, 128), 0.5), f"{path}: frames holds numbers that are no counts of events"),
        (np.full((2, 2, 128, 128), -1), f"{path}: frames holds numbers that are no counts of events"),
        (np.full((2, 2, 128, 128), np.nan), f"{path}: frames holds numbers that are no counts of events"),
    ):
        np.savez(path, frames=frames)
        assert complaint("dvs128gesture", events_np, time_steps=2).startswith(said)
    message = complaint("dvs128gesture", events_np)
    assert message == (
        f"{events_np} holds frames_number_2_split_by_number, but neither frames_number_16_split_by_number nor "
        "events to make it of: give --time-steps 2 --split-by number, or add events_np or the publisher's files"
    )


@pytest.mark.parametrize("name", ["cifar10dvs", "dvs128gesture", "imagefolder"])
def test_a_folder_that_may_not_be_read_is_named(name, tmp_path, monkeypatch) -> None:
    def forbidden(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert complaint(name, tmp_path) == f"{tmp_path} cannot be read (Permission denied): is it yours to read?"
