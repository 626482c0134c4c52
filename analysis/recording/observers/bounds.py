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
        self._norms: StorageMap[tuple[object, float, float]] = StorageMap()  # by their means
        self._statistics: StorageMap[bool] = StorageMap()  # of these

    def clear(self) -> None:
        """Forget everything but what is known of constants."""
        self._most.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that is written into."""
        self._most.discard(x)
        if x in self._statistics:
            self._norms.clear()

    def know(self, x: Tensor, most: float) -> None:
        """No magnitude in the memory of `x` is larger."""
        if x.is_floating_point() and most < torch.finfo(x.dtype).max / 2:  # however it was rounded on the way
            self._most[x] = most

    def prove(self, x: Tensor) -> bool:
        """Whether `x` is proven finite."""
        return x in self._most

    def follow(self, operator: Operator | None, func: Any, args: tuple[Any, ...], out: Any) -> bool:
        """An operator ran that is no synaptic operation; whether it is one that is followed.

        Args:
            operator: its entry; None if it has none.
            func: the operator.
            args: its arguments, if all are given by their places.
            out: its results.
        """
        x = args[0] if args else None
        if operator is None or not isinstance(x, Tensor) or not isinstance(out, Tensor) or x.device.type != "cpu":
            return False
        normalises = func._overloadpacket is _BATCH_NORM and not args[5]
        if not normalises and not (operator.pool and operator.binary):
            return False
        most = self._most.get(x)
        if most is not None:  # a pool: the largest of each window
            self.know(out, most if not normalises else self._normalised(most, args[1:5], args[7]))
        return True

    def _normalised(self, most: float, parameters: tuple[Tensor | None, ...], eps: float) -> float:
        """How large magnitudes up to `most` can be behind BatchNorm with these weights, biases, means and variances;
        not-a-number if these are.
        """
        weight, bias, mean, variance = parameters
        assert mean is not None
        key = (eps, *map(_what, parameters))
        known, factor, added = self._norms.get(mean) or (None, 0.0, 0.0)
        if known != key or not all(x is None or x in self._statistics for x in parameters):  # or one is gone
            factor, added = _slope_and_shift(weight, bias, mean, variance, eps)
            self._norms[mean] = (key, factor, added)
            for x in parameters:
                if x is not None:
                    self._statistics[x] = True
        return most * factor + added


def _what(x: Tensor | None) -> object:
    if x is None:
        return None
    version = None if x.is_inference() else x._version
    return storage_id(x), x.storage_offset(), x.shape, x.stride(), version


def _slope_and_shift(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor | None, eps: float
) -> tuple[float, float]:
    """By what magnitudes grow at most behind BatchNorm, and by what they are shifted at most."""
    assert variance is not None
    slope = (variance + eps).rsqrt()
    slope = slope if weight is None else slope * weight.abs()
    shift = mean.abs() * slope
    return float(slope.max()), float((shift if bias is None else shift + bias.abs()).max())


def _largest(x: Tensor, looks: Looks) -> float:
    """The largest magnitude in `x`; infinity where that cannot be told."""
    return looks.largest(x) if x.is_floating_point() else inf
