"""Where the recordings of DVS128 Gesture and CIFAR10-DVS lie, and which belong to a split.

Both sets are looked for as their publishers ship them and as SpikingJelly (and with it the code of Spikformer and of
the Spike-driven Transformer) leaves them on the disk. Labels, split and order are those of SpikingJelly in every case.
"""

import contextlib
import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from saformer.data.frames import FrameSettings
from saformer.data.recordings import Recording, Sample
from saformer.data.registry import DATASETS
from saformer.errors import InputError, brief
from saformer.files import read_text

#: Folders of classes; the place of each is its label. SpikingJelly's loader sorts the numbers of the gestures as
#: text, so gesture 11 (folder 10) has label 2, in published checkpoints as well.
CLASSES: dict[str, tuple[str, ...]] = {
    "dvs128gesture": tuple(sorted(str(gesture) for gesture in range(11))),
    "cifar10dvs": (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
}

#: Share of the recordings of a class of CIFAR10-DVS, the first by name, that are for training.
TRAINING_SHARE = 0.9

# Folder that SpikingJelly's examples keep a set in.
_ROOTS = {"dvs128gesture": "DVS128Gesture", "cifar10dvs": "CIFAR10DVS"}
_EVENTS = "events_np"
_LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
_LIST = 2**14  # bytes of a list of trials or of gestures; the longest of the set has 2,000
_COLUMNS = ("class", "startTime_usec", "endTime_usec")


@dataclass(frozen=True)
class _Place:
    """A folder that holds a set in one form."""

    folder: Path
    form: str


def find_recordings(name: str, data_dir: Path, split: str, settings: FrameSettings) -> list[Recording]:
    """The recordings of one split in whatever form lies in `data_dir`.

    Frames made by SpikingJelly with the same settings come first, then its events, then the publisher's files.

    Raises:
        InputError: nothing is found, or a file or a class of what is found is missing.
    """
    info = DATASETS[name]
    if not data_dir.is_dir():
        problem = "is not a directory" if data_dir.exists() else "does not exist"
        raise InputError(
            f"the data directory {data_dir} {problem}: make it, put {info.title} there, or name another with "
            f"--data-dir; get it from {info.download}"
        )
    wanted = _frames_folder(settings.time_steps, settings.split_by)
    places = _places(name, data_dir)
    for form in (wanted, "events", "aedat"):
        for place in places:
            if place.form == form:
                return _recordings(name, place, split, "frames" if form == wanted else form)
    if made := sorted({place.form for place in places}):
        flags = " or ".join(_flags(form) for form in made)
        raise InputError(
            f"{places[0].folder.parent} holds {' and '.join(made)}, but neither {wanted} nor events to make it of: "
            f"give {flags}, or add {_EVENTS} or the publisher's files"
        )
    hint = _other_level(name, data_dir)
    advice = f"give --data-dir {hint}" if hint else f"get it from {info.download}"
    raise InputError(f"{info.title} is not in {data_dir}: looked there for {info.expected}; {advice}")


def _frames_folder(time_steps: int, split_by: str) -> str:
    return f"frames_number_{time_steps}_split_by_{split_by}"


def _flags(folder: str) -> str:
    _, _, steps, _, _, split_by = folder.split("_")
    return f"--time-steps {steps} --split-by {split_by}"


def _places(name: str, data_dir: Path) -> list[_Place]:
    """Every form of the set in a folder, or in the one that SpikingJelly's examples keep it in."""
    found = []
    for root in (data_dir, data_dir / _ROOTS[name]):
        if not root.is_dir():
            continue
        made = [path for path in root.iterdir() if re.fullmatch(r"frames_number_\d+_split_by_(number|time)", path.name)]
        found += [_Place(path, path.name) for path in sorted(made) if path.is_dir()]
        if (root / _EVENTS).is_dir():
            found.append(_Place(root / _EVENTS, "events"))
        for folder in (root, root / "DvsGesture", root / "extract" / "DvsGesture", root / "extract"):
            if _is_publishers(name, folder):
                found.append(_Place(folder, "aedat"))
    return found


def _is_publishers(name: str, folder: Path) -> bool:
    if name == "dvs128gesture":
        return any((folder / file).is_file() for file in _LISTS.values()) or any(folder.glob("user*.aedat"))
    return any(any((folder / label).glob("*.aedat")) for label in CLASSES[name])


def _other_level(name: str, data_dir: Path) -> Path | None:
    """A folder above or below that holds the set."""
    below = sorted(path for path in data_dir.iterdir() if path.is_dir())
    for folder in [*below, *list(data_dir.resolve().parents)[:3]]:
        with contextlib.suppress(OSError):  # a folder that is not ours to read
            if _places(name, folder):
                return folder
    return None


def _recordings(name: str, place: _Place, split: str, form: str) -> list[Recording]:
    if name == "dvs128gesture":
        if form == "aedat":
            return list(_gesture_trials(place.folder, split))
        if not (place.folder / split).is_dir():
            raise InputError(f"{place.folder} has no folder {split}: let SpikingJelly make it again")
        return list(_by_class(place.folder / split, CLASSES[name], ".npz", form, lambda files: files))
    suffix, kind = (".aedat", "aedat2") if form == "aedat" else (".npz", form)
    return list(_by_class(place.folder, CLASSES[name], suffix, kind, _first if split == "train" else _rest))


def _first(files: Sequence[Path]) -> Sequence[Path]:
    """The training part of a class: `split_to_train_test_set(0.9, ...)` of SpikingJelly and of Spikformer."""
    return files[: math.ceil(len(files) * TRAINING_SHARE)]


def _rest(files: Sequence[Path]) -> Sequence[Path]:
    return files[math.ceil(len(files) * TRAINING_SHARE) :]


def _by_class(
    folder: Path, classes: Sequence[str], suffix: str, form: str, part: Callable[[Sequence[Path]], Sequence[Path]]
) -> Iterator[Recording]:
    """A recording for each file of a folder per class, as far as it is in the part of the class that is wanted."""
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            raise InputError(f"{folder} has no folder {name}, one of its {len(classes)} classes: is it complete?")
        # By name as text, as SpikingJelly's loader sorts the files that it makes: 1, 10, 100, 101, ...
        # What starts with a dot is not theirs: macOS leaves ._1.npz beside 1.npz.
        there = (path for path in (folder / name).iterdir() if path.suffix == suffix and not path.name.startswith("."))
        files = sorted(there, key=lambda path: f"{path.stem}.npz")
        if not files:
            raise InputError(f"{folder / name} holds no {suffix} file: each class needs at least one")
        for path in part(files):
            yield Recording(path, form, (Sample(label, f"{path.stem}.npz"),))


def _gesture_trials(folder: Path, split: str) -> Iterator[Recording]:
    """The trials that the official list of the split names, cut by their label files."""
    trials = folder / _LISTS[split]
    named = 0
    for number, line in enumerate(_lines(trials), 1):
        file = line.strip()
        if not file:
            continue
        named += 1
        path = folder / file
        if "/" in file or "\\" in file or path.suffix != ".aedat":
            raise InputError(f"{trials}, line {number}: {file[:80]!r} is not the name of an .aedat file")
        if not path.is_file():
            raise InputError(
                f"{trials}, line {number} names {file}, which is not in {folder}: unpack the archive again"
            )
        yield Recording(path, "aedat3", tuple(_gesture_samples(path)))
    if not named:
        raise InputError(f"{trials} names no file: unpack the archive again")


def _gesture_samples(path: Path) -> Iterator[Sample]:
    """The gestures of a trial, from its label file."""
    labels = path.with_name(f"{path.stem}_labels.csv")
    reader = csv.reader(_lines(labels))
    try:
        rows = list(reader)
    except csv.Error as error:
        raise InputError(f"{labels}, line {reader.line_num}: {brief(error)}; unpack the archive again") from None
    if not rows or len(rows[0]) != len(_COLUMNS) or rows[0][0].strip().isdigit():
        raise InputError(f"{labels}, line 1: expected the names of the columns, {','.join(_COLUMNS)}")
    seen: dict[int, int] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            gesture, start, stop = map(int, row)
        except ValueError:
            raise InputError(
                f"{labels}, line {number}: expected three whole numbers, got {','.join(row)[:80]!r}"
            ) from None
        if not 1 <= gesture <= len(CLASSES["dvs128gesture"]) or not 0 <= start < stop:
            raise InputError(
                f"{labels}, line {number}: expected a class from 1 to {len(CLASSES['dvs128gesture'])} and a start "
                f"before the end, got {gesture},{start},{stop}"
            )
        times = seen[gesture] = seen.get(gesture, -1) + 1
        label = CLASSES["dvs128gesture"].index(str(gesture - 1))
        yield Sample(label, f"{path.stem}_{times}.npz", (start, stop), f"{labels.name}, line {number},")
    if not seen:
        raise InputError(f"{labels} names no gesture: unpack the archive again")


def _lines(path: Path) -> list[str]:
    try:
        return read_text(path, most=_LIST).splitlines()
    except InputError as error:
        raise InputError(f"{error}; unpack the archive of the data set again") from None
