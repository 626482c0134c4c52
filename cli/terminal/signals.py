"""Ctrl-C and the end of a job: one ends a command as the other does, and a long run may treat both as a wish."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from saformer.distributed import is_main, world_size
from saformer.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """In the block SIGTERM, which batch systems send, raises KeyboardInterrupt: files that are half written go.

    Who ignores it goes on doing so. Processes that torchrun started are left to it: one that cleans up would wait for
    those that have ended.
    """
    if world_size() > 1 or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def stop_requests(tell: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """In the block, Ctrl-C and SIGTERM only set what the yielded function returns; a second Ctrl-C interrupts."""
    wanted = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal wanted
        # torchrun passes a Ctrl-C on that the terminal has sent to everyone already: there, two are one.
        if wanted and number == signal.SIGINT and world_size() == 1:
            raise Stopped("stopped at once; the same command goes on from the last checkpoint")
        if not wanted and is_main():
            again = "; Ctrl-C again stops at once" if world_size() == 1 else ""
            tell(f"stopping after this step{again}; the run goes on from its last checkpoint")
        wanted = True

    before = [signal.signal(number, handle) for number in _SIGNALS]
    try:
        yield lambda: wanted
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
