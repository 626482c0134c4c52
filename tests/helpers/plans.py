"""What two profiles have in common if they counted the same."""

from dataclasses import replace

from saformer.analysis import Profile


def numbers(p: Profile) -> str:
    """Everything but the settings of the run."""
    return repr(replace(p, run={}))
