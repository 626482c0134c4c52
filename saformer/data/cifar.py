"""CIFAR-10 and CIFAR-100, in both layouts their publisher ships, unpacked or straight from the archive."""

import io
import os
import pickle
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from saformer.data import DATASETS
from saformer.data.dataset import Dataset
from saformer.errors import InputError, brief

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32

# CIFAR-10: as in the published training configurations of Spikformer and the Spike-driven Transformer.
NORMALISATION: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}


@dataclass(frozen=True)
class Layout:
    """One way the publisher ships a data set.

    `label_key` is where a Python batch keeps the labels that are wanted (None in a binary batch);
    `label_bytes` is how many label bytes open a binary record, the last of them being the wanted one.
    """

    folder: str
    archive: str
    files: Mapping[str, tuple[str, ...]]
    label_key: bytes | None = None
    label_bytes: int = 0


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "cifar10": (
        Layout(
            "cifar-10-batches-py",
            "cifar-10-python.tar.gz",
            {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)},
            label_key=b"labels",
        ),
        Layout(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            {"train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test": ("test_batch.bin",)},
            label_bytes=1,
        ),
    ),
    "cifar100": (
        Layout(
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            {"train": ("train",), "test": ("test",)},
            label_key=b"fine_labels",
        ),
        Layout(
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            {"train": ("train.bin",), "test": ("test.bin",)},
            label_bytes=2,
        ),
    ),
}


def open_cifar(name: str, data_dir: Path, split: str) -> Dataset:
    """Read one split of "cifar10" or "cifar100" from whatever form of it lies in `data_dir`."""
    classes = DATASETS[name].classes
    assert classes is not None
    layout, files = _find(name, data_dir, split)
    images, labels = [], []
    for where, content in files:
        parse = _python_batch if layout.label_key is not None else _binary_batch
        batch_images, batch_labels = parse(content, where, layout, classes)
        images.append(batch_images)
        labels.append(batch_labels)
    mean, std = NORMALISATION[name]
    return Dataset(
        name=name,
        split=split,
        kind="static",
        images=torch.from_numpy(np.concatenate(images)),
        labels=torch.from_numpy(np.concatenate(labels)),
        classes=classes,
        mean=mean,
        std=std,
    )


def _find(name: str, data_dir: Path, split: str) -> tuple[Layout, Iterable[tuple[str, bytes]]]:
    """Return the layout found and, for each batch wanted, what to call it in an error and its bytes."""
    info, layouts = DATASETS[name], LAYOUTS[name]
    fetch = f"download {info.download} and put it there (it need not be unpacked)"
    if not data_dir.exists():
        raise InputError(
            f"the data directory {data_dir} does not exist: to use {info.title}, make it, {fetch}, "
            "or name another one with --data-dir"
        )
    if not data_dir.is_dir():
        raise InputError(f"{data_dir} is not a directory: give --data-dir the directory that holds {info.title}")

    incomplete: Path | None = None
    folders = [(layout, data_dir / layout.folder) for layout in layouts]
    bare = [(layout, data_dir) for layout in layouts]
    archives = [(layout, data_dir / layout.archive) for layout in layouts]
    # The unpacked folders come first: reading them is several times quicker than reading an archive.
    for layout, folder in folders + bare:
        paths = [folder / file for file in layout.files[split]]
        absent = [path for path in paths if not os.path.isfile(path)]
        if not absent:
            return layout, ((str(path), _read(path)) for path in paths)
        begun = len(absent) < len(paths) if folder == data_dir else folder.is_dir()
        if begun and incomplete is None:
            incomplete = absent[0]
    for layout, archive in archives:
        if os.path.isfile(archive):
            return layout, _read_archive(archive, layout, split)
    if incomplete is not None:
        raise InputError(
            f"{incomplete} is missing from the {split} split of {info.title}: unpack the archive again, "
            f"or download {info.download} and put it in {data_dir}"
        )
    raise InputError(
        f"{info.title} ({split} split) is not in {data_dir}: looked there for {info.expected}, and for "
        f"{' or '.join(layout.files[split][0] for layout in layouts)} itself; {fetch}"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_archive(archive: Path, layout: Layout, split: str) -> list[tuple[str, bytes]]:
    """Read the wanted members of an archive into memory; nothing is extracted to disk."""
    wanted = layout.files[split]
    found: dict[str, tuple[str, bytes]] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = posixpath.normpath(member.name)
                folder, file = posixpath.split(path)
                # A link or a device of the right name is not followed.
                if file not in wanted or folder not in (layout.folder, "") or not member.isreg():
                    continue
                stream = tar.extractfile(member)
                if stream is not None:
                    found[file] = (f"{archive} ({path})", stream.read())
                if len(found) == len(wanted):
                    break
    except (tarfile.TarError, OSError, EOFError, ValueError, MemoryError, zlib.error) as error:
        raise InputError(
            f"{archive} is truncated or not a .tar.gz archive ({brief(error)}): download it again"
        ) from error
    for file in wanted:
        if file not in found:
            raise InputError(
                f"{archive} holds no file {layout.folder}/{file}: it is truncated, or not the publisher's "
                "archive; download it again"
            )
    return [found[file] for file in wanted]


def _binary_batch(content: bytes, where: str, layout: Layout, classes: int) -> tuple[np.ndarray, np.ndarray]:
    record = layout.label_bytes + PIXELS
    if not content:
        raise InputError(f"{where} is empty: download it again")
    if len(content) % record:
        raise InputError(
            f"{where} is truncated or not a CIFAR binary batch: {len(content)} bytes are not a whole number "
            f"of records of {record} bytes; download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    _check_labels(labels, len(records), where, classes)
    return records[:, layout.label_bytes :].reshape(-1, *SHAPE), labels


def _python_batch(content: bytes, where: str, layout: Layout, classes: int) -> tuple[np.ndarray, np.ndarray]:
    if not content:
        raise InputError(f"{where} is empty: download it again")
    try:
        batch = _BatchUnpickler(content, where).load()
    except InputError:
        raise
    # Damage in a pickle can surface as almost any exception.
    except Exception as error:
        raise InputError(
            f"{where} is truncated or not a CIFAR Python batch ({brief(error)}): download it again"
        ) from error
    if not isinstance(batch, dict):
        raise InputError(f"{where} is not a CIFAR Python batch: it holds a {type(batch).__name__}, not a dictionary")
    assert layout.label_key is not None
    for key in (b"data", layout.label_key):
        if key not in batch:
            keys = ", ".join(brief(repr(k)) for k in list(batch)[:8] if isinstance(k, bytes | str))
            raise InputError(f"{where} has no {key!r} (it has {keys or 'nothing'}): is it a batch of another data set?")
    data, labels = _value(batch[b"data"]), _value(batch[layout.label_key])
    if not isinstance(data, np.ndarray):
        raise InputError(f"{where}: b'data' is a {type(data).__name__}, not an array of N x {PIXELS} bytes")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS or not len(data):
        found = " x ".join(map(str, data.shape))
        raise InputError(f"{where}: b'data' is {found} of {data.dtype}, not N x {PIXELS} of uint8 with N >= 1")
    checked = _check_labels(labels, len(data), f"{where}: {layout.label_key!r}", classes)
    return data.reshape(-1, *SHAPE), checked


def _check_labels(labels: Any, count: int, where: str, classes: int) -> np.ndarray:
    if isinstance(labels, np.ndarray):
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            found = " x ".join(map(str, labels.shape))
            raise InputError(f"{where} is {found} of {labels.dtype}, not a row of integer labels")
        labels = labels.tolist()
    if not isinstance(labels, list):
        raise InputError(f"{where} is a {type(labels).__name__}, not a list of labels")
    if len(labels) != count:
        raise InputError(f"{where}: {len(labels)} labels for {count} images; download it again")
    for index, label in enumerate(labels):
        if type(label) is not int:
            raise InputError(f"{where}: label {index} is a {type(label).__name__}, not an integer")
        if not 0 <= label < classes:
            # Python refuses to spell out an integer of thousands of digits.
            found = str(label) if label.bit_length() < 64 else "a huge number"
            raise InputError(f"{where}: label {index} is {found}, outside 0 to {classes - 1}")
    return np.array(labels, dtype=np.int64)


# A pickle is a program, and a batch may come from anywhere. No callable that a batch names is ever
# called: the few names that a numpy array needs are answered by the inert stand-ins below, all others
# are refused. Each is a class with a __setstate__, because a pickle may set attributes on anything it
# can name that has none: on a function of ours, or on the class itself.


class _Dtype:
    """Stands in for numpy.dtype: remembers what kind of number was asked for."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self._code = code
        self._order: str | bytes = "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]

    def numpy(self) -> np.dtype:
        text = "".join(part.decode() if isinstance(part, bytes) else part for part in (self._order, self._code))
        # Objects, strings and records are left out: a batch has no use for them, and an array of objects
        # made from raw bytes would be an array of forged pointers.
        if not re.fullmatch(r"[|<>=](b1|[iu][1248]|f[248])", text):
            raise ValueError(f"an array of type {text!r}")
        return np.dtype(text)


class _Array:
    """Stands in for numpy.ndarray and for the function that makes an empty one to be filled."""

    value: np.ndarray | None = None

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran, raw = state
        self.value = np.frombuffer(raw, dtype.numpy()).reshape(shape, order="F" if fortran else "C")


class _BufferArray(_Array):
    """Stands in for the function that pickles of protocol 5 use instead."""

    def __init__(self, raw: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str, *_: object) -> None:
        self.value = np.frombuffer(raw, dtype.numpy()).reshape(shape, order="F" if order == "F" else "C")


class _Bytes(bytes):
    """Stands in for _codecs.encode, by which pickles of protocol 0 to 2 from Python 3 spell bytes."""

    def __new__(cls, text: str, encoding: str) -> "_Bytes":
        if encoding not in ("latin1", b"latin1"):
            raise ValueError(f"bytes in encoding {encoding!r}")
        return super().__new__(cls, text.encode("latin-1"))

    def __setstate__(self, state: object) -> None:
        raise ValueError("state for a string of bytes")


class _BatchUnpickler(pickle.Unpickler):
    _stand_ins: ClassVar[dict[tuple[str, str], type]] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy.core.numeric", "_frombuffer"): _BufferArray,
        ("numpy._core.numeric", "_frombuffer"): _BufferArray,
        ("_codecs", "encode"): _Bytes,
    }

    def __init__(self, content: bytes, where: str) -> None:
        # The publisher wrote the batches with Python 2, whose strings are bytes.
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> type:
        stand_in = self._stand_ins.get((module, name))
        if stand_in is None:
            raise InputError(
                f"{self._where} asks for {brief(repr(f'{module}.{name}'))}, which no CIFAR batch needs: it "
                "was not run; download the file from its publisher"
            )
        return stand_in


def _value(item: Any) -> Any:
    return item.value if isinstance(item, _Array) else item
