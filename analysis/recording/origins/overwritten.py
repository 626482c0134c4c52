"""Spikes written over a membrane: which of its elements were chosen by comparisons, and replaced by constants."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.recording.counting.counters import broadcast
from saformer.analysis.recording.origins.sources import Provenance, Source

aten = torch.ops.aten
Sources = Callable[[Tensor], Source | None]


def chosen_by(func: Any, args: tuple[Any, ...], source_of: Sources) -> Tensor | None:
    """Which elements of the result of `where`, `masked_fill` or `index_put` are constants that comparisons put there,
    now and before; None where it is something else that is chosen, or that chooses.

    Args:
        func: the operator.
        args: its arguments.
        source_of: where an activation comes from; None for a constant.
    """
    packet = func._overloadpacket
    if packet is aten.where:
        if len(args) != 3:
            return None
        mask, one, other = args
        kept, constant, where = (other, one, mask) if _real(other, source_of) else (one, other, None)
        if where is None:
            where = mask.logical_not()
        by = [mask]
    elif packet in (aten.masked_fill, aten.masked_fill_):
        kept, mask, constant = args[:3]
        where, by = mask, [mask]
    else:
        kept, indices, constant = args[:3]
        where, by = indices, [index for index in indices if index is not None]
    if not _real(kept, source_of) or _depends(constant, source_of) or not all(_compared(x, source_of) for x in by):
        return None
    source = source_of(kept)
    before = None if source is None else source.overwritten
    if before is None or before.shape != kept.shape or before.stride() != kept.stride():
        before = torch.zeros_like(kept, dtype=torch.bool)
    if isinstance(where, Tensor):
        return before | where if broadcast(where.shape, kept.shape) == kept.shape else None
    return before.index_put(where, torch.ones((), dtype=torch.bool, device=before.device))


def _real(x: Any, source_of: Sources) -> bool:
    return isinstance(x, Tensor) and (source := source_of(x)) is not None and source.provenance is not Provenance.SPIKES


def _depends(x: Any, source_of: Sources) -> bool:
    return isinstance(x, Tensor) and source_of(x) is not None


def _compared(x: Tensor, source_of: Sources) -> bool:
    """A mask that is the answer of a comparison, or the places of one."""
    source = source_of(x)
    return source is not None and (source.provenance is Provenance.SPIKES or source.places is not None)
