"""What a model keeps between calls: taken note of, and brought back, so that each batch starts alike."""

import dataclasses
from collections import deque
from collections.abc import Collection, Container, Iterable, Iterator
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.recording.beforehand.plain_modules import OF_EVERY_MODULE, is_scripted, named_modules
from saformer.devices import numbers

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
# How neurons of a library are brought to rest, by a word in the names of its modules; a copy inside a user's own
# repository (`src.spikingjelly`) counts as the library.
_RESETS = {"spikingjelly": "reset", "snntorch": "reset_mem", "sinabs": "reset_states", "rockpool": "reset_state"}


def reset_library_neurons(model: nn.Module) -> None:
    """Bring the neurons of SpikingJelly, snnTorch, sinabs and Rockpool to rest, by their own means."""
    for _, module in named_modules(model):
        kind: Any = type(module)
        for method in _resets_of(kind):
            reset = getattr(module, method, None)
            if callable(reset):
                reset()


@lru_cache(maxsize=4096)
def _resets_of(kind: Any) -> list[str]:
    """The methods that bring a module of this type to rest, if it has them."""
    homes = {part for base in kind.__mro__ for part in base.__module__.split(".")}
    return [method for library, method in _RESETS.items() if library in homes]


def _same_tensor(one: Tensor, other: Tensor) -> bool:
    """The same numbers; not-a-number is like itself."""
    if one.shape != other.shape or one.dtype != other.dtype or one.layout != other.layout:
        return False
    if torch.equal(one, other):
        return True
    return one.is_floating_point() and bool(((one == other) | ((one != one) & (other != other))).all())


#: Of tensors on devices: what stands in a place now, and what was kept of it.
_Pair = tuple[int, int]


def _found_alike(places: Iterable[tuple[Any, "_Kept"]]) -> set[_Pair]:
    """Places that hold what they held, of those whose tensors lie on a device; each device is waited for once."""
    answers: dict[_Pair, Tensor] = {}
    for now, kept in places:
        before = kept.content
        if isinstance(now, Tensor) and isinstance(before, Tensor) and before.device.type not in ("cpu", "meta"):
            here = (now.device, now.shape, now.dtype, now.layout)
            if here == (before.device, before.shape, before.dtype, torch.strided):
                answers[id(now), id(before)] = (now == before).all()
    return {pair for pair, alike in zip(answers, numbers(list(answers.values())), strict=True) if alike}


def _version(tensor: Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


class _Kept:
    """A value as it was: the object itself, and a copy of what it held if it is state."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.content: Any = None
        self.opaque = not _holds_state(value)
        #: What was kept is the object itself: nothing can have changed in it.
        self.fixed = self.opaque or isinstance(value, _PLAIN)
        if self.fixed:
            return
        if isinstance(value, Tensor):
            self.content = value.detach().clone()
            self.version = _version(value)
        elif isinstance(value, list | tuple | deque):
            self.content = [_Kept(item) for item in value]
        elif isinstance(value, dict):
            self.content = {key: _Kept(item) for key, item in value.items()}
        elif isinstance(value, set):
            self.content = set(value)
        elif _is_record(value):
            self.content = {key: _Kept(item) for key, item in vars(value).items()}

    def restore(self, alike: Container[_Pair] = ()) -> Any:
        """The same object, with what it held."""
        if self.fixed:
            return self.value
        if isinstance(self.value, Tensor):
            return self.value if self.held_by(self.value, alike) else self._restored_tensor()
        if isinstance(self.value, list):
            self.value[:] = [item.restore() for item in self.content]
        elif isinstance(self.value, deque):
            self.value.clear()
            self.value.extend([item.restore() for item in self.content])
        elif isinstance(self.value, tuple):
            for item in self.content:
                item.restore()
        elif isinstance(self.value, dict) or _is_record(self.value):
            held = self.value if isinstance(self.value, dict) else vars(self.value)
            contents = {key: item.restore() for key, item in self.content.items()}
            held.clear()
            held.update(contents)
        elif isinstance(self.value, set):
            self.value.clear()
            self.value.update(self.content)
        return self.value

    def _restored_tensor(self) -> Tensor:
        # Inference mode, as the run may have made the tensor in it: no other mode may write to such a one.
        with torch.inference_mode():
            try:
                if self.value.shape != self.content.shape:
                    self.value.resize_(self.content.shape)
                self.value.copy_(self.content)
            except (RuntimeError, NotImplementedError):  # sparse of another shape, expanded, ...
                self.value = self.content.clone()
        return self.value

    def held_by(self, now: Any, alike: Container[_Pair] = ()) -> bool:
        """What stands in this value's place now holds the same."""
        if (id(now), id(self.content)) in alike:
            return True
        if now is self.value and self.fixed:
            return True
        if self.opaque:
            return now is self.value
        if isinstance(self.value, Tensor):
            if not isinstance(now, Tensor):
                return False
            try:
                return _same_tensor(now, self.content)
            except (RuntimeError, NotImplementedError):  # sparse and meta tensors cannot be compared
                return now is self.value and _version(now) == self.version
        if type(now) is not type(self.value):
            return False
        if isinstance(self.value, list | tuple | deque):
            return len(now) == len(self.content) and all(
                kept.held_by(item) for kept, item in zip(self.content, now, strict=True)
            )
        if isinstance(self.value, dict) or _is_record(self.value):
            held = now if isinstance(now, dict) else vars(now)
            return held.keys() == self.content.keys() and all(k.held_by(held[key]) for key, k in self.content.items())
        if isinstance(self.value, set):
            return bool(now == self.content)
        return bool(now == self.value) or now != now  # not-a-number is like itself

    def at_rest(self) -> bool:
        """A tensor of one value throughout, or nothing but such: what a membrane is before its first input."""
        if isinstance(self.value, Tensor):
            try:
                flat = self.content.flatten()
                return flat.numel() == 0 or bool((flat == flat[0]).all())
            except (RuntimeError, NotImplementedError):
                return True
        if isinstance(self.content, list | dict):
            items: Iterable[_Kept] = self.content.values() if isinstance(self.content, dict) else self.content
            return all(item.at_rest() for item in items)
        return True


def _is_record(value: Any) -> bool:
    """An object of named values, and nothing else."""
    named = dataclasses.is_dataclass(value) or isinstance(value, SimpleNamespace)
    return named and hasattr(value, "__dict__") and not isinstance(value, type | nn.Module)


def _holds_state(value: Any) -> bool:
    """Numbers, text, tensors, and collections of these. Other objects are not looked into."""
    if isinstance(value, list | tuple | deque | set):
        return all(_holds_state(item) for item in value)
    if isinstance(value, dict):
        return all(_holds_state(item) for item in value.values())
    if _is_record(value):
        return all(_holds_state(item) for item in vars(value).values())
    return isinstance(value, (*_PLAIN, Tensor)) and not isinstance(value, nn.Parameter)


class _Names:
    """Named values of a module, as they were.

    Args:
        held: its attributes, or its buffers.
        others: names that are none of these.
    """

    def __init__(self, held: dict[str, Any], others: Collection[str] = ()) -> None:
        self.kept = {name: _Kept(value) for name, value in held.items() if name not in others}
        self._known = {*self.kept, *others}
        self._fixed = {name: kept.value for name, kept in self.kept.items() if kept.fixed}
        self._state = {name: kept for name, kept in self.kept.items() if not kept.fixed}

    def restore(self, held: dict[str, Any], alike: Container[_Pair]) -> None:
        """Bring them back; what came since is deleted."""
        for name in self.new(held):
            del held[name]
        held.update(self._fixed)
        for name, kept in self._state.items():
            held[name] = kept.restore(alike)

    def changed(self, held: dict[str, Any], alike: Container[_Pair]) -> list[tuple[str, _Kept | None]]:
        """Names of what is not as it was, with what was kept of it; None of what has come since."""
        found: list[tuple[str, _Kept | None]] = [
            (name, kept)
            for name, kept in self.kept.items()
            if name not in held or not ((kept.fixed and held[name] is kept.value) or kept.held_by(held[name], alike))
        ]
        return found + [(name, None) for name in self.new(held)]

    def new(self, held: dict[str, Any]) -> list[str]:
        """Values that have come since; kernels and functions, made once and kept, hold no state."""
        more = held.keys() - self._known
        return [name for name in held if name in more and not callable(held[name])] if more else []


class State:
    """Buffers and plain attributes of a model's modules, as they were when this was made.

    Neurons that a user wrote keep their membranes in such places. Libraries' neurons are brought to rest first.
    """

    def __init__(self, model: nn.Module) -> None:
        reset_library_neurons(model)
        self._model = model
        self._modules = [(path, module) for path, module in named_modules(model) if not is_scripted(module)]
        self._kept = [(_Names(vars(m), OF_EVERY_MODULE), _Names(m._buffers)) for _, m in self._modules]
        self._away = any(  # from the CPU, where comparing waits
            isinstance(kept.content, Tensor) and kept.content.device.type != "cpu"
            for names, _ in self._places()
            for kept in names.kept.values()
        )

    def _places(self) -> Iterator[tuple[_Names, dict[str, Any]]]:
        """What was kept, and where it is held."""
        for (_, module), (attributes, buffers) in zip(self._modules, self._kept, strict=True):
            yield attributes, vars(module)
            yield buffers, module._buffers

    def restore(self) -> None:
        """Bring the model back to that state; attributes that came since are deleted."""
        reset_library_neurons(self._model)
        every = (kept for names, _ in self._places() for kept in names.kept.values())
        alike = _found_alike((kept.value, kept) for kept in every) if self._away else set()
        for names, held in self._places():
            names.restore(held, alike)

    def changed(self) -> list[str]:
        """Paths of buffers and attributes that do not hold what they held: what calls since have left behind."""
        return [name for name, _ in self._changes()]

    def left_over(self) -> list[str]:
        """Of `changed()`, what was no constant to begin with: a call before this state was taken has left it there."""
        return [name for name, kept in self._changes() if kept is not None and not kept.at_rest()]

    def _changes(self) -> list[tuple[str, _Kept | None]]:
        """Names, with what was kept of them; None of what has come since."""
        every = ((n, k, held) for names, held in self._places() for n, k in names.kept.items() if n in held)
        alike = _found_alike((held[name], kept) for name, kept, held in every) if self._away else set()
        found: list[tuple[str, _Kept | None]] = []
        for (path, module), (attributes, buffers) in zip(self._modules, self._kept, strict=True):
            prefix = f"{path}." if path else ""
            changes = (*attributes.changed(vars(module), alike), *buffers.changed(module._buffers, alike))
            found += [(prefix + name, kept) for name, kept in changes]
        return found
