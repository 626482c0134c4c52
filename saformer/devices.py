"""Tensors on their way to a device, and numbers on their way back."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device, without waiting for what the device has to do before.

    A copy to a GPU from pageable memory begins, and the caller goes on, when all that was asked of the GPU before is
    done; from pinned memory the copy is one more thing asked of it.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def numbers(tensors: Sequence[Tensor]) -> list[Any]:
    """Of each tensor what its `tolist` gives, with one copy, and one wait, for each device that they lie on."""
    places: dict[torch.device, list[int]] = {}
    for place, x in enumerate(tensors):
        places.setdefault(x.device, []).append(place)
    found: list[Any] = [None] * len(tensors)
    for here in places.values():
        flat = torch.cat([tensors[place].reshape(-1) for place in here]).cpu()
        parts = flat.split([tensors[place].numel() for place in here])
        for place, part in zip(here, parts, strict=True):
            found[place] = part.view(tensors[place].shape).tolist()
    return found
