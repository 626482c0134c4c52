"""A Profile: the integers of one run and what was run. It saves to JSON, loads back, and adds up."""

from saformer.analysis.profiles.profile import (
    SPIKES_OF,
    FreeArithmetic,
    Hits,
    Neurons,
    Operand,
    Operation,
    Profile,
    inside,
)

__all__ = ["SPIKES_OF", "FreeArithmetic", "Hits", "Neurons", "Operand", "Operation", "Profile", "inside"]
