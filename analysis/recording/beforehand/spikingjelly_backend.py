"""SpikingJelly's neurons that ask for kernels of CuPy or Triton, told to use PyTorch on a machine without them.

Published networks ask for `backend="cupy"` where they are built, and SpikingJelly refuses (`clock_driven`, up to
0.0.0.0.12, by `check_backend`; `activation_based`, from 0.0.0.0.13, by `check_backend_library`). Its torch backend
computes the same spikes. Version 2 has no such choice.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import nn

from saformer.analysis.recording.beforehand.plain_modules import named_modules

_LIBRARY = {"spikingjelly", "clock_driven"}  # packages: its own, and copies in other repositories
_KERNELS = ("cupy", "triton")  # backends that are not PyTorch's own
_CHECKS = ("check_backend", "check_backend_library")
_ATTRIBUTES = ("backend", "_backend")


def _missing(backend: Any) -> bool:
    """A backend of kernels that this machine cannot run."""
    return backend in _KERNELS and (not torch.cuda.is_available() or find_spec(backend) is None)


def _of_library(module: nn.Module) -> bool:
    """Its class is SpikingJelly's, or of a copy of it in somebody's repository, or made from such a one."""
    return any(_is_library(base.__module__) for base in type(module).__mro__)


def is_multi_step(module: nn.Module) -> bool:
    """Neurons of SpikingJelly that take T x B x ...: by their mode, or by their class in the early versions."""
    if not hasattr(module, "v_threshold") or not _of_library(module):
        return False
    classes = {base.__name__ for base in type(module).__mro__}
    return getattr(module, "step_mode", None) == "m" or any(name.startswith("MultiStep") for name in classes)


def _is_library(name: str) -> bool:
    """A part of SpikingJelly by its name, or a single file copied from it by its check."""
    if not _LIBRARY.isdisjoint(name.split(".")):
        return True
    return any(callable(vars(sys.modules[name]).get(check)) for check in _CHECKS) if name in sys.modules else False


@contextmanager
def building_without_kernels() -> Iterator[list[str]]:
    """While a network is imported and built, its neurons get the torch backend in place of one that is missing.

    SpikingJelly need not be imported before.

    Yields:
        The classes of the neurons that were told so, each once; it grows.
    """
    told: list[str] = []
    replaced: list[tuple[ModuleType, str, Any]] = []
    set_attribute = nn.Module.__setattr__
    initialise = nn.Module.__init__

    def set_backend(module: nn.Module, name: str, value: Any) -> None:
        if name in _ATTRIBUTES and value in _KERNELS and _missing(value) and _of_library(module):
            value = "torch"
            if type(module).__name__ not in told:
                told.append(type(module).__name__)
        set_attribute(module, name, value)

    # Every module passes here before its own class checks its backend, and by then the check has been imported.
    def initialise_and_look(module: nn.Module, *args: Any, **kwargs: Any) -> None:
        initialise(module, *args, **kwargs)
        if _of_library(module):
            replaced.extend(_let_pass({base.__module__ for base in type(module).__mro__}))

    nn.Module.__setattr__ = set_backend  # type: ignore[assignment]
    nn.Module.__init__ = initialise_and_look  # type: ignore[method-assign, assignment]
    try:
        yield told
    finally:
        nn.Module.__setattr__ = set_attribute  # type: ignore[method-assign]
        nn.Module.__init__ = initialise  # type: ignore[method-assign]
        for home, name, check in replaced:
            setattr(home, name, check)


def _let_pass(homes: set[str]) -> Iterator[tuple[ModuleType, str, Any]]:
    """Replace the checks of the library, and of these modules, by ones that let a missing backend pass."""
    for name, home in list(sys.modules.items()):
        if (name not in homes and _LIBRARY.isdisjoint(name.split("."))) or not isinstance(home, ModuleType):
            continue
        for attribute in _CHECKS:
            check = vars(home).get(attribute)
            if callable(check) and not hasattr(check, "lets_pass"):
                setattr(home, attribute, _lenient(check))
                yield home, attribute, check


def _lenient(check: Any) -> Any:
    def lenient(backend: Any, *args: Any, **kwargs: Any) -> Any:
        return None if _missing(backend) else check(backend, *args, **kwargs)

    lenient.lets_pass = True  # type: ignore[attr-defined]
    return lenient


@contextmanager
def running_without_kernels(model: nn.Module, device: torch.device | str) -> Iterator[list[str]]:
    """While a network runs, its neurons use the torch backend where the one they ask for cannot run on the device.

    Yields:
        Paths of these neurons.
    """
    elsewhere = torch.device(device).type != "cuda"
    told: list[tuple[str, dict[str, Any], str, str]] = []
    for path, module in named_modules(model):
        held = vars(module)  # past the setter, whose check of a missing backend would also fail on the way back
        name = next((name for name in _ATTRIBUTES if name in held), None)
        asked = None if name is None else held[name]
        if asked in _KERNELS and (elsewhere or _missing(asked)) and _of_library(module):
            told.append((path, held, str(name), str(asked)))
            held[str(name)] = "torch"
    try:
        yield [path for path, _, _, _ in told]
    finally:
        for _, held, name, asked in told:
            held[name] = asked


def remark_on(told: list[str]) -> str:
    """The one sentence on the neurons, or classes of them, that were told to use PyTorch."""
    shown = ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")
    return (
        f"{shown}: SpikingJelly's kernels of CuPy or Triton cannot run here; its torch backend, which computes the "
        "same spikes, ran instead"
    )
