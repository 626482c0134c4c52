"""What a model keeps between calls: taken note of, and brought back, so that each batch starts alike."""

from typing import Any

import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def reset_library_neurons(model: nn.Module) -> None:
    """Bring the neurons of SpikingJelly and snnTorch to rest, by their own means."""
    for module in model.modules():
        library = type(module).__module__.partition(".")[0]
        bases = {base.__module__.partition(".")[0] for base in type(module).__mro__}
        if "spikingjelly" in bases or library == "spikingjelly":
            reset = getattr(module, "reset", None)
        elif "snntorch" in bases:
            reset = getattr(module, "reset_mem", None)
        else:
            continue
        if callable(reset):
            reset()


class _Kept:
    """A value as it was: the object itself, and a copy of what it held."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.content: Any = None
        if isinstance(value, Tensor):
            self.content = value.detach().clone()
        elif isinstance(value, list | tuple):
            self.content = [_Kept(item) for item in value]
        elif isinstance(value, dict):
            self.content = {key: _Kept(item) for key, item in value.items()}

    def restore(self) -> Any:
        """The same object, with what it held."""
        if isinstance(self.value, Tensor):
            with torch.no_grad():
                if self.value.shape != self.content.shape:
                    self.value.resize_(self.content.shape)
                if not torch.equal(self.value, self.content):
                    self.value.copy_(self.content)
        elif isinstance(self.value, list):
            self.value[:] = [item.restore() for item in self.content]
        elif isinstance(self.value, tuple):
            for item in self.content:
                item.restore()
        elif isinstance(self.value, dict):
            contents = {key: item.restore() for key, item in self.content.items()}
            self.value.clear()
            self.value.update(contents)
        return self.value


def _holds_state(value: Any) -> bool:
    """Numbers, text, tensors, and collections of these. Other objects are not looked into."""
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(_holds_state(item) for item in value)
    if isinstance(value, dict):
        return all(_holds_state(item) for item in value.values())
    return isinstance(value, (*_PLAIN, Tensor)) and not isinstance(value, nn.Parameter)


class State:
    """Buffers and plain attributes of a model's modules, as they were when this was made.

    Neurons that a user wrote keep their membranes in such places. Libraries' neurons are brought to rest first.
    """

    def __init__(self, model: nn.Module) -> None:
        reset_library_neurons(model)
        self._model = model
        self._modules = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
        self._kept = [(self._of(module), self._buffers(module)) for module in self._modules]

    @staticmethod
    def _of(module: nn.Module) -> dict[str, _Kept]:
        found = {k: v for k, v in vars(module).items() if k not in _OF_EVERY_MODULE}
        return {name: _Kept(value) for name, value in found.items() if _holds_state(value)}

    @staticmethod
    def _buffers(module: nn.Module) -> dict[str, _Kept]:
        return {name: _Kept(value) for name, value in module._buffers.items()}

    def restore(self) -> None:
        """Bring the model back to that state; attributes that came since are deleted."""
        reset_library_neurons(self._model)
        for module, (attributes, buffers) in zip(self._modules, self._kept, strict=True):
            held = vars(module)
            for name in [n for n in held if n not in _OF_EVERY_MODULE and n not in attributes]:
                if _holds_state(held[name]):
                    del held[name]
            for name, kept in attributes.items():
                held[name] = kept.restore()
            for name in [n for n in module._buffers if n not in buffers]:
                del module._buffers[name]
            for name, kept in buffers.items():
                module._buffers[name] = kept.restore()
