"""A Profile: the integers of one run and what was run. It saves to JSON, loads back, and adds up."""

from saformer.analysis.profiles.metadata import DataInfo, ModelInfo
from saformer.analysis.profiles.origin import Origin
from saformer.analysis.profiles.profile import Profile
from saformer.analysis.profiles.records import (
    SPIKES_OF,
    Correct,
    FreeArithmetic,
    Neurons,
    Operand,
    Operation,
    inside,
)
from saformer.analysis.profiles.values import ValueClass, Values

__all__ = [
    "SPIKES_OF",
    "Correct",
    "DataInfo",
    "FreeArithmetic",
    "ModelInfo",
    "Neurons",
    "Operand",
    "Operation",
    "Origin",
    "Profile",
    "ValueClass",
    "Values",
    "inside",
]
