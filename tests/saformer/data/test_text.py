import os

import pytest
import torch

from saformer.data import open_dataset
from saformer.errors import InputError

CONTENT = bytes(range(200))


@pytest.fixture
def text(tmp_path):
    (path := tmp_path / "letters").write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(("split", "first", "last"), [("train", 0, 180), ("validation", 180, 190), ("test", 190, 200)])
def test_a_split_is_a_part_by_position_cut_into_sequences(text, split, first, last) -> None:
    data = open_dataset("text", text, split, time_steps=4)
    assert (data.kind, data.shape, data.classes, data.split) == ("tokens", (4,), 256, split)
    size = (last - first - 1) // 4 * 4
    assert data.images.flatten().tolist() == list(range(first, first + size))
    assert torch.equal(data.labels, data.images + 1)  # the next byte, also across the end of a sequence
    assert int(data.labels.max()) < last  # and never that of the next split
    inputs, labels = next(data.batches(2))
    assert inputs.dtype == torch.int64 and inputs.shape == labels.shape == (2, 4)


def test_splits_of_enwik8_are_the_published_ones(tmp_path) -> None:
    with open(tmp_path / "enwik8", "wb") as file:
        file.truncate(10**8)  # a hole: no byte of it is on the disk, and none is read
    sizes = [len(open_dataset("text", tmp_path, split)) for split in ("train", "validation", "test")]
    assert sizes == [(90_000_000 - 1) // 1024, (5_000_000 - 1) // 1024, (5_000_000 - 1) // 1024]


def test_the_file_of_a_folder(text, tmp_path) -> None:
    text.rename(tmp_path / "letters.txt")
    assert len(open_dataset("text", tmp_path, time_steps=4)) == 2
    (tmp_path / "other.txt").write_bytes(CONTENT)
    with pytest.raises(InputError, match=r"holds 2 texts: give one of them, --data-dir .*letters.txt for instance"):
        open_dataset("text", tmp_path)
    (tmp_path / "enwik8").write_bytes(CONTENT * 2)
    assert len(open_dataset("text", tmp_path, time_steps=4)) == 4


def test_what_is_no_text_is_refused(text, tmp_path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in {
        "nothing": "does not exist: give --data-dir a text file",
        "folder": "holds no text: looked there for enwik8",
        "empty": "is empty",
        "pipe": "cannot read the text .*: it is not a regular file",
    }.items():
        with pytest.raises(InputError, match=said):
            open_dataset("text", tmp_path / name)
    with pytest.raises(InputError, match="has 10 bytes, fewer than a sequence of 1,024 and the byte after it: -T 9"):
        open_dataset("text", text)
    with pytest.raises(InputError, match="text holds tokens, not events"):
        open_dataset("text", text, split_by="time")
