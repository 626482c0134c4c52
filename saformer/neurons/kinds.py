"""Neurons by name, for settings of models."""

import inspect
from collections.abc import Callable
from typing import Any

from saformer.errors import InputError
from saformer.neurons.layers import IF, LIAF, LIF, PLIF, AdaptiveLIF, IntegerLIF, LearnableLIF, Neuron, TernaryLIF
from saformer.text import nearest

#: What makes a layer of neurons, by name.
NEURONS: dict[str, Callable[..., Neuron]] = {
    "lif": LIF,
    "if": IF,
    "plif": PLIF,
    "ilif": IntegerLIF,
    "ternary": TernaryLIF,
    "liaf": LIAF,
    "alif": AdaptiveLIF,
    "learnable": LearnableLIF,
}


def make_neuron(kind: str, **settings: Any) -> Neuron:
    """A layer of neurons of a kind in `NEURONS`, with settings of its own.

    Raises:
        InputError: there is no such kind, or it has no such setting; the nearest name is suggested.
    """
    factory = NEURONS.get(kind)
    if factory is None:
        raise InputError(f"there is no neuron {kind!r}{nearest(kind, NEURONS)}: take one of {', '.join(NEURONS)}")
    known = inspect.signature(factory).parameters
    for name in settings:
        if name not in known:
            raise InputError(
                f"the neuron {kind!r} has no setting {name!r}{nearest(name, known)}: take some of {', '.join(known)}"
            )
    return factory(**settings)
