"""Chains of linear layers with nothing between, which folding makes one layer of."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.analysis.profiles.profile import Profile
from saformer.analysis.profiles.records import RESULT_OF, Operation
from saformer.analysis.profiles.values import ValueClass


@dataclass(frozen=True)
class Chain:
    """Linear layers with nothing between: those after the first read what it put out, which is real.

    Args:
        first: the layer that reads something else.
        then: those that follow.
        on_spikes: the first reads spikes, sums or averages of them.
        dense_share: of those that follow, of the dense operations.
        kept: the network was folded, and this was left.
    """

    first: str
    then: tuple[str, ...]
    on_spikes: bool
    dense_share: float
    kept: bool = False


def chains_of(profile: Profile) -> list[Chain]:
    """Layers that read the result of another, or of a BatchNorm that folds into it, and nothing besides."""
    folds = {entry.name for entry in profile.free if entry.foldable}
    weighted = {o.name: o for o in profile.operations if o.weights}
    before = ""  # the layer before, in order of execution
    first_of: dict[str, str] = {}  # the first of the chain that a layer is in
    members: dict[str, list[Operation]] = {}
    for operation in weighted.values():
        source = operation.sources[0] if operation.sources else ""
        op, _, where = source.partition(" in ")
        linked = before if "batch_norm" in op and where in folds else source.removeprefix(RESULT_OF)
        before = operation.name
        if operation.gate.kind is not ValueClass.REAL or operation.first or linked not in weighted:
            continue
        first = first_of[operation.name] = first_of.get(linked, linked)
        members.setdefault(first, []).append(operation)
    dense = sum(o.dense for o in profile.operations)
    return [
        Chain(
            first,
            tuple(o.name for o in then),
            not weighted[first].first and weighted[first].gate.kind is not ValueClass.REAL,
            sum(o.dense for o in then) / dense,
            bool(profile.run.get("fold")),
        )
        for first, then in members.items()
    ]


def folding_of(chains: Sequence[Chain], them: str = "") -> str:
    """What folding makes of the chains, or that it left them.

    Args:
        chains: of one network.
        them: what the sentence calls them, with a space behind.
    """
    if any(chain.kept for chain in chains):
        return "folding (--fold) left these as they are"
    one = "one layer on spikes" if all(chain.on_spikes for chain in chains) else "one layer of each"
    return f"folding {them}(--fold) makes {one}"
