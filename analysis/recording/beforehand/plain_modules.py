"""Modules as PyTorch itself sees them, whatever a class makes of its methods, and the ones that PyTorch does not see.

A library may replace `parameters()` by something of its own, a network may have an `eval()` that returns nothing,
layers may lie in a plain list: what is here asks `nn.Module`, and looks into lists.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import nn

OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_COLLECTIONS = (list, tuple, dict)  # a union would be made anew at every look
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(model: nn.Module) -> nn.Module:
    """What DataParallel, DistributedDataParallel or torch.compile was given: its paths are the names."""
    while True:
        inner = model.module if isinstance(model, _WRAPPERS) else getattr(model, "_orig_mod", model)
        if inner is model or not isinstance(inner, nn.Module):
            return model
        model = inner


def is_scripted(module: nn.Module) -> bool:
    """The module was compiled by torch.jit; with PYTORCH_JIT=0 its classes are plain ones, which run as written."""
    return isinstance(module, torch.jit.ScriptModule) and bool(torch.jit._state._enabled.enabled)


def named_modules(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Every module with its path, the model itself first, as ''.

    After those that PyTorch knows come modules in plain lists, tuples and dictionaries, with the names that a
    `ModuleList` or `ModuleDict` would give them.
    """
    seen: set[nn.Module] = set()
    found = list(nn.Module.named_modules(model, seen))
    for path, module in found:  # grows while it is read: a hidden module may hide others
        for name, hidden in _in_collections(module):
            if hidden not in seen:
                found += nn.Module.named_modules(hidden, seen, f"{path}.{name}" if path else name)
    return found


def hidden_modules(model: nn.Module) -> list[str]:
    """Paths of what `named_modules` finds and PyTorch does not: `parameters()`, `to()` and `eval()` pass it over."""
    known = {id(module) for _, module in nn.Module.named_modules(model)}
    return [path for path, module in named_modules(model) if id(module) not in known]


def parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of every module, each once."""
    found = {
        id(parameter): parameter
        for _, module in named_modules(model)
        for _, parameter in nn.Module.named_parameters(module, recurse=False)
    }
    return list(found.values())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, of every module: BatchNorm must not learn from being measured."""
    modules = [module for _, module in named_modules(model)]
    training = [module for module in modules if module.training]
    evaluate(model)
    try:
        yield
    finally:
        for module in training:
            module.training = True


def evaluate(model: nn.Module) -> None:
    """Evaluation mode of every module: by the model's own `eval()`, and where that leaves a module out all the same."""
    # Of a `train()` without the argument that PyTorch's `eval()` gives it; of an exported module, which refuses both.
    with suppress(TypeError, NotImplementedError):
        model.eval()
    for _, module in named_modules(model):
        if module.training:
            module.training = False


def _in_collections(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Modules in plain collections among a module's attributes."""
    for name, value in list(vars(module).items()):
        if name not in OF_EVERY_MODULE and isinstance(value, _COLLECTIONS):
            yield from _modules_in(name, value, set())


def _modules_in(
    name: str, value: list[Any] | tuple[Any, ...] | dict[Any, Any], outer: set[int]
) -> Iterator[tuple[str, nn.Module]]:
    if id(value) in outer:
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, nn.Module):
            yield f"{name}.{key}", item
        elif isinstance(item, _COLLECTIONS):
            yield from _modules_in(f"{name}.{key}", item, outer | {id(value)})
