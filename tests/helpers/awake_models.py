"""Small models of ours in which every layer fires."""

from typing import Any

import torch
from torch import Tensor, nn

import saformer
from saformer.models.config import Model


def calibrated(model: nn.Module, x: Tensor, linear: bool = False) -> nn.Module:
    """The model in evaluation mode, its BatchNorm calibrated on `x`; `linear`: with larger weights of linear layers."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.bias, 0.4, 0.3)
            module.momentum = None
        if linear and isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)
    model.train()
    with torch.no_grad():
        model(x)
    return model.eval().requires_grad_(False)


def awake(name: str, seed: int = 0, batch: int = 4, **settings: Any) -> tuple[Model, Tensor]:
    """A small model in float64 with calibrated BatchNorm, so that spikes exist, and a batch of its input."""
    torch.manual_seed(seed)
    model = saformer.build(name, **settings).double()
    config = model.config
    shape = (config.in_channels, config.image_size, config.image_size)
    if config.input_kind == "events":
        x = torch.poisson(torch.full((batch, config.time_steps, *shape), 0.4, dtype=torch.float64))
    else:
        x = torch.randn(batch, *shape, dtype=torch.float64)
    calibrated(model, x, linear=True)
    return model, x
