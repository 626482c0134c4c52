"""How much the energy moves with each operation's firing rate: where fewer spikes save most."""

from dataclasses import dataclass, replace
from typing import Unpack

from saformer.analysis.accounting.account import MJ_PER_PJ
from saformer.analysis.accounting.energy import Choices, account_for, context_for, without
from saformer.analysis.accounting.hardware import DEFAULT_HARDWARE, Hardware, load_hardware
from saformer.analysis.accounting.rules import DEFAULT_ACCOUNTING, get_accounting
from saformer.analysis.accounting.slopes import change_of_energy
from saformer.analysis.profiles import Operation, Profile
from saformer.analysis.profiles.moments import Moments

POINT, TENTH = 0.01, 0.1


@dataclass(frozen=True)
class Sensitivity:
    """One operation, per image.

    `energy_mj` is what it is charged, None where the hardware has no energy for it. `per_point_mj` and `per_tenth_mj`
    are the change of the whole network's energy when the rate of its gating input rises by one percentage point,
    and by a tenth of itself; nothing else changes.
    """

    name: str
    op: str
    firing_rate: float
    energy_mj: float | None
    per_point_mj: float
    per_tenth_mj: float


def _with_gate(operation: Operation, by: int) -> Operation:
    """The operation with so many more nonzeros in the operand that gates it; events grow in proportion."""
    gate = operation.gate
    before, after = gate.nonzero, gate.nonzero + by

    # Without a spike there is no fan-out to go by: dense operations per element, then.
    events = operation.events * after // before if before else operation.dense * after // gate.elements
    share = events / operation.events if operation.events else 1.0
    return replace(
        operation,
        operands=tuple(x.at(after) if x is gate else x for x in operation.operands),
        events=events,
        effective=operation.effective * share if operation.events else events,
        graded=None if operation.graded is None else operation.graded * share if operation.events else events,
    )


def sensitivities(
    profile: Profile,
    accounting: str = DEFAULT_ACCOUNTING,
    hardware: str | Hardware = DEFAULT_HARDWARE,
    first_layer_once: bool = False,
    unroll: bool = False,
    **choices: Unpack[Choices],
) -> list[Sensitivity]:
    """Every operation, the one whose rate matters most first.

    Accountings are linear in the counts, or piecewise so: the slope is taken over one percentage point, upwards
    where there is room for it. Operations are moved one at a time, also where several read the same spikes.

    Args:
        profile: recorded, or made from published rates.
        accounting: a registered name.
        hardware: a table, or the name or path of one.
        first_layer_once: charge the first layer of a static image for one step instead of T.
        unroll: an integer input of k is k events, where the accounting counts events.
        choices: what an accounting leaves open, as of `account_for`.

    Raises:
        InputError: unknown accounting or hardware; a pattern of `leave_out` that matches nothing.
    """
    table = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    # Without the moments, which would be evaluated for an interval that nobody asks for.
    profile, _ = without(profile, choices.pop("leave_out", ()))
    base = account_for(
        replace(profile, moments=Moments(0, (), ())), accounting, table, first_layer_once, unroll, **choices
    )
    context = context_for(
        profile,
        first_layer_once,
        unroll,
        choices.get("first_layer", "repeat"),
        choices.get("graded"),
        choices.get("rate_at", "input"),
    )
    change = change_of_energy(profile, get_accounting(accounting), context, table)
    found = []
    # After the operations an accounting may have rows for what is not synaptic: those have no rate of their own.
    for operation, layer in zip(profile.operations, base.layers, strict=False):
        gate = operation.gate
        step = max(round(POINT * gate.elements), 1)
        if gate.nonzero + step > gate.elements:
            step = -min(step, gate.nonzero)
        moved = change(operation, _with_gate(operation, step)) if step else 0.0
        # Nothing is nothing, not -0, where there was room downwards alone.
        slope = moved / step / profile.images * MJ_PER_PJ if moved else 0.0
        found.append(
            Sensitivity(
                name=operation.name,
                op=operation.op,
                firing_rate=gate.firing_rate,
                energy_mj=layer.energy_mj,
                per_point_mj=slope * POINT * gate.elements,
                per_tenth_mj=slope * TENTH * gate.nonzero,
            )
        )
    return sorted(found, key=lambda s: (-abs(s.per_tenth_mj), -abs(s.per_point_mj)))
