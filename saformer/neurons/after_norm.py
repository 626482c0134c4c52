"""Neurons behind a layer and its BatchNorm: one operator where nobody looks at what is between."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from saformer.native import fits, native
from saformer.neurons.layers import LIF
from saformer.steps import per_step


def passive(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Declare that a module's hook neither reads nor changes tensors: modules that it watches may run as one."""
    hook.passive = True  # type: ignore[attr-defined]
    return hook


def _watched(module: nn.Module) -> bool:
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return not all(getattr(hook, "passive", False) for hook in hooks)


def _plain(constant: Tensor) -> bool:
    return type(constant) in (Tensor, nn.Parameter) and constant.dtype is torch.float32


def _as_one(layer: nn.Module, norm: Any, neuron: nn.Module, x: Tensor) -> bool:
    """Whether norm and neuron may run as one operator, which writes over the layer's result: that is nobody else's,
    nobody looks at what is between, and no gradient is wanted.
    """
    return (
        type(layer) in (nn.Conv1d, nn.Conv2d, nn.Linear)
        and "forward" not in vars(layer)
        and type(neuron) is LIF
        and neuron.rule.plain
        and type(norm) in (nn.BatchNorm1d, nn.BatchNorm2d)
        and not norm.training
        and norm.running_mean is not None
        and fits(x)
        and x.is_contiguous()
        and all(t is None or _plain(t) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
        and native() is not None
        and not (any(map(_watched, (layer, norm, neuron))) or _has_any_global_hook())
        and not any(t is not None and t.requires_grad for t in (x, norm.weight, norm.bias) if torch.is_grad_enabled())
        and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
    )


def spikes_of(neuron: nn.Module, norm: nn.Module, layer: nn.Module, x: Tensor, channel: int = 2) -> Tensor:
    """`neuron(norm(layer(x)))`, T x B x ... from T x B x ...; channels are dimension 2, or the last (-1)."""
    y = per_step(layer, x)
    if _as_one(layer, norm, neuron, y):
        return neuron(y, norm, channel)
    # The statistics are per channel over all rows, so rows need no transposing for BatchNorm1d.
    return neuron(per_step(norm, y) if channel == 2 else norm(y.flatten(0, -2)).view_as(y))
