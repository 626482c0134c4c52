"""Memory layout of what neurons read: one dense plane per time step."""

import torch
from torch import Tensor


def planes(x: Tensor) -> Tensor:
    """`x`, or a copy, with one dense plane of memory per step, one after the other.

    Each neuron is on its own, so what order a plane is in does not matter: channels-last stays channels-last, and the
    layers around the neurons need not put it back.
    """
    dense = torch.ops.aten.is_non_overlapping_and_dense(x)
    return x if dense and (len(x) == 1 or x.stride(0) * len(x) == x.numel()) else x.contiguous()


def flat(x: Tensor) -> Tensor:
    """A view of `planes`, T x neurons."""
    neurons = x.numel() // max(len(x), 1)
    return x.as_strided((len(x), neurons), (neurons, 1))


def laid_out_as(x: Tensor, tensor: Tensor) -> Tensor:
    """`tensor`, or a copy, in the memory layout of `planes` x of the same shape."""
    return tensor if tensor.stride() == x.stride() else torch.empty_like(x, dtype=tensor.dtype).copy_(tensor)
