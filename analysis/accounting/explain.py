"""Why two accountings of one network disagree: what each charges otherwise than `paper`, in words and millijoules."""

from collections import defaultdict
from dataclasses import dataclass
from math import isclose

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.analysis.accounting.classes import starred
from saformer.analysis.profiles import ValueClass


@dataclass(frozen=True)
class Disagreement:
    """One reason for which an accounting differs from the reference.

    Args:
        reason: what is charged otherwise.
        names: the operations, numbers of repeated blocks replaced by a star.
        energy_mj: what it adds (or takes away) per image; None on hardware without the energy for it.
    """

    reason: str
    names: tuple[str, ...]
    energy_mj: float | None


def differences(account: Account, reference: Account) -> list[Disagreement]:
    """What `account` charges otherwise than `reference`, largest change of energy first.

    Args:
        account: of the same profile and on the same hardware as `reference`.
        reference: usually the account under `paper`.
    """
    before = {(layer.name, layer.op): layer for layer in reference.layers}
    groups: defaultdict[str, list[tuple[str, float | None]]] = defaultdict(list)
    for layer in account.layers:
        old = before.get((layer.name, layer.op))
        if old is None:
            reason = f"{layer.op} charged " + _count(layer)
            groups[reason].append((layer.name, layer.energy_mj))
        elif not (isclose(layer.macs, old.macs) and isclose(layer.acs, old.acs)):  # products in another order
            change = None if layer.energy_mj is None or old.energy_mj is None else layer.energy_mj - old.energy_mj
            groups[_reason(layer, old)].append((layer.name, change))
    found = []
    for reason, members in groups.items():
        changes = [change for _, change in members]
        total = None if None in changes else sum(change for change in changes if change is not None)
        found.append(Disagreement(reason, starred(name for name, _ in members), total))
    return sorted(found, key=lambda d: -abs(d.energy_mj or 0.0))


_HOLDS = {
    None: "not binary",
    ValueClass.SILENT: "silent",
    ValueClass.SPIKES: "spikes",
    ValueClass.TERNARY: "spikes of both signs",
    ValueClass.GRADED: "whole multiples of a unit",
    ValueClass.AVERAGED: "averaged",
    ValueClass.UNPROVEN: "unproven",
    ValueClass.REAL: "real values",
}


def _holds(layer: LayerAccount) -> str:
    """What an operation reads, in words."""
    other_height = layer.kind is ValueClass.SPIKES and not layer.binary
    return "spikes of another height than 1" if other_height else _HOLDS[layer.kind]


def _how(layer: LayerAccount) -> str:
    if layer.macs >= layer.flops:
        return "dense"
    return "at the nonzero rate" if isclose(layer.macs, layer.sops) else "by events"


def _count(layer: LayerAccount) -> str:
    kinds = [kind for kind, value in (("MACs", layer.macs), ("ACs", layer.acs)) if value]
    return " and ".join(kinds)


def _reason(layer: LayerAccount, old: LayerAccount) -> str:
    if not layer.macs and not layer.acs:
        return "not seen, charged nothing"
    product = layer.op in ("matmul", "product")
    holds = _holds(layer)
    if layer.macs and old.acs:
        return f"{holds}: charged MACs, {_how(layer)}"
    if layer.acs and old.macs:
        return f"{'the input is binary' if layer.binary else holds}: charged ACs"
    new, was = layer.macs or layer.acs, old.macs or old.acs
    if layer.macs and layer.kind is ValueClass.REAL and isclose(layer.macs, layer.sops):
        return f"{holds}: charged MACs, {_how(layer)}"
    if layer.acs and layer.kind in (ValueClass.GRADED, ValueClass.AVERAGED) and new > was:
        return "whole multiples unrolled: as many ACs as they count"
    if product:
        return "pairs that meet" if new == layer.sops_exact else "by a formula of its own"
    if new == layer.sops_exact:
        return "an edge spike reaches fewer outputs"
    if new > was:
        return "biases are counted"
    return "events at zero weights are left out" if new < layer.sops_exact else "counted otherwise"
