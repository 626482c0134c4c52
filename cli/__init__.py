"""The command line: parse, call, print. No arithmetic here."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NoReturn

_INTERRUPTED = 130


def program() -> None:
    """What `saformer` and `python -m saformer.cli` start: the command line, and with it the process ends."""
    from saformer.native.memory import keep_memory
    from saformer.process import end_process, start_process

    start_process(with_torch=keep_memory)
    try:
        main()
    except SystemExit as stop:
        end_process(stop.code)
        raise


def main() -> None:
    """Run the command line: exit status 0 done, 1 input at fault (one line on standard error), 2 usage."""
    if sys.unraisablehook is sys.__unraisablehook__:
        # What an object of the user's raises when it is removed changes no result; Python would print a traceback.
        sys.unraisablehook = lambda ignored: None
    from saformer.cli.app import app
    from saformer.cli.terminal.signals import sigterm_as_ctrl_c
    from saformer.distributed import process_group
    from saformer.errors import InputError, Stopped, out_of_memory
    from saformer.plugins import faults_located
    from saformer.text import PLAIN_ERRORS, briefly

    # A thread that waits for another spins for a millisecond unless told: where other programs run, most of the time.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ["MPLBACKEND"] = "agg"  # files alone are drawn; a notebook's own backend is not there in a child process
    if os.environ.get("COLUMNS", "").strip() == "0":  # some pseudo-terminals say so, and mean that they do not know
        del os.environ["COLUMNS"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN_ERRORS)  # a terminal that knows no ± gets +/-
    try:
        with sigterm_as_ctrl_c(), process_group(), quiet_unless_first(), faults_located():
            app()
    except InputError as error:
        fail(str(error))
    except Stopped as stop:
        _interrupted(str(stop))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to say, to nobody
        sys.exit(1)
    except OSError as error:
        what = "cannot write the output" if error.filename is None else briefly(error.filename, quoted=False)
        fail(f"{what}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        fail("out of memory: the model is too large for this machine")
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # how typer ends on Ctrl-C, without a word
            _interrupted()
        raise


@contextmanager
def quiet_unless_first() -> Iterator[None]:
    """Of the processes that torchrun started, the first alone prints."""
    from saformer.distributed import is_main

    if is_main():
        yield
        return
    with open(os.devnull, "w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
        yield


def _interrupted(message: str = "") -> NoReturn:
    from saformer.files import files_written

    message = message or f"interrupted, {'what was written is whole' if files_written() else 'nothing was written'}"
    print(f"\rsaformer: {message}", file=sys.stderr)
    sys.exit(_INTERRUPTED)


def fail(message: str) -> NoReturn:
    """One line on standard error, exit status 1."""
    from saformer.text import one_line

    print(f"saformer: {one_line(message)}", file=sys.stderr)
    sys.exit(1)
