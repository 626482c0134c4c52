"""Which module runs: its path, and what happened inside it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from saformer.analysis.recording.plain_modules import is_scripted, named_modules
from saformer.errors import InputError


@dataclass
class Frame:
    """A module that is being executed, and what happened inside it."""

    module: nn.Module
    path: str
    used: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))  # names of its functions
    weighted: bool = False  # an operation with weights, or a product of different things, ran inside
    certain: bool = False  # it holds neurons that are so by their operator or their class
    comparisons: int = 0  # how often something was compared inside


class Listener(Protocol):
    """Who wants to know when modules begin and end."""

    def leave_module(self, frame: Frame, args: Any, output: Any) -> None:
        """A module ended."""


class ModulePaths:
    """The stack of modules that run, by hooks."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.modules = dict(named_modules(model))
        self.names = frozenset(self.modules)
        self._paths = {id(module): path for path, module in self.modules.items()}
        self.stack: list[Frame] = []

    @contextmanager
    def watching(self, listener: Listener) -> Iterator[None]:
        """Follow every module that begins and ends inside."""
        hooks = []

        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            self.stack.append(Frame(module, self._paths.get(id(module), "")))

        def leave(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            frame = self.stack.pop()
            listener.leave_module(frame, (args, kwargs), output)
            if self.stack:
                self.stack[-1].weighted |= frame.weighted
                self.stack[-1].certain |= frame.certain
                self.stack[-1].comparisons += frame.comparisons

        for path, module in self.modules.items():
            if is_scripted(module) and not isinstance(module, torch.jit.TopLevelTracedModule):
                raise InputError(f"{path or 'the model'} was compiled by torch.jit.script: give it as it was written")
            hooks.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            hooks.append(module.register_forward_hook(leave, always_call=True, with_kwargs=True))
        try:
            yield
        finally:
            self.stack.clear()
            for hook in hooks:
                hook.remove()

    @property
    def current(self) -> Frame:
        """The innermost module that runs; the model, if none does."""
        if not self.stack:
            return Frame(self._model, "")
        return self.stack[-1]

    @property
    def path(self) -> str:
        """Its path."""
        return self.stack[-1].path if self.stack else ""


def of_torch(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's own."""
    return type(module).__module__.startswith("torch.nn")
