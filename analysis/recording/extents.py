"""How large the elements of a tensor are, and whether some are zero: it shows that a product cannot overflow."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from saformer.analysis.recording.storage_map import StorageMap
from saformer.native import fits, native


@dataclass(frozen=True)
class Extent:
    """Of a tensor: its largest magnitude, infinite or NaN if one is, and whether elements are zero."""

    largest: float
    zeros: bool


class Extents:
    """Measures tensors of which nothing was written since; each once, as long as its memory lives."""

    def __init__(self) -> None:
        self._known: StorageMap[dict[tuple[object, ...], Extent]] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that was written into."""
        self._known.discard(x)

    def known(self, x: Tensor) -> Extent | None:
        """What was measured of `x`, if it was."""
        return (self._known.get(x) or {}).get(_view(x))

    def of(self, x: Tensor) -> Extent:
        """The extent of `x`."""
        views = self._known.get(x)
        if views is None:
            views = self._known[x] = {}
        key = _view(x)
        if key not in views:
            views[key] = _measured(x)
        return views[key]


def _view(x: Tensor) -> tuple[object, ...]:
    """What tells one view of a memory from another, whatever the order of its dimensions."""
    return x.storage_offset(), *sorted(zip(x.stride(), x.shape, strict=True))


def _measured(x: Tensor) -> Extent:
    if x.is_quantized or not x.numel():
        return Extent(inf, True)
    dense = x.flatten() if x.is_contiguous() else x.as_strided((x.numel(),), (1,)) if _dense(x) else x
    if fits(dense) and dense.is_contiguous() and (library := native()) is not None:
        largest, zeros = library.extent(dense)
        return Extent(largest, zeros > 0)
    sizes = x.abs()
    return Extent(float(sizes.max()), bool((sizes == 0).any()))


def _dense(x: Tensor) -> bool:
    return bool(torch.ops.aten.is_non_overlapping_and_dense(x))
