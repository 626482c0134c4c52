"""The one exception for input that is at fault: the command line prints it as one line and exits with 1."""


class InputError(ValueError):
    """Something the user handed us cannot be used.

    The message is one sentence that says what is wrong, where, and what to do. The command line prints
    it on standard error and exits with status 1; nobody using the library needs to catch anything else.
    """


def brief(reason: object) -> str:
    """Fit a reason that a hostile file may have worded into one line."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text if len(text) <= 120 else text[:117] + "..."
