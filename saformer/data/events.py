"""Event sets: DVS128 Gesture and CIFAR10-DVS as T frames."""

from pathlib import Path

from saformer.data import DATASETS, Progress
from saformer.data.dataset import Dataset, readable
from saformer.data.event_folders import find_recordings
from saformer.data.frame_cache import cached_frames, labels
from saformer.data.frames import FrameSettings
from saformer.errors import InputError


def open_events(
    name: str,
    data_dir: Path,
    split: str,
    *,
    time_steps: int,
    split_by: str,
    size: int,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read one split of "dvs128gesture" or "cifar10dvs" as frames; the arguments are those of `open_dataset`."""
    settings = FrameSettings(time_steps, split_by, size)
    with readable(data_dir):
        recordings = find_recordings(name, data_dir, split, settings)
    if not recordings:
        raise InputError(
            f"the {split} split of {DATASETS[name].title} in {data_dir} is empty: are there files missing?"
        )
    return Dataset(
        name=name,
        split=split,
        kind="events",
        images=cached_frames(f"{name}-{split}", recordings, settings, data_dir, cache_dir, progress),
        labels=labels(recordings),
        classes=DATASETS[name].classes,
        mean=None,
        std=None,
    )
