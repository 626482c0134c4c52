"""How large results can be: what is proven finite need not be looked at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.recording.counting.counters import Counter
from saformer.analysis.recording.counting.looks import Looks
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.operators import IsActivation, Operator
from saformer.analysis.recording.origins.storage_map import StorageMap, storage_id

_BATCH_NORM = torch.ops.aten.batch_norm


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
        cls, call: Call, out: Tensor, inputs: Iterable[Tensor], weights: Looks, is_activation: IsActivation
    ) -> "Bound":
        """The bound of an operation.

        Args:
            call: it.
            out: its result.
            inputs: the tensors that its operator read.
            weights: looks at constants.
            is_activation: whether one of them is no constant, of which one look is enough for all batches.
        """
        if not out.is_floating_point() or not out.numel():
            return cls(inf, inf)
        read = [] if call.weight is None else [call.weight]
        held = {storage_id(x) for x in (*call.operands, *read)}
        added = [x for x in inputs if storage_id(x) not in held]
        if any(map(is_activation, added)):
            return cls(inf, inf)
        varying = tuple(i for i, x in enumerate(call.operands) if is_activation(x))
        constant = [x for i, x in enumerate(call.operands) if i not in varying]
        factor = call.dense / out.numel()
        for x in (*constant, *read):
            factor *= _largest(x, weights)
        return cls(factor, sum(_largest(x, weights) for x in added), varying)

    def most(self, operands: Sequence[Tensor], out: Tensor, counter: Counter) -> float:
        """The largest magnitude that the result can have; infinite where that cannot be told.

        Activations that were not looked at by now are, where that is cheaper than a look at the result.
        """
        most = self.factor
        if most + self.added == inf:
            return inf
        for x in (operands[i] for i in self.varying):
            if counter.is_binary(x):
                continue
            largest = counter.looks.most(x)
            if largest is None:
                if x.device.type != "cpu" or x.numel() > out.numel():
                    return inf
                largest = _largest(x, counter.looks)
            most *= largest
        return most + self.added


class Bounds:
    """Follows them through BatchNorm and pools, by the memory of what is bounded."""

    def __init__(self) -> None:
        self._most: StorageMap[float] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self._most.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that is written into."""
        self._most.discard(x)

    def know(self, x: Tensor, most: float) -> None:
        """No magnitude in the memory of `x` is larger."""
        if x.is_floating_point() and most < torch.finfo(x.dtype).max / 2:  # however it was rounded on the way
            self._most[x] = most

    def prove(self, x: Tensor) -> bool:
        """Whether `x` is proven finite."""
        return x in self._most

    def follow(self, operator: Operator | None, func: Any, args: tuple[Any, ...], out: Any) -> None:
        """An operator ran that is no synaptic operation.

        Args:
            operator: its entry; None if it has none.
            func: the operator.
            args: its arguments, if all are given by their places.
            out: its results.
        """
        x = args[0] if args else None
        if not isinstance(x, Tensor) or not isinstance(out, Tensor) or x.device.type != "cpu":
            return
        most = self._most.get(x)
        if most is None or operator is None:
            return
        if func._overloadpacket is _BATCH_NORM and not args[5]:
            weight, bias, mean, variance = args[1:5]
            self.know(out, _normalised(most, weight, bias, mean, variance, args[7]))
        elif operator.pool and operator.binary:  # the largest of each window
            self.know(out, most)


def _normalised(
    most: float, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> float:
    """How large magnitudes up to `most` can be behind BatchNorm with these statistics; not-a-number if these are."""
    largest = (mean.abs() + most) * (variance + eps).rsqrt()
    largest = largest if weight is None else largest * weight.abs()
    largest = largest if bias is None else largest + bias.abs()
    return float(largest.max())


def _largest(x: Tensor, looks: Looks) -> float:
    """The largest magnitude in `x`; infinity where that cannot be told."""
    return looks.largest(x) if x.is_floating_point() else inf
