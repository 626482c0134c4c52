"""Counted integers, kept where reading them costs nothing."""

import threading
from array import array
from itertools import chain
from typing import Any
from weakref import ref

import numpy as np
import torch
from torch import Tensor


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
            return torch.tensor(value, dtype=torch.int64)
        return value if self._more is None else value + torch.tensor(self._more, dtype=torch.int64).to(value.device)

    def plus(self, x: "Tensor | Integers") -> "Integers":
        """The sum with as many others."""
        other = x if isinstance(x, Integers) else Integers(x)
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
    """Bring all integers that are still in use to the CPU: with one copy, and one wait, for each device."""
    held, _AWAY.integers = _AWAY.integers, []
    by_device: dict[torch.device, list[tuple[Integers, Tensor]]] = {}
    for known in held:
        integers = known()
        if integers is not None and (away := integers.away) is not None:
            by_device.setdefault(away.device, []).append((integers, away))
    for found in by_device.values():
        read = torch.cat([away.reshape(-1) for _, away in found]).cpu()
        for (integers, away), part in zip(found, read.split([away.numel() for _, away in found]), strict=True):
            integers.arrive(part.view(away.shape).tolist())


def numbers(*single: "Tensor | Integers") -> list[int]:
    """Single integers as numbers, with one wait where they lie on a device."""
    if all(isinstance(x, Integers) and x.away is None for x in single):
        return [int(x) for x in single]
    found: list[int] = torch.stack([x.tensor() if isinstance(x, Integers) else x for x in single]).tolist()
    return found


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
