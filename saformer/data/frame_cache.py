"""Event frames on the disk: made once, by one process, checked when they are read."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from saformer.data import Progress
from saformer.data.dataset import LazyImages
from saformer.data.frames import FrameSettings
from saformer.data.recordings import Recording
from saformer.errors import InputError, brief
from saformer.files import TABLE, check_file, read_text, write_atomic, write_text_atomic
from saformer.locks import FileLock, Partial, remove_leftovers

# Raise it when a reader gives other events or frames than before: older files are then left alone and made anew.
VERSION = 1

#: Folder inside the data directory.
FOLDER = ".saformer"

# Counts are kept as narrow as they fit; torch computes little with unsigned integers of more than eight bits.
_WIDTHS = {"|u1": torch.uint8, "<u2": torch.int32, "<u4": torch.int64}


class CachedFrames(LazyImages):
    """Frames in a memory-mapped .npy file, in the order of (label, name).

    Each sample is compared with its checksum when it is read for the first time. One that does not agree is made
    again from its recording, and the whole file when the data set is opened next.
    """

    def __init__(self, path: Path, recordings: Sequence[Recording], settings: FrameSettings) -> None:
        index = json.loads(read_text(_index(path), most=TABLE))
        self._path, self._recordings, self._settings = path, tuple(recordings), settings
        self._sums: list[int] = index["crc32"]
        if index["check"] != _check(self._sums):
            raise ValueError(f"the index of {path} is damaged")
        self._sound = np.zeros(len(self._sums), bool)
        self._frames = _mapped(path)
        shape = _shape(recordings, settings)
        whole = isinstance(self._sums, list) and len(self._sums) == shape[0]
        if (
            index["version"] != VERSION
            or self._frames.shape != shape
            or not whole
            or not self._frames.flags.c_contiguous
        ):
            raise ValueError(f"{path} does not hold what its index says")
        super().__init__(shape, _WIDTHS[self._frames.dtype.str])

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map is a copy of the whole file: a worker process opens the file for itself.
        return {key: value for key, value in self.__dict__.items() if key != "_frames"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._frames = _mapped(self._path)

    def read(self, indices: list[int]) -> Tensor:
        """Frames of these samples, N x T x 2 x H x W counts."""
        frames = self._frames[indices]
        for frame, index in zip(frames, indices, strict=True):
            if not self._sound[index] and zlib.crc32(frame) != self._sums[index]:
                frame[:] = self._made_again(index)
                if zlib.crc32(frame) != self._sums[index]:
                    raise InputError(f"{self._source(index)} was changed while it was in use: start again")
            self._sound[index] = True
        return torch.from_numpy(frames).to(self.dtype)

    def digest(self) -> str:
        """SHA-256 of the shape and of the checksums (CRC-32) of all samples."""
        return hashlib.sha256(json.dumps([*self.shape, self._sums]).encode()).hexdigest()

    def _made_again(self, index: int) -> np.ndarray:
        with contextlib.suppress(OSError):
            _index(self._path).unlink()
        recording, place = _order(self._recordings)[index]
        return [frames for _, frames in self._recordings[recording].frames(self._settings)][place]

    def _source(self, index: int) -> Path:
        return self._recordings[_order(self._recordings)[index][0]].path


def _mapped(path: Path) -> np.ndarray:
    check_file(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def cached_frames(
    what: str,
    recordings: Sequence[Recording],
    settings: FrameSettings,
    data_dir: Path,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> CachedFrames:
    """The frames of the recordings, from the cache or made now.

    Args:
        what: name of the set and split, part of the file name.
        recordings: where they come from; a file that was changed since has its frames made again.
        settings: how events become frames.
        data_dir: has the folder of the cache, unless it cannot be written to: then the user's own cache has it.
        cache_dir: the folder of the cache, if it was named.
        progress: shows how far the making is.

    Raises:
        InputError: a recording is damaged, or the cache cannot be written.
    """
    key = _key(recordings, settings)
    name = f"{what}-T{settings.time_steps}-{settings.split_by}-{settings.size}-{key[:16]}.npy"
    folders = [cache_dir] if cache_dir is not None else [data_dir / FOLDER, *_users_cache()]
    for folder in folders:
        if (found := _opened(folder / name, recordings, settings)) is not None:
            return found
    path = _writable(folders) / name
    show = progress or (lambda text, total: nullcontext(lambda done: None))
    with _locked(path, what, show):
        # Another process may have made it while this one waited.
        if (found := _opened(path, recordings, settings)) is not None:
            return found
        _make(path, what, recordings, settings, show)
    found = _opened(path, recordings, settings)
    if found is None:
        raise InputError(f"{path} cannot be read back: name another place with --cache-dir")
    return found


def _opened(path: Path, recordings: Sequence[Recording], settings: FrameSettings) -> CachedFrames | None:
    # A damaged file makes json and numpy fail in almost any way; each time the answer is to make it again.
    try:
        return CachedFrames(path, recordings, settings)
    except MemoryError:
        raise
    except Exception:
        return None


def _order(recordings: Sequence[Recording]) -> list[tuple[int, int]]:
    """Which recording, and which sample in it, each row of the file holds."""
    samples = [
        (sample.label, sample.name, i, j)
        for i, recording in enumerate(recordings)
        for j, sample in enumerate(recording.samples)
    ]
    return [(i, j) for _, _, i, j in sorted(samples)]


def labels(recordings: Sequence[Recording]) -> Tensor:
    """The label of each row."""
    return torch.tensor([recordings[i].samples[j].label for i, j in _order(recordings)], dtype=torch.int64)


def _shape(recordings: Sequence[Recording], settings: FrameSettings) -> tuple[int, ...]:
    count = sum(len(recording.samples) for recording in recordings)
    return count, settings.time_steps, 2, settings.size, settings.size


def _key(recordings: Sequence[Recording], settings: FrameSettings) -> str:
    """A hash of all that decides the frames: the files with their sizes and times, the samples, the settings."""
    parts: list[Any] = [VERSION, settings.time_steps, settings.split_by, settings.size]
    for recording in recordings:
        try:
            status = recording.path.stat()
        except OSError as error:
            raise InputError(f"{recording.path} cannot be read: {error.strerror or error}") from None
        samples = [(sample.label, sample.name, sample.window) for sample in recording.samples]
        parts.append((recording.form, recording.path.name, status.st_size, status.st_mtime_ns, samples))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _index(path: Path) -> Path:
    return path.with_suffix(".json")


def _users_cache() -> list[Path]:
    """The folder for what may be lost; none where the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return [(Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "saformer"]
    except RuntimeError:
        return []


def _check(sums: list[int]) -> int:
    """A checksum of the checksums: the data are identified by them, before any sample is read."""
    return zlib.crc32(json.dumps(sums).encode())


def _writable(folders: Sequence[Path]) -> Path:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            probe = Partial(folder / "frames.npy")  # rights alone do not tell
            probe.discard()
            probe.close()
            return folder
    tried = " or ".join(map(str, folders))
    raise InputError(f"event frames cannot be kept in {tried}: name a folder that can be written with --cache-dir")


@contextlib.contextmanager
def _locked(path: Path, what: str, show: Progress) -> Iterator[None]:
    lock = FileLock(path.with_suffix(".lock"))
    try:
        if not lock.take():
            with show(f"waiting for the process that makes the frames of {what}", 1):
                lock.take(wait=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} allows no locks ({brief(error)}): name another folder with --cache-dir"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _make(path: Path, what: str, recordings: Sequence[Recording], settings: FrameSettings, show: Progress) -> None:
    shape = _shape(recordings, settings)
    remove_leftovers(path.parent)  # before the room on the disk is looked at
    with contextlib.suppress(OSError):
        _index(path).unlink()
    needed, free = math.prod(shape), shutil.disk_usage(path.parent).free
    if free < needed:
        raise InputError(
            f"the frames of {what} take {needed / 1e9:.1f} GB, {path.parent} has {free / 1e9:.1f} GB left: "
            "name another folder with --cache-dir"
        )
    rows = {place: row for row, place in enumerate(_order(recordings))}
    sums: list[int] = []

    def write(temporary: Path) -> None:
        with open(temporary, "r+b") as handle, show(f"making the frames of {what}", shape[0]) as advance:
            file = FrameFile(handle, shape)
            for i, recording in enumerate(recordings):
                for j, (_, frames) in enumerate(recording.frames(settings)):
                    file.add_row(rows[i, j], frames)
                    advance(1)
            sums[:] = file.finish()

    write_atomic(path, write)
    try:
        write_text_atomic(_index(path), json.dumps({"version": VERSION, "crc32": sums, "check": _check(sums)}))
    except InputError:  # the disk is full, say: frames without their index would only fill it
        with contextlib.suppress(OSError):
            path.unlink()
        raise


class FrameFile:
    """An .npy file written row by row, in any order, with integers as narrow as they fit.

    It is written to and not mapped: on a full disk, a write fails with an error, a memory map with a signal.
    """

    def __init__(self, handle: BinaryIO, shape: tuple[int, ...]) -> None:
        self._handle, self._shape = handle, shape
        self._sums: dict[int, int] = {}
        self._widths = iter(_WIDTHS)
        self._dtype = np.dtype(next(self._widths))
        self._header()

    def add_row(self, row: int, frames: np.ndarray) -> None:
        """Write the frames of one sample, T x 2 x H x W counts, as this row."""
        while frames.max() > np.iinfo(self._dtype).max:
            self._widen()
        self._write(row, frames)

    def finish(self) -> list[int]:
        """Return the checksums of all rows."""
        return [self._sums[row] for row in range(self._shape[0])]

    def _header(self) -> None:
        self._handle.seek(0)
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._handle, header)
        self._begin = self._handle.tell()  # numpy pads headers to 64 bytes, so it is the same for each width

    def _at(self, row: int, dtype: np.dtype) -> int:
        return self._begin + row * dtype.itemsize * math.prod(self._shape[1:])

    def _write(self, row: int, frames: np.ndarray) -> None:
        data = np.ascontiguousarray(frames, self._dtype).tobytes()
        self._sums[row] = zlib.crc32(data)
        self._handle.seek(self._at(row, self._dtype))
        self._handle.write(data)

    def _widen(self) -> None:
        narrow, self._dtype = self._dtype, np.dtype(next(self._widths))
        # From the last row to the first, no row is overwritten before it is read.
        for row in sorted(self._sums, reverse=True):
            self._handle.seek(self._at(row, narrow))
            data = self._handle.read(self._at(row + 1, narrow) - self._at(row, narrow))
            self._write(row, np.frombuffer(data, narrow))
        self._header()
