"""Exceptions that the command line prints as one line: input that is at fault, and a run that was asked to stop."""

from saformer.text import one_line

_LONGEST = 1000  # characters of a message that are read


class InputError(ValueError):
    """Something the user handed us cannot be used.

    The message is one sentence that says what is wrong, where, and what to do. The command line prints
    it on standard error and exits with status 1; nobody using the library needs to catch anything else.
    Names and values in it may come from strangers: it is made one line, and cut to a sane length.
    """

    def __init__(self, message: object) -> None:
        super().__init__(one_line(str(message)))


class Stopped(Exception):
    """A run was asked to stop (Ctrl-C, or the end of a job) and did; the message says how to go on with it."""


def said(error: BaseException) -> str:
    """The message of an exception on one line; none where that raises one itself."""
    try:
        text = str(error)
    except BaseException:  # of code that is not ours
        return ""
    return " ".join(text[:_LONGEST].split())


def brief(reason: object) -> str:
    """Fit a reason that a hostile file may have worded into one line."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text if len(text) <= 120 else text[:117] + "..."


def out_of_memory(error: BaseException) -> bool:
    """The error says that there is not enough memory, in the words of Python, torch or a GPU."""
    text = said(error).lower()
    signs = (
        "out of memory",
        "can't allocate memory",
        "not enough memory",
        "cannot allocate",
        "storage size calculation overflowed",
        "invalid shape dimension",
    )
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(sign in text for sign in signs))
