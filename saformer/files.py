"""Writes files whole or not at all."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from saformer.errors import InputError
from saformer.text import printable


def write_atomic(path: str | Path, write: Callable[[Path], None]) -> None:
    """Has `write` fill a hidden file beside `path`, then moves it into place in one step.

    A reader of `path` sees the old contents or the new, never half of them, and a failure leaves the old
    contents as they were. The hidden file ends in the same suffix as `path`, because libraries that draw
    figures choose the format by it. A device or a pipe, such as /dev/stdout, is written to directly.

    Raises InputError, in one line, where the folder or the disk does not allow the file to be written.
    """
    path = Path(path)
    try:
        target = _target(path)
        if target is None:
            write(path)
        else:
            _replace(target, write)
    except OSError as error:
        raise InputError(f"cannot write {_shown(path)}: {_reason(error, path)}") from None


def write_text_atomic(path: str | Path, text: str) -> None:
    """Writes `text` as UTF-8, line ends as they are, whole or not at all."""
    # A file name that is not valid UTF-8 reaches us as lone surrogates, and may stand in a report.
    write_bytes_atomic(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomic(path: str | Path, data: bytes) -> None:
    """Writes `data` whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    write_atomic(path, write)


def _target(path: Path) -> Path | None:
    """The file to replace, past any symbolic link, or None where replacing it would destroy a device."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    except ValueError:  # a NUL character in the name
        raise OSError(errno.EINVAL, "the name is not a file name") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        return None
    if not os.access(path, os.W_OK):
        # The folder alone decides whether a file can be replaced, but whoever took away the permission to
        # write meant to keep this one.
        raise OSError(errno.EACCES, "the file is write-protected")
    return Path(os.path.realpath(path))


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    stem = os.fsdecode(os.fsencode(target.stem)[:60])
    temporary = target.with_name(f".{stem}.{secrets.token_hex(8)}{target.suffix}")
    # Made here, and only if nothing has that name: a missing folder or permission shows before any work is
    # done, and nobody else can have put a link there.
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        write(temporary)
        if target.exists():
            shutil.copymode(target, temporary)
        _flush(temporary, os.O_RDWR)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    # The file is in place; not every file system can flush a folder, and none needs to for that.
    with contextlib.suppress(OSError):
        _flush(target.parent, os.O_RDONLY)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError, path: Path) -> str:
    folder = _shown(path.parent)
    match error.errno:
        case errno.EISDIR:
            return "it is a folder; name a file"
        case errno.ENOENT if not path.parent.exists():
            return f"the folder {folder} does not exist; create it first"
        case errno.ENOTDIR:
            return f"{folder} is not a folder"
        case errno.EACCES | errno.EPERM if not os.access(path.parent, os.W_OK):
            return f"no permission to write in the folder {folder}"
        case errno.EROFS:
            return f"the file system of {folder} is read-only"
        case errno.ENOSPC:
            return "the disk is full"
        case errno.EDQUOT:
            return "the disk quota is used up"
    return " ".join((error.strerror or str(error) or type(error).__name__).split())


def _shown(path: Path) -> str:
    return printable(str(path))


def check_target(path: str | Path) -> None:
    """Raises InputError where `path` cannot be written, before the work whose result it is for.

    A long run must not end in a message about a folder that was missing from the start.
    """
    path = Path(path)
    try:
        if _target(path) is not None and not path.parent.is_dir():
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not os.access(path.parent, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"cannot write {_shown(path)}: {_reason(error, path)}") from None


def make_folder(path: str | Path) -> Path:
    """The folder, made with its parents where it is missing.

    Raises:
        InputError: it cannot be made, or is a file.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "there is a file in its place" if isinstance(error, FileExistsError | NotADirectoryError) else None
        raise InputError(f"cannot make the folder {_shown(path)}: {reason or _reason(error, path)}") from None
    return path


def check_distinct(outputs: Sequence[str | Path], inputs: Sequence[str | Path]) -> None:
    """Raises InputError where two outputs are one file, or an output would overwrite what is read."""
    seen = {os.path.realpath(path) for path in inputs if Path(path).is_file()}
    for path in outputs:
        real = os.path.realpath(path)
        if real in seen and (Path(path).is_file() or not Path(path).exists()):
            raise InputError(f"cannot write {_shown(Path(path))}: the same command reads it, or writes it twice")
        seen.add(real)
