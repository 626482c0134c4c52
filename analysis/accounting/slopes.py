"""How the energy moves with the counters: what intervals and sensitivities are made of."""

from collections.abc import Callable
from dataclasses import replace

from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import Accounting, Charge, Context
from saformer.analysis.profiles import Operation, Profile


def picojoules(charge: Charge, hardware: Hardware) -> float | None:
    """What a charge costs; None where MACs are charged and the hardware has no energy for one."""
    acs = charge.acs * hardware.ac_pj
    if not charge.macs:
        return acs
    return None if hardware.mac_pj is None else charge.macs * hardware.mac_pj + acs


def _more(operation: Operation, counter: int) -> Operation:
    """The operation with one more in the given counter (nonzeros of an operand, then events), its kind unchanged."""
    if counter == len(operation.operands):
        share = (operation.events + 1) / operation.events if operation.events else 1.0
        graded = None if operation.graded is None else operation.graded * share
        return replace(operation, events=operation.events + 1, effective=operation.effective * share, graded=graded)
    operands = list(operation.operands)
    operands[counter] = operands[counter].at(operands[counter].nonzero + 1)
    return replace(operation, operands=tuple(operands))


Change = Callable[[Operation, Operation], float]


def change_of_energy(profile: Profile, charge: Accounting, context: Context, hardware: Hardware) -> Change:
    """Picojoules that one operation in the place of another adds, over all images; what has no energy adds nothing.

    Beside its own, the charges of the products of activations in the same module may change: an accounting may look
    from one product of an attention at the other.
    """
    products: dict[str, list[Operation]] = {}
    for operation in profile.operations:
        if len(operation.operands) > 1:
            products.setdefault(operation.name.rpartition(".")[0], []).append(operation)

    def change(operation: Operation, to: Operation) -> float:
        beside = [o for o in products.get(operation.name.rpartition(".")[0], ()) if o is not operation]
        changed = replace(context, operations={**context.operations, operation.name: to})
        pairs = [
            (picojoules(charge(then, changed), hardware), picojoules(charge(now, context), hardware))
            for then, now in ((to, operation), *((o, o) for o in beside))
        ]
        return sum(then - now for then, now in pairs if then is not None and now is not None)

    return change


def slopes(profile: Profile, charge: Accounting, context: Context, hardware: Hardware) -> list[float]:
    """Picojoules that one more of each counter costs.

    Accountings are linear in the counts (or piecewise so), hence this is the exact slope, and the variance of the
    energy follows from the moments of the counts whatever the accounting. What is not in the energy has no slope.
    """
    change = change_of_energy(profile, charge, context, hardware)
    found = [change(o, _more(o, counter)) for o in profile.operations for counter in range(len(o.operands) + 1)]
    if len(found) + 1 < len(profile.moments.sums):  # earlier versions kept no moments of pools
        for pool in profile.pools:
            x = pool.operand
            assert x is not None  # what makes it one of `pools`
            one_more = replace(pool, operand=x.at(x.nonzero + 1))
            now, then = (picojoules(charge(item, context), hardware) for item in (one_more, pool))
            found.append(0.0 if now is None or then is None else now - then)
    return found
