"""Ctrl-C and the end of a job as a wish that a long run asks about, not as an exception in the middle of a step."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from saformer.distributed import is_main, world_size
from saformer.errors import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
