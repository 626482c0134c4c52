"""The command line: parse, call, print. No arithmetic here."""

import sys


def main() -> None:
    """Run the command line: exit status 0 done, 1 input at fault (one line on standard error), 2 usage."""
    from saformer.cli.app import app
    from saformer.errors import InputError

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that knows no µ or ± gets a question mark
    try:
        app()
    except InputError as error:
        fail(str(error))
    except MemoryError:
        fail("out of memory: try a smaller --batch-size")
    except KeyboardInterrupt:
        fail("interrupted; nothing was written")


def fail(message: str) -> None:
    """One line on standard error, exit status 1."""
    print(f"saformer: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)
