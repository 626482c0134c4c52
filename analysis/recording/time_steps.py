"""T: how often the layers that read spikes run per image, where nobody said."""

from collections import Counter as Tally
from collections.abc import Sequence

from saformer.analysis.profiles import Neurons, Operation
from saformer.analysis.profiles.values import ValueClass

_SPIKES = {ValueClass.SPIKES, ValueClass.TERNARY, ValueClass.GRADED, ValueClass.AVERAGED}


def seen_steps(
    operations: Sequence[Operation], neurons: Sequence[Neurons], neuron_steps: int, images: int
) -> int | None:
    """T as most layers that read spikes show it; None where no layer does.

    Args:
        operations: of a profile.
        neurons: its layers of neurons.
        neuron_steps: how often most of these ran.
        images: of the profile.
    """
    runs = [
        o.executions // images
        for o in operations
        if o.weights and not o.first and o.gate.kind in _SPIKES and o.executions and not o.executions % images
    ]
    if not runs and not neurons:
        return None
    tally = Tally(runs)
    most = [steps for steps, count in tally.items() if count == max(tally.values())]
    if neuron_steps in most:
        return neuron_steps
    return min((steps for steps in most if steps > 1), default=neuron_steps)
