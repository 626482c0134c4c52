"""Event sets: DVS128 Gesture and CIFAR10-DVS as T frames."""

from typing import TYPE_CHECKING

from saformer.data.registry import DATASETS, DatasetInfo, Request, register_dataset
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset


@register_dataset(
    DatasetInfo(
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
    DatasetInfo(
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
)
def open_events(request: Request) -> "Dataset":
    """Read one split of "dvs128gesture" or "cifar10dvs" as frames."""
    from saformer.data.dataset import Dataset, readable
    from saformer.data.event_folders import find_recordings
    from saformer.data.frame_cache import cached_frames, labels
    from saformer.data.frames import FrameSettings

    name, split, data_dir = request.name, request.split, request.data_dir
    settings = FrameSettings(request.time_steps, request.split_by, request.image_size)
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
        images=cached_frames(f"{name}-{split}", recordings, settings, data_dir, request.cache_dir, request.progress),
        labels=labels(recordings),
        classes=DATASETS[name].classes,
        mean=None,
        std=None,
    )
