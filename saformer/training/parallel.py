"""One network learning in several processes: the same steps as in one, to rounding.

Each process takes its share of every batch. BatchNorm sums its statistics over all of them, and gradients are summed by
DistributedDataParallel. With one process everything here does nothing.
"""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from saformer.distributed import total, world_size

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Total(torch.autograd.Function):
    """Sum over all processes. A loss depends on it in every process, so the gradient is summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return total(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


class _JointBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose statistics are those of all processes, for devices that torch.nn.SyncBatchNorm does not serve."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """Normalise B x C x ..., by the statistics of the batches of all processes while training."""
        if not self.training:
            return super().forward(input)
        x = input.float() if input.dtype in (torch.float16, torch.bfloat16) else input
        others = [axis for axis in range(x.ndim) if axis != 1]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = x.new_tensor([x.numel() // x.shape[1]])
        sums = _Total.apply(torch.cat([x.sum(others), count]))
        n = sums[-1].detach()
        mean = sums[:-1] / n
        centred = x - mean.view(shape)
        # The variance from what is left of the mean, as in one process: a difference of squares would cancel.
        variance = _Total.apply(centred.square().sum(others)) / n
        with torch.no_grad():
            for running, now in ((self.running_mean, mean), (self.running_var, variance * (n / (n - 1)))):
                if running is not None and self.momentum is not None:
                    running.lerp_(now.to(running.dtype), self.momentum)
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(input.dtype)


def join_batch_norms(model: nn.Module, device: torch.device) -> nn.Module:
    """Let every BatchNorm see the whole batch instead of the share of its process."""
    if world_size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for module in model.modules():
        if isinstance(module, _NORMS):
            # Parameters, statistics and settings are the same; only how they are used differs.
            module.__class__ = _JointBatchNorm  # type: ignore[assignment]
    return model


def share_gradients(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as it is called to learn: gradients become their mean over all processes."""
    if world_size() == 1:
        return model
    devices = [device.index] if device.type == "cuda" and device.index is not None else None
    # A depthwise kernel has one channel; what its stride is called there is no matter.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the newer name of the argument is not in PyTorch 2.6
        # Statistics are the same everywhere already.
        return nn.parallel.DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
