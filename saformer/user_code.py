"""Code of the user's may do anything: whatever it raises is said in one line, and the process stays as it was."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from saformer.errors import InputError, Stopped, out_of_memory, said


@contextmanager
def faults(
    line: Callable[[BaseException], str | None], passing: tuple[type[Exception], ...] = (InputError, Stopped)
) -> Iterator[None]:
    """What the code inside raises becomes an InputError, be it sys.exit or no Exception at all.

    Ctrl-C passes, and too little memory, for which there is other advice.

    Args:
        line: what to say of it; None: it passes, too.
        passing: what passes because it says of itself what is wrong.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = None if isinstance(error, passing) or out_of_memory(error) else line(error)
        if text is None:
            raise
        raise InputError(text) from None


def words(error: BaseException) -> str:
    """The exception for a message; one of ours speaks for itself."""
    text = said(error)
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def in_module(frames: Iterator[tuple[FrameType, int]]) -> bool:
    """Whether a traceback, as `traceback.walk_tb` gives it, leads through the call of a torch.nn.Module."""
    return any(frame.f_code.co_filename.endswith(_MODULE) for frame, _ in frames)


_MODULE = os.path.join("torch", "nn", "modules", "module.py")


@contextmanager
def process_kept() -> Iterator[None]:
    """The current folder, and torch's settings for the process, are afterwards what they were before."""
    torch: Any = sys.modules.get("torch")
    folder = None
    with contextlib.suppress(OSError):  # it may have been removed
        folder = os.getcwd()
    before = torch and (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads())
    try:
        yield
    finally:
        if folder is not None:
            with contextlib.suppress(OSError):
                os.chdir(folder)
        if before:
            dtype, gradients, threads = before
            torch.set_default_dtype(dtype)
            torch.set_grad_enabled(gradients)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
