"""Data sets: where they are found, how they are read, and batches of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.arrays import open_arrays
    from saformer.data.dataset import Dataset

__all__ = ["DATASETS", "Dataset", "DatasetInfo", "open_arrays", "open_dataset"]

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before any of it is read."""

    name: str
    title: str
    classes: int
    shape: tuple[int, int, int]
    kind: str
    train: int
    test: int
    expected: str
    download: str


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
}


def open_dataset(name: str, data_dir: str | Path | None = None, split: str = "test") -> "Dataset":
    """Read one split of a known data set; `data_dir` is where it lies (./data unless told)."""
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}")
    if split not in SPLITS:
        raise InputError(f"unknown split {split!r} of {name}: choose {' or '.join(SPLITS)}")
    if name == "digits":
        from saformer.data.digits import open_digits

        return open_digits(split)
    from saformer.data.cifar import open_cifar

    return open_cifar(name, Path("data") if data_dir is None else Path(data_dir), split)


def __getattr__(name: str) -> Any:
    # torch takes a second to import; listing the data sets must not wait for it.
    if name == "Dataset":
        from saformer.data.dataset import Dataset

        return Dataset
    if name == "open_arrays":
        from saformer.data.arrays import open_arrays

        return open_arrays
    raise AttributeError(f"module 'saformer.data' has no attribute {name!r}")
