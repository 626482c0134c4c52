"""Modules that run before any input has reached them: layers in a pipeline, neurons that answer a step late.

What they read, or put out, in their first steps is a constant, the state at rest. It is an activation all the same: the
steps after it say so, and a step at which nothing has arrived is a step.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saformer.analysis.recording.lineage import Provenance


@dataclass(frozen=True)
class Late:
    """Paths of modules that at first read, or put out, what does not depend on the input, and later what does."""

    reads: frozenset[str] = frozenset()
    puts: frozenset[str] = frozenset()


class Calls:
    """What the modules of a forward pass read and put out, call by call: shapes, and whether it is an activation."""

    def __init__(self) -> None:
        self._reads: defaultdict[str, list[tuple[list[torch.Size], bool]]] = defaultdict(list)
        self._puts: defaultdict[str, list[tuple[list[torch.Size], bool]]] = defaultdict(list)

    def read(self, path: str, tensors: Sequence[Tensor], provenance: Provenance) -> None:
        """Note what a module is called with."""
        given = [x for x in tensors if x.is_floating_point()]
        if given:
            self._reads[path].append(([x.shape for x in given], any(map(provenance.is_activation, given))))

    def put(self, path: str, tensor: Tensor, provenance: Provenance) -> None:
        """Note what a module puts out."""
        if tensor.is_floating_point() or tensor.dtype == torch.bool:
            self._puts[path].append(([tensor.shape], provenance.is_activation(tensor)))

    def late(self) -> Late:
        """The modules that were late."""
        return Late(
            *(frozenset(path for path, seen in calls.items() if _late(seen)) for calls in (self._reads, self._puts))
        )


def _late(calls: list[tuple[list[torch.Size], bool]]) -> bool:
    """Whether constants alone come first, and activations of the same shapes after them."""
    reached = [active for _, active in calls]
    return sorted(reached) == reached and len(set(reached)) == 2 and all(shapes == calls[0][0] for shapes, _ in calls)
