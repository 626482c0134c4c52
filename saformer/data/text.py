"""Text as tokens: the bytes of a file, cut into sequences, each with the byte that follows every one of them.

The splits are those published for enwik8, the first 10^8 bytes of a dump of Wikipedia (M. Mahoney, Large Text
Compression Benchmark): 90 million bytes to learn from, 5 million to validate on and 5 million to test on, by position.
"""

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.data.registry import DATASETS, DatasetInfo, Request, register_dataset
from saformer.errors import InputError
from saformer.files import open_file

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.data.dataset import Dataset

#: Where each split ends, in hundredths of the file.
ENDS = {"train": 90, "validation": 95, "test": 100}


@register_dataset(
    DatasetInfo(
        name="text",
        title="the bytes of a text, such as enwik8",
        classes=256,
        shape=(1024,),
        kind="tokens",
        train=None,
        test=None,
        expected="enwik8 or the one *.txt there, or give the file itself as --data-dir",
        download="http://mattmahoney.net/dc/enwik8.zip (unpack it)",
        splits=tuple(ENDS),
    )
)
def open_text(request: Request) -> "Dataset":
    """Cut one split into sequences of T bytes without overlap; what is left at its end is dropped.

    The label of a position is the byte after it, within the split. The file is mapped, not read: N x T bytes of each.

    Raises:
        InputError: there is no file, or several, or the split is shorter than a sequence and the byte after it.
    """
    from saformer.data.dataset import Dataset, readable

    with readable(request.data_dir):
        path = _find(request.data_dir)
        held = _mapped(path)
    first, last = (len(held) * hundredths // 100 for hundredths in _part(request.split))
    steps, found = request.time_steps, max(last - first - 1, 0)
    if steps > found:
        advice = f"-T {found} at most" if found else "give a longer file"
        raise InputError(
            f"the {request.split} split of {path} has {last - first:,} bytes, fewer than a sequence of {steps:,} and "
            f"the byte after it: {advice}"
        )
    size = found // steps * steps
    return Dataset(
        name=request.name,
        split=request.split,
        kind="tokens",
        images=held[first : first + size].view(-1, steps),
        labels=held[first + 1 : first + 1 + size].view(-1, steps),
        classes=256,
        mean=None,
        std=None,
    )


def _part(split: str) -> tuple[int, int]:
    """Where a split begins and ends, in hundredths of the file."""
    place = list(ENDS).index(split)
    return [0, *ENDS.values()][place], ENDS[split]


def _find(place: Path) -> Path:
    """The file, or the one in the folder."""
    info = DATASETS["text"]
    if not place.exists():
        raise InputError(f"{place} does not exist: give --data-dir a text file, or a folder with {info.expected}")
    if not place.is_dir():
        return place
    if (place / "enwik8").is_file():
        return place / "enwik8"
    texts = sorted(p for p in place.iterdir() if p.suffix.lower() == ".txt" and not p.name.startswith("."))
    if len(texts) == 1:
        return texts[0]
    if texts:
        raise InputError(f"{place} holds {len(texts)} texts: give one of them, --data-dir {texts[0]} for instance")
    raise InputError(f"{place} holds no text: looked there for {info.expected}; get enwik8 from {info.download}")


def _mapped(path: Path) -> "Tensor":
    """The bytes of a file, which the system reads when they are asked for."""
    import torch

    with open_file(path, "the text") as file:
        if not file.seek(0, 2):
            raise InputError(f"{path} is empty: give a text")
        # A copy is made of what is written to, which is nothing: of memory that is read-only torch makes no tensor
        # without a warning.
        return torch.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), dtype=torch.uint8)
