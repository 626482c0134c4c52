"""Which calls are synaptic operations, and of how many real products."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.recording.counting.looks import Looks
from saformer.analysis.recording.module_paths import of_torch
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.execution import Execution, Instruments
from saformer.analysis.recording.operations.formulas import gathered
from saformer.analysis.recording.operations.operators import IsActivation
from saformer.analysis.recording.origins.lineage import Lineage
from saformer.analysis.recording.origins.sources import Source, apart
from saformer.analysis.recording.origins.storage_map import storage_id


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


@dataclass(frozen=True)
class Bound:
    """How large a result can be: a sum of n products is no larger than n times the largest elements.

    Args:
        factor: n times the largest elements of what is constant among the factors.
        added: the largest element of what is added; infinity where that is not known.
        varying: which operands are no constants.
    """

    factor: float
    added: float
    varying: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, call: Call, out: Tensor, inputs: Iterable[Tensor], instruments: Instruments, is_activation: IsActivation
    ) -> "Bound":
        """The bound of an operation.

        Args:
            call: it.
            out: its result.
            inputs: the tensors that its operator read.
            instruments: what observers share.
            is_activation: whether one of them is no constant, of which one look is enough for all batches.
        """
        if not out.is_floating_point() or not out.numel():
            return cls(inf, inf)
        weights = [] if call.weight is None else [call.weight]
        held = {storage_id(x) for x in (*call.operands, *weights)}
        added = [x for x in inputs if storage_id(x) not in held]
        if any(map(is_activation, added)):
            return cls(inf, inf)
        varying = tuple(i for i, x in enumerate(call.operands) if is_activation(x))
        constant = [x for i, x in enumerate(call.operands) if i not in varying]
        factor = call.dense / out.numel()
        for x in (*constant, *weights):
            factor *= _largest(x, instruments.weights)
        return cls(factor, sum(_largest(x, instruments.weights) for x in added), varying)

    def holds(self, operands: Sequence[Tensor], out: Tensor, instruments: Instruments) -> bool:
        """Whether the result is proven finite; False says nothing.

        Activations that were not looked at by now are, where that is cheaper than a look at the result.
        """
        most = self.factor
        if most + self.added == inf:
            return False
        for x in (operands[i] for i in self.varying):
            if instruments.counter.is_binary(x):
                continue
            seen = instruments.looks.seen(x)
            if (seen is None or seen.largest is None) and (x.device.type != "cpu" or x.numel() > out.numel()):
                return False
            most *= _largest(x, instruments.looks)
        return most + self.added < torch.finfo(out.dtype).max / 2


def _largest(x: Tensor, looks: Looks) -> float:
    """The largest magnitude in `x`; infinity where that cannot be told."""
    return looks.largest(x) if x.is_floating_point() else inf
