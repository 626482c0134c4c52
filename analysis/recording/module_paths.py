"""Which module runs: its path, and what happened inside it."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._C import _len_torch_dispatch_stack
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import _pop_mode, _push_mode

from saformer.analysis.recording.beforehand.plain_modules import is_scripted, named_modules
from saformer.errors import InputError
from saformer.naming import current_name
from saformer.neurons.after_norm import passive


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

    def __init__(self, model: nn.Module, whole: bool = False) -> None:
        """Look at a model.

        Args:
            model: it.
            whole: modules run one by one, even those that can run as one.
        """
        self._model, self._whole = model, whole
        self.modules = dict(named_modules(model))
        self.names = frozenset(self.modules)
        self._paths = {id(module): path for path, module in self.modules.items()}
        self.stack: list[Frame] = []
        self._norms: dict[int, nn.Module] = {}
        self._listener: Listener | None = None

    @contextmanager
    def watching(self, listener: Listener) -> Iterator[None]:
        """Follow every module that begins and ends inside."""
        hooks = []
        self._listener = listener
        self._norms = {id(m.running_mean): m for m in self.modules.values() if isinstance(m, _BatchNorm)}
        for path, module in self.modules.items():
            if is_scripted(module) and not isinstance(module, torch.jit.TopLevelTracedModule):
                raise InputError(f"{path or 'the model'} was compiled by torch.jit.script: give it as it was written")
            hooks.append(module.register_forward_pre_hook(self._enter, with_kwargs=True))
            hooks.append(module.register_forward_hook(self._leave, always_call=True, with_kwargs=True))
            if self._whole:
                hooks.append(module.register_forward_hook(_look))
        try:
            yield
        finally:
            self.stack.clear()
            self._listener = None
            for hook in hooks:
                hook.remove()

    @passive
    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self.stack.append(Frame(module, self._paths.get(id(module), "")))

    @passive
    def _leave(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        frame = self.stack.pop()
        if self._listener is not None:
            self._listener.leave_module(frame, (args, kwargs), output)
        if self.stack:
            self.stack[-1].weighted |= frame.weighted
            self.stack[-1].certain |= frame.certain
            self.stack[-1].comparisons += frame.comparisons

    @contextmanager
    def norm_before(self, mean: Tensor, x: Tensor, result: Tensor) -> Iterator[None]:
        """Inside, the BatchNorm with this running mean runs, before the module that computes it, too, has begun.

        Args:
            mean: its running mean.
            x: what it reads.
            result: what it puts out.
        """
        norm = self._norms.get(id(mean))
        if norm is None:  # one that the model hides
            yield
            return
        inner = self.stack.pop() if self.stack else None
        self._enter(norm, (x,), {})
        yield
        self._leave(norm, (x,), {}, result)
        if inner is not None:
            self.stack.append(inner)

    @property
    def current(self) -> Frame:
        """The innermost module that runs; the model, if none does."""
        if not self.stack:
            return Frame(self._model, "")
        return self.stack[-1]

    @property
    def place(self) -> tuple[str, str | None]:
        """Its path, and the name in force for products."""
        return self.path, current_name()

    @property
    def path(self) -> str:
        """Its path."""
        return self.stack[-1].path if self.stack else ""


@contextmanager
def unwatched() -> Iterator[None]:
    """Operators inside are our own arithmetic: no mode sees them."""
    modes = [_pop_mode() for _ in range(_len_torch_dispatch_stack())]
    try:
        yield
    finally:
        for mode in reversed(modes):
            _push_mode(mode)


def _look(module: nn.Module, args: Any, output: Any) -> None:
    """A hook that is not declared as passive."""


def of_torch(module: nn.Module) -> bool:
    """Whether a module is one of PyTorch's own."""
    return type(module).__module__.startswith("torch.nn")
