"""Counted integers, kept where reading them costs nothing."""

from array import array
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Integers:
    """A few integers between one use and the next.

    On a CPU they become Python's own: small tensors that live on among large ones that come and go pin the
    allocator's heap, which raised the resident peak of a run by half. On any other device they stay where they are,
    because reading them would wait for the device.
    """

    __slots__ = ("_value",)

    def __init__(self, x: "Tensor | int | list[int]") -> None:
        self._value: Any = x.tolist() if isinstance(x, Tensor) and x.device.type == "cpu" else x

    def tensor(self) -> Tensor:
        """The integers as a tensor, int64."""
        value = self._value
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.int64)

    def plus(self, x: "Tensor | Integers") -> "Integers":
        """The sum with as many others."""
        other = x if isinstance(x, Integers) else Integers(x)
        if isinstance(self._value, list) or isinstance(other._value, list):
            return Integers(self.tensor() + other.tensor())
        return Integers(self._value + other._value)

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
        return int(self._value)


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
