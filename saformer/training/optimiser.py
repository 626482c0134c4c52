"""AdamW, its learning rate over the steps, and the running mean of the weights."""

import math
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from saformer.training.recipe import Recipe


def build_optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over the model's parameters, with weight decay on those of more than one dimension."""
    # Biases and BatchNorm have one dimension. Decay would pull the scale of a BatchNorm, and with it the
    # firing rate of the neurons behind it, towards zero.
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of step 0, 1, ..., `steps` - 1. A run shorter than its warm-up ends inside it."""
    warmup = steps * recipe.warmup_epochs // recipe.epochs
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    lowest, highest = recipe.min_learning_rate, recipe.learning_rate
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def running_mean(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of the model whose weights and statistics follow it: mean = decay * mean + (1 - decay) * weights.

    The decay of step n is at most (1 + n) / (10 + n), so that the first, random weights are soon forgotten.
    """

    def follow(means: Any, currents: Any, _: Any) -> None:
        if not means[0].is_floating_point():  # counts of batches
            torch._foreach_copy_(means, currents)
            return
        # Asked here and not of the argument, which lies on the device: to read it is to wait for the device.
        n = int(mean.n_averaged)
        torch._foreach_lerp_(means, currents, 1 - min(decay, (1 + n) / (10 + n)))

    mean = AveragedModel(model, multi_avg_fn=follow, use_buffers=True)
    return mean
