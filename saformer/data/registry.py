"""Data sets by name: `@register_dataset` in a reader's own file. Needs no torch.

A reader of this package imports torch and numpy where it reads, so that data sets can be listed without them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.registry import Registry

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset

#: Opens a bar of `total` pieces of work described by a text; what it yields is called with pieces done.
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Request:
    """What a reader is asked for.

    Args:
        name: of the data set; a reader may be registered for several.
        split: one of those that the data set has.
        data_dir: where it is looked for; of a text, also the file.
        image_size: H = W that event frames, or the images of a folder, shall have.
        time_steps: T of event frames, or of sequences of tokens.
        split_by: "number" or "time": event frames hold equally many events or span equal times.
        cache_dir: where event frames are kept; None for the reader's own choice.
        progress: shows how far the making of event frames is.
    """

    name: str
    split: str
    data_dir: Path
    image_size: int
    time_steps: int
    split_by: str = "number"
    cache_dir: Path | None = None
    progress: Progress | None = None


Reader = Callable[[Request], "Dataset"]


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before any of it is read.

    Args:
        name: as in `--dataset NAME`.
        title: as in papers.
        classes: number of classes; None where the files decide.
        shape: C x H x W of one image or one event frame; of tokens T, unless told.
        kind: "static", "events" or "tokens".
        train: training images; None where the files decide.
        test: test images; None where the files decide.
        expected: what is looked for in the data directory.
        download: where to get it.
        splits: names that `--split` takes.
        normalisation: mean and standard deviation, by channel, of pixels from 0 to 1; None where the data set does not
            say how a picture from elsewhere is brought to its scale.
        read: reads it; set by `register_dataset`.
    """

    name: str
    title: str
    classes: int | None
    shape: tuple[int, ...]
    kind: str
    train: int | None
    test: int | None
    expected: str
    download: str
    splits: tuple[str, ...] = ("train", "test")
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    read: Reader | None = field(default=None, repr=False, compare=False)


DATASETS: Registry[DatasetInfo] = Registry(
    "data set",
    builtin=(
        "saformer.data.digits",
        "saformer.data.cifar",
        "saformer.data.events",
        "saformer.data.folders",
        "saformer.data.text",
    ),
)


def register_dataset(*infos: DatasetInfo) -> Callable[[Reader], Reader]:
    """Register one or several data sets; decorates the function that reads them.

    Raises:
        InputError: another data set has the name of one of them.
    """

    def register(reader: Reader) -> Reader:
        for info in infos:
            DATASETS.register(info.name, replace(info, read=reader), reader)
        return reader

    return register
