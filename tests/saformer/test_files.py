import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from saformer.errors import InputError
from saformer.files import (
    check_file,
    open_file,
    read_bytes,
    read_text,
    write_atomic,
    write_bytes_atomic,
    write_text_atomic,
)
from saformer.text import printable

NOT_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")


def refusal(path: Path, write: Callable[[Path], Any] = lambda temporary: temporary.write_text("new")) -> str:
    with pytest.raises(InputError) as caught:
        write_atomic(path, write)
    message = str(caught.value)
    assert message.startswith(f"cannot write {path}: ")
    assert "\n" not in message
    return message


def test_writes_text_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_text_atomic(path, "a,ß\r\nb\n")
    assert path.read_bytes() == b"a,\xc3\x9f\r\nb\n"
    write_text_atomic(str(path), "shorter")
    assert path.read_bytes() == b"shorter"
    assert os.listdir(tmp_path) == ["table.csv"]


def test_writes_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "t", "file \udcff")
    assert (tmp_path / "t").read_bytes() == b"file \\udcff"


def test_writes_bytes(tmp_path: Path) -> None:
    write_bytes_atomic(tmp_path / "b", b"\x00\r\n")
    assert (tmp_path / "b").read_bytes() == b"\x00\r\n"


def test_hidden_file_is_beside_and_keeps_the_suffix(tmp_path: Path) -> None:
    seen = []

    def write(temporary: Any) -> None:
        seen.append(temporary)
        temporary.write_text("x")

    for _ in range(2):
        write_atomic(tmp_path / "figure.pdf", write)
    assert len(set(seen)) == 2
    for temporary in seen:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".figure.")
        assert temporary.suffix == ".pdf"


def test_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 120 + ".csv")  # 244 bytes, where 255 are allowed
    write_text_atomic(path, "x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), InputError("no such digit")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: Any) -> None:
    path = tmp_path / "t.txt"
    path.write_text("old")

    def write(temporary: Any) -> None:
        temporary.write_text("ne")
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomic(path, write)
    assert caught.value is error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.txt"]


def test_a_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("old")

    def write(temporary: Any) -> None:
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    assert refusal(path, write).endswith(": the disk is full")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.txt"]


def test_a_real_limit_on_the_file_size(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "t.bin"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        message = refusal(path, lambda temporary: temporary.write_bytes(bytes(5000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message.endswith(": File too large")
    assert os.listdir(tmp_path) == []


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).endswith("it is a folder; name a file")


def test_no_such_folder(tmp_path: Path) -> None:
    path = tmp_path / "no" / "t.txt"
    assert refusal(path).endswith(f"the folder {path.parent} does not exist; create it first")
    assert os.listdir(tmp_path) == []


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    assert refusal(tmp_path / "f" / "t.txt").endswith(f"{tmp_path / 'f'} is not a folder")


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    refusal(tmp_path / ("x" * 300))


def test_a_name_with_a_line_break_stays_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\\nb") as caught:
        write_text_atomic(tmp_path / "a\nb" / "t.txt", "x")
    assert "\n" not in str(caught.value)


def test_a_name_with_a_nul(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a file name"):
        write_text_atomic(f"{tmp_path}/a\0b", "x")


def test_a_missing_file_that_the_callback_reads_is_not_called_a_missing_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path / "t", lambda temporary: (tmp_path / "source").read_text())
    assert message.endswith("No such file or directory")


@NOT_ROOT
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        message = refusal(tmp_path / "t.txt")
    finally:
        tmp_path.chmod(0o700)
    assert message.endswith(f"no permission to write in the folder {tmp_path}")


@NOT_ROOT
def test_a_write_protected_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("old")
    path.chmod(0o444)
    assert refusal(path).endswith("the file is write-protected")
    assert path.read_text() == "old"


def test_permissions_are_those_of_any_new_file_or_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_text_atomic(tmp_path / "new", "x")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    write_text_atomic(tmp_path / "new", "y")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, exists: Any) -> None:
    real = tmp_path / "real.txt"
    if exists:
        real.write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text_atomic(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert real.read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()), daemon=True)
    reader.start()
    write_text_atomic(path, "through")
    reader.join(timeout=10)
    assert read == ["through"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_standard_output_can_be_named() -> None:
    code = "from saformer.files import write_text_atomic; write_text_atomic('/dev/stdout', 'hello')"
    if not Path("/dev/stdout").exists():
        pytest.skip("no /dev/stdout here")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "hello"


def test_torch_is_not_imported() -> None:
    code = "import saformer.files, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# --- what a user hands over


def unread(path: str | Path, most: int = 100) -> str:
    said = set()
    for read in (check_file, open_file, read_bytes, read_text):
        with pytest.raises(InputError) as caught:
            read(path, "the list", most)
        said.add(str(caught.value))
    (message,) = said
    start = f"cannot read the list {printable(str(path))}: "
    assert message.startswith(start)
    return message.removeprefix(start)


@pytest.fixture
def quick() -> Iterator[None]:
    """A test that waits for a pipe fails, and does not wait for ever."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: pytest.fail("it waited"))
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("quick")
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero", "/dev/null", tmp_path / "socket"):
            assert unread(path) == "it is not a regular file; copy its contents to one"
    assert unread(tmp_path) == "it is a folder; name the file in it"
    assert unread(tmp_path / "absent") == "there is no such file"
    assert unread(tmp_path / "a\0b") == "that is not a file name"
    (tmp_path / "round").symlink_to("round")
    assert unread(tmp_path / "round") == "Too many levels of symbolic links"
    assert unread("x" * 500) == "File name too long"


@NOT_ROOT
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "f").touch(0o000)
    with pytest.raises(InputError, match="no permission to read it"):
        read_bytes(tmp_path / "f")


def test_no_more_is_read_than_may_be_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to(path)
    assert read_bytes(path, most=100) == read_bytes(tmp_path / "link", most=100) == b"x" * 100
    path.write_bytes(b"x" * 101)
    assert unread(path) == "it has 101 bytes, and such a file may have 100 at most"
    made_up = Path("/proc/self/status")  # says that it has none
    if made_up.exists():
        with pytest.raises(InputError, match="it has more than 100 bytes"):
            read_bytes(made_up, most=100)


def test_text_is_utf8_with_any_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n\xc3\x9f")
    assert read_text(path) == "a\nb\nc\nß"
    path.write_bytes(b"ab\xff")
    with pytest.raises(InputError, match=rf"^cannot read {path}: it is no text \(UTF-8\): byte 2 is part of none$"):
        read_text(path)
