"""Locks that are files: of a folder that one process works in, and of what one is writing."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a process writes has such a name until it is whole. It is locked meanwhile, and one that is not was left behind.
_PARTIAL = re.compile(r"\..*\.saformer-[0-9a-f]{16}(\.[^.]*)?")
_SCRATCH = re.compile(r"saformer-[0-9a-f]{16}")  # the same of folders


class NoLocks(OSError):
    """A file system on which nothing can be locked."""


class FileLock:
    """A lock that one process holds, gone when it is released, and free when the process ends in whatever way.

    Where the system knows no such locks (Windows) there is none, and everybody has it.

    Args:
        path: the file; it holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self, wait: bool = False) -> bool:
        """Take the lock, waiting for it or not; False where another process has it.

        Raises:
            NoLocks: nothing can be locked here.
            OSError: no file can be made here.
        """
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if not _locked(descriptor, wait):
                    return False
                # Who had it may have removed the file since it was opened: what has no name locks nobody out.
                if _is_at(descriptor, self._path):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        return True

    def release(self) -> None:
        """Give the lock back, if there is one, and remove its file."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = None


class Partial:
    """A hidden file beside `target`, of the same suffix, for what shall take its place; held until it is closed.

    Raises:
        OSError: it cannot be made.
    """

    _descriptor: int | None

    def __init__(self, target: Path) -> None:
        stem = os.fsdecode(os.fsencode(target.stem)[:60])
        while True:
            self.path = target.with_name(f".{stem}.saformer-{secrets.token_hex(8)}{target.suffix}")
            # Made here, and only if nothing has that name: a missing folder or permission shows before any work is
            # done, and nobody else can have put a link there.
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
            with contextlib.suppress(NoLocks):  # then nobody else can tell that it was left behind, either
                _locked(descriptor, wait=True)
            if _is_at(descriptor, self.path):
                self._descriptor = descriptor
                return
            os.close(descriptor)  # somebody took it for left behind before it was locked

    def discard(self) -> None:
        """Remove the file, if it is still there."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Let go of the file, wherever it is by now."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing in this folder."""
    with contextlib.suppress(OSError):
        for entry in [entry for entry in os.scandir(folder) if _PARTIAL.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                descriptor = os.open(
                    entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
                )
                try:
                    if _locks() and _locked(descriptor, wait=False):
                        os.unlink(entry.path)
                finally:
                    os.close(descriptor)


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A folder of this process alone while the block runs; those that killed processes left beside it are removed.

    Args:
        parent: where it is made; default where the system keeps temporary files.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    with contextlib.suppress(OSError):
        for entry in [entry for entry in os.scandir(parent) if _SCRATCH.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_scratch(Path(entry.path))
    folder, descriptor = _made_scratch(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _made_scratch(parent: Path) -> tuple[Path, int | None]:
    while True:
        folder = parent / f"saformer-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        if not _locks():
            return folder, None
        descriptor = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(NoLocks):
            _locked(descriptor, wait=True)
        if _is_at(descriptor, folder):
            return folder, descriptor
        os.close(descriptor)  # somebody took it for left behind before it was locked


def _remove_scratch(folder: Path) -> None:
    """Remove a folder of ours that no process has."""
    if not _locks():
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid == os.getuid() and _locked(descriptor, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)


def _locks() -> bool:
    return os.name == "posix"


def _locked(descriptor: int, wait: bool) -> bool:
    """Lock an open file; False where another process has it."""
    if not _locks():
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise NoLocks(error.errno, error.strerror) from None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    return False
