"""A Call: one execution of a synaptic operation, as its formula describes it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from saformer.analysis.recording.counting.counters import Counter


@dataclass(frozen=True)
class Call:
    """One execution of a synaptic operation.

    Args:
        op: conv2d, linear, matmul, product, ...
        dense: multiply-accumulates if nothing were skipped (fvcore's convention; biases not counted).
        operands: the activations: one for a layer with weights, two for a product of activations.
        weight: the weight tensor, if there is one.
        events: exact events per row: each nonzero with its true fan-out, or the pairs that meet.
        again: the operation on other operands (and weights), to count what zero weights leave out, or graded events.
        bias: elements of the bias vector, 0 without one.
        inner: k of a matrix product n x k times k x m.
        rows: shape whose first dimensions are those of `events`; default that of the first operand.
        stacked: images and steps can only be in the first dimension, the second holds channels.
        read: the tensors of the model that the operands stand for, where these were made from them.
        masked: minus infinity was added to the result, to rule something out.
        layer: written as an elementwise product: an operation where `weight` is one of the model's, and each element
            meets several of its elements.
        multiplies: real products that one product is: four of complex numbers.
        fan_out: outputs that each element of the one operand reaches, where these are as many: `events` are so many
            for each of its nonzeros.
        events_of: `events` of other operands of the same shapes, where these are the operator's first arguments.
    """

    op: str
    dense: int
    operands: tuple[Tensor, ...]
    weight: Tensor | None
    events: Callable[[int, Counter], Tensor]
    again: Callable[[Tensor, Tensor], Tensor]
    bias: int = 0
    inner: int = 0
    rows: torch.Size | None = None
    stacked: bool = False
    read: tuple[Tensor, ...] = ()
    masked: bool = False
    layer: bool = False
    multiplies: int = 1
    fan_out: int | None = None
    events_of: Callable[[int, Counter, Sequence[Tensor]], Tensor] | None = None
