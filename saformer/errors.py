"""The one exception for input that is at fault: the command line prints it as one line and exits with 1."""


class InputError(ValueError):
    """Something the user handed us cannot be used.

    The message is one sentence that says what is wrong, where, and what to do. The command line prints
    it on standard error and exits with status 1; nobody using the library needs to catch anything else.
    """
