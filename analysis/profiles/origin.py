"""Where the numbers of a profile come from: trained weights, random ones, or firing rates that were given."""

from collections.abc import Iterable
from enum import StrEnum

UNTRAINED_NOTE = "the weights are untrained: firing rates, and the energy with them, are those of random weights"
NOTHING_RUN = "nothing was run"


class Origin(StrEnum):
    """Where they come from. A network handed over in Python counts as measured: only its owner knows its weights."""

    MEASURED = "measured"
    UNTRAINED = "untrained"
    RATES = "rates"


def origin_of_notes(notes: Iterable[str]) -> Origin:
    """The origin of a profile of an earlier version, which said so in its notes alone."""
    said = list(notes)
    if any(note.startswith(NOTHING_RUN) for note in said):
        return Origin.RATES
    return Origin.UNTRAINED if UNTRAINED_NOTE in said else Origin.MEASURED
