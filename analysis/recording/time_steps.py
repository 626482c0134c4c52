"""T: how often the layers that read spikes run per image, where nobody said."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

from saformer.analysis.profiles import Neurons, Operation
from saformer.analysis.profiles.values import ValueClass

_SPIKES = {ValueClass.SPIKES, ValueClass.TERNARY, ValueClass.GRADED, ValueClass.AVERAGED}


def seen_steps(
    operations: Sequence[Operation],
    neurons: Sequence[Neurons],
    neuron_steps: int,
    images: int,
    unread: Mapping[str, float],
) -> int | None:
    """T as most layers that read spikes show it; None where no layer does.

    Args:
        operations: of a profile.
        neurons: its layers of neurons.
        neuron_steps: how often most of these ran.
        images: of the profile.
        unread: share of the calls of an operation whose result nothing read.
    """
    layers = [o for o in operations if o.weights and not o.first and o.gate.kind in _SPIKES and o.executions]
    often = [o.executions * (1 - unread.get(o.name, 0.0)) / images for o in layers]
    runs = [round(steps) for steps in often if abs(steps - round(steps)) < 1e-6]
    if not runs and not neurons:
        return None
    # A layer after a mean over time runs once, and neurons may get all steps in one call: what runs more often shows T.
    tally = Tally(steps for steps in runs if steps > 1)
    most = [steps for steps, count in tally.items() if count == max(tally.values())]
    return neuron_steps if neuron_steps in most else min(most, default=neuron_steps)
