"""One batch file of CIFAR as arrays, in the publisher's binary and Python layouts."""

import io
import pickle
import re
from typing import Any, ClassVar

import numpy as np

from saformer.errors import InputError, brief
from saformer.pickles import check_pickle

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32


def binary_batch(content: bytes, where: str, label_bytes: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N x 3 x 32 x 32 bytes) and labels of a binary batch.

    Args:
        content: of the file.
        where: what to call it in an error.
        label_bytes: how many label bytes open a record; the last of them is the wanted one.
        classes: labels lie below this number.

    Raises:
        InputError: it is damaged.
    """
    record = label_bytes + PIXELS
    if not content:
        raise InputError(f"{where} is empty: download it again")
    if len(content) % record:
        raise InputError(
            f"{where} is truncated or not a CIFAR binary batch: {len(content)} bytes are not a whole number "
            f"of records of {record} bytes; download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    labels = records[:, label_bytes - 1].astype(np.int64)
    _check_labels(labels, len(records), where, classes)
    return records[:, label_bytes:].reshape(-1, *SHAPE), labels


def python_batch(content: bytes, where: str, label_key: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N x 3 x 32 x 32 bytes) and labels of a Python batch, a pickle; nothing that it names is called.

    Args:
        content: of the file.
        where: what to call it in an error.
        label_key: where it keeps the labels.
        classes: labels lie below this number.

    Raises:
        InputError: it is damaged, or asks for what no batch needs.
    """
    if not content:
        raise InputError(f"{where} is empty: download it again")
    try:
        unpickler = _BatchUnpickler(content, where)
        check_pickle(content, unpickler.check_name)
        batch = unpickler.load()
    except InputError:
        raise
    # Damage in a pickle can surface as almost any exception.
    except Exception as error:
        raise InputError(
            f"{where} is truncated or not a CIFAR Python batch ({brief(error)}): download it again"
        ) from error
    if not isinstance(batch, dict):
        raise InputError(f"{where} is not a CIFAR Python batch: it holds a {type(batch).__name__}, not a dictionary")
    for key in (b"data", label_key):
        if key not in batch:
            keys = ", ".join(brief(repr(k)) for k in list(batch)[:8] if isinstance(k, bytes | str))
            raise InputError(f"{where} has no {key!r} (it has {keys or 'nothing'}): is it a batch of another data set?")
    data, labels = _value(batch[b"data"]), _value(batch[label_key])
    if not isinstance(data, np.ndarray):
        raise InputError(f"{where}: b'data' is a {type(data).__name__}, not an array of N x {PIXELS} bytes")
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != PIXELS or not len(data):
        found = " x ".join(map(str, data.shape))
        raise InputError(f"{where}: b'data' is {found} of {data.dtype}, not N x {PIXELS} of uint8 with N >= 1")
    checked = _check_labels(labels, len(data), f"{where}: {label_key!r}", classes)
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

    def check_name(self, name: str) -> None:
        """Refuses a name as `find_class` does, before anything is made."""
        self.find_class(*name.rsplit(".", 1))

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
