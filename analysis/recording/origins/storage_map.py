"""Facts about tensors, kept by their storage for as long as it lives."""

import weakref
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, UntypedStorage

from saformer.errors import InputError

V = TypeVar("V")

_SEQUENCES = (list, tuple)  # a union would be made anew at every look


def storage_of(x: Tensor) -> UntypedStorage:
    """The memory of a tensor.

    Raises:
        InputError: it has none of its own.
    """
    try:
        return x.untyped_storage()
    except NotImplementedError:
        kind = "sparse tensors" if x.layout is not torch.strided else "tensors of torch.vmap, or of a kind of their own"
        raise InputError(f"the model computes with {kind}: what depends on the input is lost there") from None


def storage_id(x: Tensor) -> int:
    """What all views of one storage have in common."""
    return storage_of(x)._cdata


def tensors_in(values: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, tuples and dictionaries, in order."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, _SEQUENCES):
            yield from tensors_in(value)
        elif isinstance(value, dict):
            yield from tensors_in(value.values())


def written_into(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors among its arguments that an operator says it writes into."""
    written = _written(func)
    if not written:
        return []
    return list(tensors_in(args[place] if place < len(args) else kwargs.get(name) for place, name in written))


@lru_cache(maxsize=4096)  # a schema is read anew each time that it is asked for
def _written(func: Any) -> tuple[tuple[int, str], ...]:
    """Places and names of the arguments that an operator says it writes into."""
    declared = enumerate(func._schema.arguments)
    return tuple((i, a.name) for i, a in declared if a.alias_info is not None and a.alias_info.is_write)


class Place:
    """What a tensor shows of its memory; nothing is kept alive."""

    __slots__ = ("_at", "_dtype")

    def __init__(self, x: Tensor) -> None:
        self._at, self._dtype = (x.shape, x.stride(), x.storage_offset()), x.dtype

    def shown_by(self, x: Tensor) -> Tensor | None:
        """The tensor again, from any other of the same memory; None if that has shrunk since."""
        try:
            if x.dtype is not self._dtype:
                x = torch.empty(0, dtype=self._dtype, device=x.device).set_(storage_of(x))
            return x.as_strided(*self._at)
        except RuntimeError:  # out of bounds
            return None


class StorageMap(Generic[V]):
    """Maps tensors to values; all views of one storage share an entry, which goes when the memory is freed.

    Nothing here keeps memory alive, not even the storage's own header: headers that outlive their data pin the
    allocator's heap in small pieces, which doubled the peak memory of a run.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[object], V]] = {}

    def __setitem__(self, x: Tensor, value: V) -> None:
        storage = storage_of(x)
        key = storage._cdata
        entries = self._entries
        entries[key] = (weakref.ref(storage, lambda _: entries.pop(key, None)), value)

    def __contains__(self, x: Tensor) -> bool:
        return storage_id(x) in self._entries

    def get(self, x: Tensor) -> V | None:
        """The value of the storage of `x`, or None."""
        entry = self._entries.get(storage_id(x))
        return None if entry is None else entry[1]

    def discard(self, x: Tensor) -> None:
        """Forget the storage of `x`."""
        self._entries.pop(storage_id(x), None)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
