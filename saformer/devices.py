"""Tensors on their way to a device."""

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
