"""Stand-ins for what public networks import and do not need to run.

`timm` lends them initialisers and decorators; the few that matter are written here. Any other module that an entry
names (`torchvision`, `cupy`, ...) becomes empty: whatever is imported from it can be called and does nothing.
"""

import collections.abc
import importlib.abc
import importlib.machinery
import itertools
import sys
import types
from collections.abc import Sequence
from typing import Any

from torch import nn


class _Members(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class Nothing(metaclass=_Members):
    """A class and a function that does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As a decorator it hands back what it decorates."""
        return args[0] if args and callable(args[0]) else self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Nothing()


class _Empty(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Members(name, (Nothing,), {})


class _DropPath(nn.Module):
    """Drops nothing: the networks are run in evaluation mode."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


def _to_2tuple(x: Any) -> tuple:
    return (
        tuple(x)
        if isinstance(x, collections.abc.Iterable) and not isinstance(x, str)
        else tuple(itertools.repeat(x, 2))
    )


_TIMM = {
    "to_2tuple": _to_2tuple,
    "trunc_normal_": nn.init.trunc_normal_,
    "DropPath": _DropPath,
    "register_model": lambda function: function,
    "_cfg": lambda **settings: settings,
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname.partition(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> types.ModuleType:
        module = _Empty(spec.name)
        module.__path__ = []
        if spec.name.partition(".")[0] == "timm":
            module.__dict__.update(_TIMM)
        return module

    def exec_module(self, module: types.ModuleType) -> None: ...


def install(names: Sequence[str]) -> None:
    """Let these packages be imported; installed ones are hidden."""
    if names:
        sys.meta_path.insert(0, _Finder(names))
