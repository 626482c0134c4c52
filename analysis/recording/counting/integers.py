"""Counted integers, kept where reading them costs nothing."""

import threading
from array import array
from itertools import chain
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import Tensor

from saformer.devices import numbers


class Integers:
    """A few integers between one use and the next.

    On a CPU they become Python's own: small tensors that live on among large ones that come and go pin the
    allocator's heap, which raised the resident peak of a run by half. On any other device they stay where they are
    until `read_together`, because reading each would wait for the device.
    """

    __slots__ = ("__weakref__", "_more", "_value")

    def __init__(self, x: "Tensor | int | list[int]") -> None:
        away = isinstance(x, Tensor) and x.device.type != "cpu"
        self._value: Any = x.tolist() if isinstance(x, Tensor) and not away else x
        self._more: Any = None  # of what is away: integers to be added when they come
        if away:
            _AWAY.integers.append(ref(self))

    def tensor(self) -> Tensor:
        """The integers as a tensor, int64."""
        value = self._value
        if not isinstance(value, Tensor):
            return torch.from_numpy(np.array(value, np.int64))  # in half the time of `torch.tensor`
        return value if self._more is None else value + torch.tensor(self._more, dtype=torch.int64).to(value.device)

    def plus(self, x: "Tensor | Integers") -> "Integers":
        """The sum with as many others."""
        other = x if isinstance(x, Integers) else Integers(x)
        if type(self._value) is int and type(other._value) is int:
            return Integers(self._value + other._value)
        away = [one._value for one in (self, other) if isinstance(one._value, Tensor)]
        here = [one._more if isinstance(one._value, Tensor) else one._value for one in (self, other)]
        more = here[0] if here[1] is None else here[1] if here[0] is None else _sum(here[0], here[1])
        if not away:
            return Integers(more)
        found = Integers(away[0] if len(away) == 1 else away[0] + away[1])
        found._more = more
        return found

    @staticmethod
    def beside(columns: "list[Integers]") -> "Integers | Packed":
        """Rows x columns, from columns of as many rows."""
        values = [column._value for column in columns]
        if any(isinstance(value, Tensor) for value in values):
            return Integers(torch.stack([column.tensor() for column in columns], 1))
        return Packed(array("q", chain.from_iterable(zip(*values, strict=True))).tobytes(), len(values))

    def __len__(self) -> int:
        """How many there are."""
        return len(self._value)

    def split(self) -> "list[Integers]":
        """Each by itself."""
        return [Integers(value) for value in self._value]

    def __int__(self) -> int:
        return int(self._value) + int(self._more or 0)

    @property
    def away(self) -> Tensor | None:
        """What is to be read from a device."""
        return self._value if isinstance(self._value, Tensor) else None

    def arrive(self, value: Any) -> None:
        """Take what was read from the device."""
        self._value, self._more = value if self._more is None else _sum(value, self._more), None


class _Away(threading.local):
    """Integers of a thread that were on a device when they were made."""

    def __init__(self) -> None:
        self.integers: list[ref[Integers]] = []


_AWAY = _Away()


def read_together() -> None:
    """Bring all integers of this thread that are still in use to the CPU; each device is waited for once."""
    known, _AWAY.integers = [integers() for integers in _AWAY.integers], []
    held = [(integers, integers.away) for integers in known if integers is not None]
    found = [(integers, away) for integers, away in held if away is not None]
    for (integers, _), value in zip(found, numbers([away for _, away in found]), strict=True):
        integers.arrive(value)


def _sum(one: Any, two: Any) -> Any:
    """Of two integers, or of as many in two lists."""
    return [a + b for a, b in zip(one, two, strict=True)] if isinstance(one, list) else one + two


class Packed:
    """Rows of integers that are kept for every image of a run: eight bytes each, where Python's own take forty.

    Args:
        content: row after row, int64.
        width: how many are in a row.
    """

    __slots__ = ("_content", "_width")

    def __init__(self, content: bytes, width: int) -> None:
        self._content = content
        self._width = width

    def tensor(self) -> Tensor:
        """The integers as a tensor, rows x columns, int64."""
        return torch.tensor(np.frombuffer(self._content, np.int64).reshape(-1, self._width))
