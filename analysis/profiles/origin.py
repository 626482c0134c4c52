"""Where the numbers of an account come from: trained weights, random ones, or firing rates that were given."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saformer.analysis.accounting.account import Account

UNTRAINED_NOTE = "the weights are untrained: firing rates, and the energy with them, are those of random weights"
NOTHING_RUN = "nothing was run"

MEASURED, UNTRAINED, RATES = "measured", "untrained", "rates"


def provenance(account: "Account") -> str:
    """`measured`, `untrained` (random weights) or `rates` (given instead of data), as the account's notes say.

    A network handed to `saformer.analysis.profile` in Python counts as measured: only its owner knows its weights.
    """
    if any(note.startswith(NOTHING_RUN) for note in account.notes):
        return RATES
    return UNTRAINED if UNTRAINED_NOTE in account.notes else MEASURED
