"""Data sets: where they are found, how they are read, and batches of them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.arrays import open_arrays
    from saformer.data.dataset import Dataset

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "open_arrays", "open_dataset"]

#: Opens a bar of `total` pieces of work described by a text; what it yields is called with pieces done.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

#: T of event frames where nothing else is said: that of the published event configurations.
EVENT_TIME_STEPS = 16


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before any of it is read.

    Args:
        name: as in `--dataset NAME`.
        title: as in papers.
        classes: number of classes; None where the files decide.
        shape: C x H x W of one image or one event frame.
        kind: "static" or "events".
        train: training images; None where the files decide.
        test: test images; None where the files decide.
        expected: what is looked for in the data directory.
        download: where to get it.
        splits: names that `--split` takes.
    """

    name: str
    title: str
    classes: int | None
    shape: tuple[int, int, int]
    kind: str
    train: int | None
    test: int | None
    expected: str
    download: str
    splits: tuple[str, ...] = ("train", "test")


DATASETS: dict[str, DatasetInfo] = {
    "digits": DatasetInfo(
        name="digits",
        title="Digits",
        classes=10,
        shape=(1, 8, 8),
        kind="static",
        train=1437,
        test=360,
        expected="nothing: embedded in scikit-learn",
        download="",
    ),
    "cifar10": DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        classes=10,
        shape=(3, 32, 32),
        kind="static",
        train=50_000,
        test=10_000,
        expected=("cifar-10-batches-py/, cifar-10-batches-bin/, cifar-10-python.tar.gz or cifar-10-binary.tar.gz"),
        download="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ),
    "cifar100": DatasetInfo(
        name="cifar100",
        title="CIFAR-100",
        classes=100,
        shape=(3, 32, 32),
        kind="static",
        train=50_000,
        test=10_000,
        expected="cifar-100-python/, cifar-100-binary/, cifar-100-python.tar.gz or cifar-100-binary.tar.gz",
        download="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    ),
    "dvs128gesture": DatasetInfo(
        name="dvs128gesture",
        title="DVS128 Gesture",
        classes=11,
        shape=(2, 128, 128),
        kind="events",
        train=1176,
        test=288,
        expected=(
            "DvsGesture/ (user*.aedat with *_labels.csv, trials_to_train.txt, trials_to_test.txt), or SpikingJelly's "
            "events_np/ or frames_number_T_split_by_number/, each with train/ and test/"
        ),
        download="https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8 (DvsGesture.tar.gz, to be unpacked)",
    ),
    "cifar10dvs": DatasetInfo(
        name="cifar10dvs",
        title="CIFAR10-DVS",
        classes=10,
        shape=(2, 128, 128),
        kind="events",
        train=9_000,
        test=1_000,
        expected=(
            "a folder per class (airplane/cifar10_airplane_0.aedat ...), or SpikingJelly's events_np/ or "
            "frames_number_T_split_by_number/ with a folder per class"
        ),
        download="https://figshare.com/articles/dataset/CIFAR10-DVS_New/4724671 (a .zip per class, to be unpacked)",
    ),
    "imagefolder": DatasetInfo(
        name="imagefolder",
        title="a folder of images, such as ImageNet",
        classes=None,
        shape=(3, 224, 224),
        kind="static",
        train=None,
        test=None,
        expected="train/, val/ or test/ with a folder of images per class, or the folders of the classes themselves",
        download="",
        splits=("train", "val", "test"),
    ),
}

_EVENT_SETS = tuple(name for name, info in DATASETS.items() if info.kind == "events")


def open_dataset(
    name: str,
    data_dir: str | Path | None = None,
    split: str = "test",
    *,
    time_steps: int | None = None,
    split_by: str | None = None,
    image_size: int | None = None,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> "Dataset":
    """Read one split of a known data set.

    Args:
        name: one of `DATASETS`.
        data_dir: where it lies; ./data unless told.
        split: one of the data set's splits.
        time_steps: T of event frames, 16 unless told; static images have no time of their own.
        split_by: "number" or "time": event frames hold equally many events (unless told) or span equal times.
        image_size: H = W of event frames (128 unless told) or of the images of a folder (224).
        cache_dir: where event frames are kept; in the data directory unless told.
        progress: shows how far the making of event frames is.

    Raises:
        InputError: an unknown name, or files that are missing or damaged.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}")
    info = DATASETS[name]
    if split not in info.splits:
        raise InputError(f"unknown split {split!r} of {name}: choose {' or '.join(info.splits)}")
    folder = Path("data") if data_dir is None else Path(data_dir)
    if info.kind == "events":
        from saformer.data.events import open_events

        return open_events(
            name,
            folder,
            split,
            time_steps=EVENT_TIME_STEPS if time_steps is None else time_steps,
            split_by=split_by or "number",
            size=info.shape[1] if image_size is None else image_size,
            cache_dir=None if cache_dir is None else Path(cache_dir),
            progress=progress,
        )
    if split_by is not None:
        raise InputError(f"{name} holds images, not events: --split-by is for {' and '.join(_EVENT_SETS)}")
    if name == "imagefolder":
        from saformer.data.folders import open_folder

        return open_folder(folder, split, info.shape[1] if image_size is None else image_size)
    if name == "digits":
        from saformer.data.digits import open_digits

        return open_digits(split)
    from saformer.data.cifar import open_cifar

    return open_cifar(name, folder, split)


def __getattr__(name: str) -> Any:
    # torch takes a second to import; listing the data sets must not wait for it.
    if name == "Dataset":
        from saformer.data.dataset import Dataset

        return Dataset
    if name == "open_arrays":
        from saformer.data.arrays import open_arrays

        return open_arrays
    raise AttributeError(f"module 'saformer.data' has no attribute {name!r}")
