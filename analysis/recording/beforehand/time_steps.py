"""T: how often the layers that read spikes run per image, where nobody said."""

import re
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Mapping, Sequence

from saformer.analysis.profiles import Operation
from saformer.analysis.profiles.values import ValueClass
from saformer.analysis.recording.observers.neuron_candidates import Decision

_SPIKES = {ValueClass.SPIKES, ValueClass.TERNARY, ValueClass.GRADED, ValueClass.AVERAGED}


def seen_steps(
    operations: Sequence[Operation], decision: Decision, images: int, unread: Mapping[str, float]
) -> int | None:
    """T as most layers that read spikes show it, then as the neurons do; None where nothing does.

    Args:
        operations: of a profile.
        decision: what the run shows of neurons.
        images: of the profile.
        unread: share of the calls of an operation whose result nothing read.
    """
    layers: defaultdict[str, list[tuple[Operation, float]]] = defaultdict(list)
    for o in operations:
        if o.weights and not o.first and o.executions:
            runs_of = layers[re.sub(r":\d+$", "", o.name)]
            runs_of.append((o, o.executions * (1 - unread.get(o.name, 0.0)) / images))
    often: list[float] = []
    for rows in layers.values():
        # A layer with several rows reads several things: each at every step, or one at first and another later.
        spikes = [steps for o, steps in rows if o.gate.kind in _SPIKES]
        alike = len({steps for _, steps in rows}) == 1
        often += spikes if alike or not spikes else [sum(steps for _, steps in rows)]
    runs = [round(steps) for steps in often if abs(steps - round(steps)) < 1e-6]
    if not runs and not decision.layers:
        return None
    # A layer after a mean over time runs once, and neurons may get all steps in one call: what runs more often shows T.
    tally = Tally(steps for steps in runs if steps > 1)
    most = [steps for steps, count in tally.items() if count == max(tally.values())]
    if not most:
        return decision.looped or decision.steps
    if (
        decision.looped is not None and decision.looped - 1 in most
    ):  # the last spikes of a recurrence are read by nobody
        return decision.looped
    return decision.steps if decision.steps in most else min(most)
