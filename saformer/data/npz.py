"""Arrays of an .npz file, with memory bounded by what the file has."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from saformer.errors import InputError, brief
from saformer.files import open_file

# Frames of events become up to a hundred times smaller in numpy.savez_compressed; only a file made to fill the memory
# grows beyond this when it is unpacked.
_GROWTH, _ALLOWANCE = 100, 2**28
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of numpy
_MAGIC = b"\x93NUMPY"
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Npz:
    """An open .npz file: the names of its arrays, and each of them when it is asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}

    @property
    def names(self) -> list[str]:
        """In the order of the file."""
        return list(self._entries)

    def array(self, name: str) -> np.ndarray:
        """The array of this name, of numbers, text or times, never of Python objects.

        Raises:
            InputError: it is none, or is damaged.
        """
        # A member may be cut short, damaged, encrypted, too large, or made of objects: each fails in its own way.
        try:
            with self._archive.open(self._entries[name]) as stream:
                if stream.read(len(_MAGIC)) == _MAGIC:
                    stream.seek(0)
                    _check_header(stream, self._entries[name].file_size)
                    stream.seek(0)
                    array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
                    if stream.read(1):  # which compares the checksum as well
                        raise ValueError("more follows its last number")
                    return array
        except Exception as error:
            raise InputError(
                f"{self._path}: {name} cannot be read ({brief(error)}): save it again as a plain array of numbers"
            ) from None
        raise InputError(f"{self._path}: {name} is not an array: save it with numpy.savez")


@contextmanager
def open_npz(path: Path, advice: str) -> Iterator[Npz]:
    """An .npz file, to read arrays from.

    Args:
        path: the file.
        advice: how to get a sound one.

    Raises:
        InputError: it cannot be read, is no zip archive, or claims to hold more than its size allows.
    """
    with open_file(path) as file:
        start = file.read(len(_MAGIC))
        if start == _MAGIC:
            raise InputError(f"{path} is a single array, not an .npz file: save it with numpy.savez(path, x=...)")
        if not start.startswith(b"PK"):
            raise InputError(f"{path} is not an .npz file: {advice}")
        size = file.seek(0, 2)
        try:
            archive = zipfile.ZipFile(file)
        except Exception as error:  # what is no archive breaks its reader in almost any way
            raise InputError(f"{path} is a truncated or damaged .npz file ({brief(error)}): {advice}") from None
        with archive:
            entries = archive.infolist()
            claimed = sum(entry.file_size for entry in entries)
            if claimed > _GROWTH * size + _ALLOWANCE:
                raise InputError(f"{path}: its arrays claim {claimed:,} bytes, far more than its {size:,}: {advice}")
            if other := [entry.filename for entry in entries if entry.compress_type not in _METHODS]:
                raise InputError(f"{path}: {brief(other[0])} is compressed as numpy never does it: {advice}")
            yield Npz(path, archive)


def _check_header(stream: IO[bytes], size: int) -> None:
    """Raises ValueError where the header describes another array than follows: memory is set aside by the header."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"format {version[0]}.{version[1]} is not for plain arrays")
    shape, _, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("Object arrays may hold code")
    held, claimed = size - stream.tell(), math.prod(shape) * dtype.itemsize
    if held != claimed:
        raise ValueError(f"{' x '.join(map(str, shape))} of {dtype} are {claimed:,} bytes, it has {held:,}")
