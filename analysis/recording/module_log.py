"""What the modules of a model put out in a run: shapes, zeros of activations, weights that were read, membranes."""

from collections import Counter as Tally
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from saformer.analysis.recording.beforehand.plain_modules import named_modules
from saformer.analysis.recording.observers.neuron_candidates import of_a_library
from saformer.analysis.recording.origins.constants import Constants
from saformer.analysis.recording.origins.storage_map import storage_id, tensors_in
from saformer.neurons import Neuron
from saformer.neurons.membranes import changed

# ReLU, Sigmoid and their like: what NeuroBench's activation sparsity looks at beside neurons.
_NO_ACTIVATIONS = (nn.MultiheadAttention, nn.Softmax, nn.Softmax2d, nn.LogSoftmax, nn.Softmin)


@dataclass(frozen=True)
class Weight:
    """A weight that an operation read: the module that holds it, its elements, and zeros among them."""

    path: str
    elements: int
    zeros: int


class ModuleLog:
    """Watches modules during the passes of a run. Integers are sums over all images and steps.

    Args:
        sums: count zeros and membrane updates, too; False for shapes and weights alone.
    """

    def __init__(self, sums: bool = True) -> None:
        self._sums = sums
        self.calls: Tally[str] = Tally()
        self.shapes: dict[str, tuple[tuple[int, ...], ...]] = {}
        self.weights: dict[Any, Weight] = {}
        #: Of activations that are no neurons: elements, and zeros among them.
        self.activations: Tally[str] = Tally()
        self.zeros: Tally[str] = Tally()
        #: Of neurons whose membranes can be seen: how often one changed.
        self.updates: Tally[str] = Tally()

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Follow every module during one forward pass."""
        hooks: list[Any] = []
        before: dict[str, list[Any]] = {}
        seen: Tally[str] = Tally()

        def enter(path: str, module: nn.Module, args: Any) -> None:
            state = _membrane(module, args)
            with _disable_current_modes():
                before.setdefault(path, []).append(None if state is None else state.clone())

        def leave(path: str, module: nn.Module, args: Any, output: Any) -> None:
            first, seen[path] = not seen[path], seen[path] + 1
            self.calls[path] += 1
            self.shapes[path] = tuple(tuple(x.shape) for x in tensors_in((output,)))
            if not self._sums:
                return
            with _disable_current_modes():
                if _is_activation(module) and isinstance(output, Tensor):
                    self.activations[path] += output.numel()
                    self.zeros[path] += output.numel() - int(output.count_nonzero())
                elif isinstance(module, Neuron):
                    self.updates[path] += changed(args[0], *module.learned(), module.rule)
                elif path in before:
                    after = _membrane(module, output if isinstance(output, tuple) else (output,))
                    self._book_updates(path, before[path].pop(), after, first)

        for path, module in named_modules(model):
            if self._sums and of_a_library(module):
                hooks.append(module.register_forward_pre_hook(_bound(enter, path)))
            hooks.append(module.register_forward_hook(_bound(leave, path)))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _book_updates(self, path: str, before: Tensor | None, after: Tensor | None, first: bool) -> None:
        """Add one step of a layer: at the first every membrane, then those that changed."""
        if after is None:
            return
        if before is None or first or before.shape != after.shape:
            self.updates[path] += after.numel()
        else:
            self.updates[path] += int(torch.ne(before, after).count_nonzero())

    def note_weight(self, operation: str, weight: Tensor, constants: Constants) -> None:
        """An operation read a weight; the same one, or the same part of one, is looked at once."""
        owners = constants.owners(weight)
        held = constants.holds(weight)
        key = (storage_id(weight), weight.storage_offset(), weight.numel()) if held else (operation, weight.numel())
        if key not in self.weights:
            path = owners[0].path if owners else operation
            self.weights[key] = Weight(path, weight.numel(), weight.numel() - int(weight.count_nonzero()))


def _bound(function: Any, path: str) -> Any:
    return lambda *args: function(path, *args)


def _is_activation(module: nn.Module) -> bool:
    """A nonlinearity of PyTorch's, as NeuroBench counts the zeros of."""
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(module, _NO_ACTIVATIONS)


def _membrane(module: nn.Module, given: tuple[Any, ...]) -> Tensor | None:
    """The membranes of a layer of SpikingJelly's or snnTorch's neurons; None where they cannot be seen.

    Args:
        module: the layer.
        given: what it was called with, or what it answered: snnTorch hands membranes through, as the last of several.
    """
    if getattr(module, "step_mode", "s") == "m":  # the steps within one call are not shown
        return None
    state = getattr(module, "v", None)
    if state is None:
        handed = [x for x in given if isinstance(x, Tensor)]
        state = handed[-1] if len(handed) > 1 else getattr(module, "mem", None)
    return state if isinstance(state, Tensor) else None
