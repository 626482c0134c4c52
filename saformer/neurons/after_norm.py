"""A layer, BatchNorm and neurons in a row, by operators of ours where nobody looks at what is between."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from saformer.native.passes import fits, native
from saformer.neurons.batch_norm import Normalising, following, works
from saformer.neurons.layers import LIF
from saformer.neurons.weighing import weighed
from saformer.neurons.weighing import works as weighs
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


def _unwatched(*modules: nn.Module) -> bool:
    """Whether modules may run as operators of ours: nobody looks at what they read and put out, or has changed them."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    own = not any("forward" in vars(module) for module in modules)
    return own and not (any(map(_watched, modules)) or _has_any_global_hook())


def _known(norm: Any) -> bool:
    if type(norm) not in (nn.BatchNorm1d, nn.BatchNorm2d):  # such as what is left of one that was folded
        return False
    return all(t is None or _plain(t) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))


def _as_one(layer: nn.Module, norm: Any, neuron: nn.Module, x: Tensor, channel: int) -> bool:
    """Whether norm and neuron may run as one operator.

    In evaluation it writes over the layer's result, which is nobody else's; a gradient may not be wanted then.
    """
    return (
        _unwatched(layer, norm, neuron)
        and type(layer) in (nn.Conv1d, nn.Conv2d, nn.Linear)
        and type(neuron) is LIF
        and neuron.rule.plain
        and _known(norm)
        and (_fits_training(norm, x, channel, True) if _wants_gradient(norm, x) else _fits_evaluation(norm, x))
    )


def _wants_gradient(norm: Any, x: Tensor) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, norm.weight, norm.bias))


def _fits_evaluation(norm: Any, x: Tensor) -> bool:
    running = norm.running_mean is not None and not norm.training
    return running and fits(x) and x.is_contiguous() and native() is not None


def _fits_training(norm: Any, x: Tensor, channel: int, fires: bool) -> bool:
    own = norm.training or norm.running_mean is norm.running_var is None
    return own and works(x, channel, fires) and x.shape[channel] == norm.num_features


def per_step_weighed(layer: nn.Module, x: Tensor) -> Tensor:
    """`per_step(layer, x)`, for a layer that may read spikes."""
    return weighed(layer, x) if weighs(layer, x) and _unwatched(layer) else per_step(layer, x)


def normalised(norm: Any, x: Tensor, channel: int = 2) -> Tensor:
    """What a BatchNorm makes of T x B x ...; channels are dimension 2, or the last (-1)."""
    if _unwatched(norm) and _known(norm) and _wants_gradient(norm, x) and _fits_training(norm, x, channel, False):
        return Normalising.apply(x, norm.weight, norm.bias, *following(norm), norm.eps, channel)
    # The statistics are per channel over all rows, so rows need no transposing for BatchNorm1d.
    return per_step(norm, x) if channel == 2 else norm(x.flatten(0, -2)).view_as(x)


def spikes_of(neuron: nn.Module, norm: nn.Module, layer: nn.Module, x: Tensor, channel: int = 2) -> Tensor:
    """`neuron(norm(layer(x)))`, T x B x ... from T x B x ...; channels are dimension 2, or the last (-1)."""
    y = per_step_weighed(layer, x)
    if _as_one(layer, norm, neuron, y, channel):
        return neuron(y, norm, channel)
    return neuron(normalised(norm, y, channel))
