"""Runs the command line in forked processes that have torch already, under limits of memory, time and disk."""

import contextlib
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MEMORY = 2**30  # bytes that a case may take beyond what the imports take
CPU = 30  # seconds of a processor
WALL = 120  # seconds on the clock; the machine may be busy


@dataclass
class Ended:
    """How a command ended; `status` is negative for a signal."""

    status: int
    out: str
    err: str
    memory: int
    seconds: float


@dataclass
class Child:
    """A running command."""

    pid: int
    folder: Path
    started: float
    shared: int  # bytes that it shares with the process that it was forked from

    def wait(self, block: bool = True) -> Ended | None:
        """How it ended; None while it runs."""
        found, status, usage = os.wait4(self.pid, 0 if block else os.WNOHANG)
        seconds = time.monotonic() - self.started
        if not found:
            if seconds > WALL:
                self.kill(signal.SIGKILL)
            return None
        out, err = ((self.folder.parent / f"{self.folder.name}.{name}") for name in ("out", "err"))
        # One that was killed at once has made neither.
        texts = [path.read_text("utf-8", "replace") if path.exists() else "" for path in (out, err)]
        for path in (out, err):
            path.unlink(missing_ok=True)
        used = usage.ru_maxrss * 1024 - self.shared
        return Ended(os.waitstatus_to_exitcode(status), *texts, max(used, 0), usage.ru_utime + usage.ru_stime)

    def ended(self) -> bool:
        """Whether it has ended; `wait` still says how."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self, number: int) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _own_pages() -> int:
    """Bytes of this process in memory that no file holds: a forked process has them, too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def warm(arguments: Sequence[str], folder: Path) -> str | None:
    """Run a command here, so that what it imports is there for the forked processes; what it says if it fails."""
    from saformer.cli import main

    here, said, status = os.getcwd(), io.StringIO(), 0
    os.chdir(folder)
    sys.argv = ["saformer", *arguments]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
    os.chdir(here)
    return said.getvalue() if status else None


def start(arguments: Sequence[str], folder: Path) -> Child:
    """Start `saformer ARGUMENTS` in a folder; its output goes to files beside the folder."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return Child(pid, folder, time.monotonic(), _own_pages())
    try:
        _become(arguments, folder)
    finally:
        os._exit(70)  # never back into the program that forked


def _become(arguments: Sequence[str], folder: Path) -> None:
    os.chdir(folder)
    for descriptor, name in ((0, os.devnull), (1, f"{folder}.out"), (2, f"{folder}.err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    for what, most in (
        (resource.RLIMIT_AS, size + 2 * MEMORY),
        (resource.RLIMIT_CPU, CPU),
        (resource.RLIMIT_FSIZE, 2**28),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    from saformer.cli import main

    sys.argv = ["saformer", *arguments]
    status = 0
    try:
        main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
