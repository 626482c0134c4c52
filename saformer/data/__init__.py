"""Data sets: where they are found, how they are read, and batches of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from saformer.data.registry import DATASETS, DatasetInfo, Progress, Request, register_dataset
from saformer.errors import InputError
from saformer.text import nearest

if TYPE_CHECKING:
    from saformer.data.arrays import open_arrays
    from saformer.data.dataset import Dataset

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Request",
    "open_arrays",
    "open_dataset",
    "register_dataset",
]

#: T of event frames where nothing else is said: that of the published event configurations.
EVENT_TIME_STEPS = 16


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
        data_dir: where it lies, of a text also the file; ./data unless told.
        split: one of the data set's splits.
        time_steps: T of event frames, 16 unless told, or of sequences; static images have no time of their own.
        split_by: "number" or "time": event frames hold equally many events (unless told) or span equal times.
        image_size: H = W of event frames (128 unless told) or of the images of a folder (224).
        cache_dir: where event frames are kept; in the data directory unless told.
        progress: shows how far the making of event frames is.

    Raises:
        InputError: an unknown name or split, or files that are missing or damaged.
    """
    info = DATASETS.find(name)
    if split not in info.splits:
        raise InputError(
            f"unknown split {split!r} of {name}{nearest(split, info.splits)}: choose {' or '.join(info.splits)}"
        )
    if info.kind != "events" and split_by is not None:
        events = [name for name, one in DATASETS.items() if one.kind == "events"]
        held = "tokens" if info.kind == "tokens" else "images"
        raise InputError(f"{name} holds {held}, not events: --split-by is for {' and '.join(events)}")
    assert info.read is not None  # set by register_dataset
    steps = info.shape[0] if info.kind == "tokens" else EVENT_TIME_STEPS
    data = info.read(
        Request(
            name,
            split,
            Path("data") if data_dir is None else Path(data_dir),
            image_size=info.shape[-1] if image_size is None else image_size,
            time_steps=steps if time_steps is None else time_steps,
            split_by=split_by or "number",
            cache_dir=None if cache_dir is None else Path(cache_dir),
            progress=progress,
        )
    )
    from saformer.data.dataset import Dataset

    if not isinstance(data, Dataset):
        raise InputError(f"the reader of {name} returned a {type(data).__name__}, not a saformer.data.Dataset")
    return data


def __getattr__(name: str) -> Any:
    # torch takes a second to import; listing the data sets must not wait for it.
    if name == "Dataset":
        from saformer.data.dataset import Dataset

        return Dataset
    if name == "open_arrays":
        from saformer.data.arrays import open_arrays

        return open_arrays
    raise AttributeError(f"module 'saformer.data' has no attribute {name!r}")
