"""Reads the files that a user hands over, with a bound; writes files whole or not at all."""

import contextlib
import errno
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from saformer.errors import InputError
from saformer.locks import Partial, remove_leftovers
from saformer.text import printable

#: Bytes that a file may have which people write by hand: tables of hardware, recipes, settings, lists.
BY_HAND = 2**18
#: Bytes that a table or a JSON file may have which programs write.
TABLE = 2**24
#: Bytes that a file of weights or data may have; what is made of it is bounded by what it has.
DATA = 2**40


def check_file(path: str | Path, what: str = "", most: int = DATA) -> os.stat_result:
    """What the system knows of a regular file, or of one that a link leads to, of at most `most` bytes.

    Nothing is opened: a pipe could wait for ever, and a device do something.

    Args:
        path: what the user named.
        what: it is in a message, such as "the recipe".
        most: bytes.

    Raises:
        InputError: it is missing, a folder, a pipe, a socket, a device, or larger.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise _unread(path, what, _read_reason(error)) from None
    except ValueError:  # a NUL character in the name
        raise _unread(path, what, "that is not a file name") from None
    _check_status(found, path, what, most)
    return found


def open_file(path: str | Path, what: str = "", most: int = DATA) -> io.BufferedReader:
    """The file, opened to read bytes; arguments and errors as those of `check_file`."""
    check_file(path, what, most)
    try:
        # It may have become a pipe since: opening one waits for a writer unless told not to.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise _unread(path, what, _read_reason(error)) from None
    file = os.fdopen(descriptor, "rb")
    try:
        _check_status(os.fstat(descriptor), path, what, most)
    except InputError:
        file.close()
        raise
    return file


def read_bytes(path: str | Path, what: str = "", most: int = TABLE) -> bytes:
    """The contents of the file; arguments and errors as those of `check_file`."""
    with open_file(path, what, most) as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise _unread(path, what, _read_reason(error)) from None
    if len(content) > most:  # it grew, or is one of those that the system makes up as they are read
        raise _unread(path, what, f"it has more than {most:,} bytes, the most that such a file may have")
    return content


def read_text(path: str | Path, what: str = "", most: int = TABLE) -> str:
    """The contents of a file of UTF-8, without the mark that some editors begin it with; lines end in a line feed.

    Arguments and errors as those of `check_file`; a file that is no text is refused, too.
    """
    try:
        text = read_bytes(path, what, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unread(path, what, f"it is no text (UTF-8): byte {error.start} is part of none") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_status(found: os.stat_result, path: str | Path, what: str, most: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise _unread(path, what, "it is a folder; name the file in it") from None
    if not stat.S_ISREG(found.st_mode):
        raise _unread(path, what, "it is not a regular file; copy its contents to one") from None
    if found.st_size > most:
        reason = f"it has {found.st_size:,} bytes, and such a file may have {most:,} at most"
        raise _unread(path, what, reason) from None


def _read_reason(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return "there is no such file"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it"
    return " ".join((error.strerror or str(error) or type(error).__name__).split())


def _unread(path: str | Path, what: str, reason: str) -> InputError:
    return InputError(f"cannot read {what}{' ' if what else ''}{_shown(path)}: {reason}")


_written: list[Path] = []


def files_written() -> int:
    """How many files this process has written so far."""
    return len(_written)


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
    remove_leftovers(target.parent)
    partial = Partial(target)
    try:
        write(partial.path)
        if target.exists():
            shutil.copymode(target, partial.path)
        _flush(partial.path, os.O_RDWR)
        if os.name != "posix":  # elsewhere a file that is open cannot be moved
            partial.close()
        os.replace(partial.path, target)
        _written.append(target)
    except BaseException:
        partial.discard()
        raise
    finally:
        partial.close()
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


def _shown(path: str | Path) -> str:
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


def make_folder(path: str | Path) -> list[Path]:
    """Make the folder, with its parents, where it is missing.

    Returns:
        The folders that were made, the innermost first, for `unmake_folders`.

    Raises:
        InputError: it cannot be made, or is a file.
    """
    path = Path(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (
            "there is a file in its place; name another"
            if isinstance(error, FileExistsError | NotADirectoryError)
            else None
        )
        raise InputError(f"cannot make the folder {_shown(path)}: {reason or _reason(error, path)}") from None
    return made


def unmake_folders(made: Sequence[Path]) -> None:
    """Remove the folders that `make_folder` made, as far as nothing is in them."""
    with contextlib.suppress(OSError):
        for folder in made:
            folder.rmdir()


@contextlib.contextmanager
def made_folder(path: str | Path) -> Iterator[None]:
    """The folder is there in the block, and afterwards if something is in it; errors as of `make_folder`."""
    made = make_folder(path)
    try:
        yield
    finally:
        unmake_folders(made)


def check_distinct(outputs: Sequence[str | Path], inputs: Sequence[str | Path]) -> None:
    """Raises InputError where two outputs are one file, or an output would overwrite what is read."""
    seen = {os.path.realpath(path) for path in inputs if Path(path).is_file()}
    for path in outputs:
        real = os.path.realpath(path)
        if real in seen and (Path(path).is_file() or not Path(path).exists()):
            raise InputError(f"cannot write {_shown(Path(path))}: the same command reads it, or writes it twice")
        seen.add(real)
