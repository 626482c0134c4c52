"""Which calls are synaptic operations, and of how many real products."""

from dataclasses import replace
from typing import Any

from torch import Tensor

from saformer.analysis.recording.module_paths import of_torch
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.execution import Execution, Instruments
from saformer.analysis.recording.operations.formulas import gathered
from saformer.analysis.recording.origins.lineage import Lineage
from saformer.analysis.recording.origins.sources import Source, apart


def is_operation(call: Call, sources: tuple[Source | None, ...], instruments: Instruments) -> bool:
    """Whether a call joins an activation with weights, or two activations that are different things."""
    if call.weight is None:
        if not any(sources):
            return False
        if call.op != "product":
            return True
        outer = call.dense > max(x.numel() for x in call.operands)
        return apart(*sources) or (outer and all(source is not None and source.roots for source in sources))
    if call.layer and (call.dense <= call.operands[0].numel() or not instruments.lineage.constants.owners(call.weight)):
        return False
    return any(sources) or _could_run_once(call, instruments)


def _could_run_once(call: Call, instruments: Instruments) -> bool:
    """Whether a layer reads constants: a state at rest, or a parameter that an nn.Linear is given as its input.
    Weights that are made of weights (low rank, orthogonal) are no layer.
    """
    lineage, frame = instruments.lineage, instruments.paths.current
    if call.weight is None or not lineage.constants.owners(call.weight):
        return False
    own = of_torch(frame.module) and lineage.constants.name_in(frame.module, frame.path, call.weight) == "weight"
    return own or not lineage.constants.owners(call.operands[0])


def in_real_products(call: Call) -> Call:
    """Four real products for a complex one, two where one side is real."""
    sides = [*call.operands, *([] if call.weight is None else [call.weight])]
    times = 1
    for x in sides:
        times *= 2 if x.is_complex() else 1
    if times == 1:
        return call
    events = call.events
    return replace(
        call,
        dense=call.dense * times,
        events=lambda rows, counter: events(rows, counter) * times,
        multiplies=times,
        fan_out=None,
        events_of=None,
    )


def gathered_call(execution: Execution, lineage: Lineage, out: Any) -> Call | None:
    """Rows of weights that are taken at the places of spikes; None where it is something else that is taken."""
    tables = [x for x in execution.inputs if not lineage.is_activation(x) and lineage.constants.owners(x)]
    places = [source.places for x in execution.inputs if (source := lineage.source(x)) is not None]
    spikes = next((place for place in places if place is not None), None)
    if len(tables) != 1 or spikes is None or not isinstance(out, Tensor):
        return None
    return gathered(spikes, tables[0], out)
