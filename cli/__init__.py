"""The command line: parse, call, print. No arithmetic here."""

import os
import sys
from typing import NoReturn

_INTERRUPTED = 130


def main() -> None:
    """Run the command line: exit status 0 done, 1 input at fault (one line on standard error), 2 usage."""
    from saformer.cli.app import app
    from saformer.errors import InputError
    from saformer.text import PLAIN_ERRORS

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN_ERRORS)  # a terminal that knows no ± gets +/-
    try:
        app()
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to say, to nobody
        sys.exit(1)
    except OSError as error:
        fail(f"cannot write the output: {error.strerror or error}")
    except MemoryError:
        fail("out of memory: try a smaller --batch-size")
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as stop:
        if stop.code == _INTERRUPTED:  # how typer ends on Ctrl-C, without a word
            _interrupted()
        raise


def _interrupted() -> NoReturn:
    print("\rsaformer: interrupted, nothing was written", file=sys.stderr)
    sys.exit(_INTERRUPTED)


def fail(message: str) -> NoReturn:
    """One line on standard error, exit status 1."""
    from saformer.text import printable

    print(f"saformer: {printable(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(1)
