"""One pass over a tensor answers what several observers ask: nonzeros, ones, whole numbers, the largest magnitude."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from math import frexp
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.origins.storage_map import StorageMap
from saformer.native.passes import fits, native
from saformer.neurons.one_pass import Use

# Elements per pass. On a CPU a pass stays in the cache; anywhere it bounds the memory that counting takes.
# Sums of ones in float32 are exact up to 2**24, so no pass may be longer than that.
CPU_PASS = 1 << 18
DEVICE_PASS = 1 << 24
# Leading groups that are counted apart where nobody says how many are asked for.
_GROUPS = 1 << 10


#: Puts in order what was counted, when it is asked for: nonzeros of each row, and ones in all.
Counted = Callable[[], tuple[Tensor, Integers]]


class Order(NamedTuple):
    """Where rows are in the memory of a dense tensor.

    Args:
        groups: equal parts of the memory, of which so many are a row.
        sizes: of the leading dimensions; empty where rows lie one after the other.
        spacing: from one to the next along these, in groups.
        rows: how many are asked for.
    """

    groups: int
    sizes: tuple[int, ...]
    spacing: tuple[int, ...]
    rows: int


class Look:
    """What was seen of all elements of a piece of memory.

    Args:
        width: elements of each chunk, equal parts of the memory one after the other.
        nonzero: nonzeros of each.
        ones: elements that are one.
        largest: the largest magnitude, infinite or NaN if one is; None where nobody looked.
        whole: the smallest and the largest of zero and all elements, and the sum of magnitudes; None unless they are
            known to be whole numbers within 2**18.
    """

    __slots__ = ("_in_order", "largest", "nonzero", "ones", "whole", "width")

    def __init__(
        self,
        width: int,
        nonzero: Integers,
        ones: Integers,
        largest: float | None = None,
        whole: tuple[int, int, int] | None = None,
    ) -> None:
        self.width, self.nonzero, self.ones, self.largest, self.whole = width, nonzero, ones, largest, whole
        self._in_order: dict[Order, Tensor] = {}

    def in_order(self, order: Order) -> Tensor:
        """Nonzeros of each row, int64."""
        nonzero = self._in_order.get(order)
        if nonzero is None:
            nonzero = self.nonzero.tensor()
            if len(nonzero) != order.groups:
                nonzero = nonzero.view(order.groups, -1).sum(1)
            if order.sizes:
                nonzero = nonzero.as_strided(order.sizes, order.spacing).flatten()
            if order.groups != order.rows:
                nonzero = nonzero.view(order.rows, -1).sum(1)
            if self.nonzero.away is None:  # what is on a device is read from there soon
                self._in_order[order] = nonzero
        return nonzero


class _Words(NamedTuple):
    """A bit for each element of a piece of memory."""

    place: tuple[int, int, torch.dtype]
    words: Tensor | None
    use: Use


class Looks:
    """Looks at tensors of which nothing was written since; once at each, as long as its memory lives.

    What is kept is of a piece of memory: of every view that shows all of it, whatever the order of its dimensions.
    """

    def __init__(self) -> None:
        self._known: StorageMap[dict[Any, Look]] = StorageMap()
        self._words: StorageMap[_Words] = StorageMap()  # not in the looks, which are kept to the end of a batch

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
        self._words.clear()

    def forget(self, x: Tensor) -> None:
        """Void what was seen of a tensor that is written into."""
        self._known.discard(x)
        self._words.discard(x)

    def learn(self, x: Tensor, nonzero: Tensor, words: Tensor | None = None, use: Use | None = None) -> None:
        """Take it as given that `x` holds zeros and ones.

        Args:
            x: the tensor.
            nonzero: so many ones in each of equal parts of its memory.
            words: a bit for each element, whether it is not zero (int16); None where nobody wrote them.
            use: takes note of whether these are asked for.
        """
        if dense(x):
            counts = nonzero.tolist()
            self.keep(x, Look(x.numel() // len(counts), Integers(counts), Integers(sum(counts)), 1.0))
            self._words[x] = _Words(_place(x), words, use or Use())

    def keep(self, x: Tensor, look: Look) -> None:
        """Take what was seen of a dense tensor as given."""
        self._known[x] = {_place(x): look}
        self._words.discard(x)

    def seen(self, x: Tensor) -> Look | None:
        """What was seen of `x`, if it was looked at."""
        looks = self._known.get(x)
        return looks.get(_place(x)) if looks and dense(x) else None

    def words(self, x: Tensor, make: bool = False) -> Tensor | None:
        """A bit for each element of `x`, whether it is not zero.

        Args:
            x: a tensor.
            make: write them, if its neurons did not, where it was looked at: several readings of bits take less time
                than one of elements that lie scattered.
        """
        if self.seen(x) is None:
            return None
        kept = self._words.get(x)
        if kept is not None and kept.place == _place(x):
            kept.use.words = True
            if kept.words is not None:
                return kept.words
        library = native() if make and fits(x) else None
        if library is None:
            return None
        words = library.words(x)
        self._words[x] = _Words(_place(x), words, Use())
        return words

    def of(self, x: Tensor, binary: bool = False, width: int | None = None) -> Look:
        """A look at a dense tensor.

        Args:
            x: the tensor.
            binary: it is known to hold zeros and ones alone: these are summed, several times faster than compared.
            width: elements of the parts of its memory to count apart; by default those of its leading dimensions.
        """
        looks = self._known.get(x)
        if looks is None:
            looks = self._known[x] = {}
        place = _place(x)
        known = looks.get(place)
        if known is None or (width is not None and width % known.width):
            known = looks[place] = _look_at(x, binary, width or leading_width(x))
        return known

    def rows(self, x: Tensor, rows: int, binary: bool = False) -> Counted | None:
        """Nonzeros of each row (int64), and ones in all; None where rows lie scattered in memory.

        Args:
            x: a tensor whose first dimensions multiply to a multiple of `rows`.
            rows: leading groups to keep apart (images times steps).
            binary: it is known to hold zeros and ones alone.
        """
        order = _order(x.shape, x.stride(), rows)
        if order is None:
            return None
        look = self.of(x, binary, x.numel() // order.groups)
        return lambda: (look.in_order(order), look.ones)

    def whole(self, x: Tensor, unit: float) -> tuple[int, int, int] | None:
        """The smallest and the largest of zero and all elements, and the sum of magnitudes, in units; None unless they
        are known to be whole multiples of it.
        """
        library = native() if fits(x) and x.numel() and dense(x) else None
        if library is None or frexp(unit)[0] != 0.5:  # only division by a power of two is exact
            return None
        return (
            self.of(x).whole if unit == 1 else library.look(x.as_strided((1, x.numel()), (x.numel(), 1)), 1 / unit)[3]
        )

    def most(self, x: Tensor) -> float | None:
        """What no magnitude in `x` is larger than, as looks at it, or at what it is a part of, have shown; None where
        there were none.
        """
        start = x.storage_offset()
        end = start + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
        for (at, length, dtype), look in (self._known.get(x) or {}).items():
            if look.largest is not None and dtype is x.dtype and at <= start and end <= at + length:
                return look.largest
        return None

    def largest(self, x: Tensor) -> float:
        """The largest magnitude; infinite or NaN if one is, infinite if that cannot be told."""
        if x.is_quantized or not x.numel():
            return torch.inf
        if not dense(x):
            low, high = map(float, torch.aminmax(x))
            return max(-low, high)
        look = self.of(x)
        if look.largest is None:
            look.largest = float(x.abs().max())
        return look.largest

    def has_zeros(self, x: Tensor) -> bool:
        """Whether some elements are zero."""
        if x.is_quantized or not x.numel():
            return True
        if not dense(x):
            return bool((x == 0).any())
        return int(self.of(x).nonzero.tensor().sum()) < x.numel()


@lru_cache(maxsize=4096)  # a network's tensors have few shapes
def _order(shape: torch.Size, strides: tuple[int, ...], rows: int) -> Order | None:
    """Where each of `rows` rows is; None where there are no elements, or rows lie scattered in memory."""
    if not shape.numel() or not _dense(shape, strides):
        return None
    leading, groups = 0, 1
    while groups < rows and leading < len(shape):
        groups *= shape[leading]
        leading += 1
    width = shape.numel() // groups
    sizes, strides = tuple(shape[:leading]), strides[:leading]
    if groups % rows or any(size > 1 and stride % width for size, stride in zip(sizes, strides, strict=True)):
        return None
    spacing, following = tuple(stride // width for stride in strides), groups
    for size, step in zip(sizes, spacing, strict=True):
        following //= size
        if size > 1 and step != following:
            return Order(groups, sizes, spacing, rows)
    return Order(groups, (), (), rows)


@lru_cache(maxsize=4096)
def _dense(shape: torch.Size, strides: tuple[int, ...]) -> bool:
    width = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size != 1 and stride != width:
            return False
        width *= size
    return True


def dense(x: Tensor) -> bool:
    """Whether a tensor shows each element of a piece of memory once, in whatever order."""
    return x.is_contiguous() or _dense(x.shape, x.stride())


def _place(x: Tensor) -> tuple[int, int, torch.dtype]:
    return int(x.storage_offset()), x.numel(), x.dtype


def leading_width(x: Tensor) -> int:
    """Elements of the groups that the first two dimensions make, or the first, if these are not too many."""
    width = x.numel()
    for size, stride in list(zip(x.shape, x.stride(), strict=True))[:2]:
        if x.numel() * size // max(width, 1) > _GROUPS or (size > 1 and stride * size != width):
            break
        width = max(width // max(size, 1), 1)
    return max(width, 1)


def _look_at(x: Tensor, binary: bool, width: int) -> Look:
    chunks = x.as_strided((x.numel() // width, width), (width, 1))
    if fits(chunks) and (library := native()) is not None:
        nonzero, all_ones, largest, whole = library.look(chunks)
        return Look(width, Integers(nonzero), Integers(all_ones), largest, whole)
    nonzero, ones = count(chunks, binary)
    return Look(width, Integers(nonzero), ones)


def count(rows: Tensor, binary: bool) -> tuple[Tensor, Integers]:
    """Nonzeros of each of rows x elements (int64), and ones in all."""
    if rows.numel() and rows.stride(1) == 1 and fits(rows) and (library := native()) is not None:
        nonzero, all_ones, _, _ = library.look(rows)
        return nonzero, Integers(all_ones)
    if binary:
        nonzero = sum_of_ones(rows, 1)
        return nonzero, Integers(nonzero.sum())
    scratch = torch.empty(0, dtype=torch.float32, device=rows.device)

    def counted(piece: Tensor) -> tuple[Tensor, Tensor]:
        mask = ones_where_nonzero(piece, False, scratch)
        nonzero = mask.sum(1).to(torch.int64)
        return nonzero, (piece.eq(1) if rows.is_complex() else torch.eq(piece, 1, out=mask)).sum().to(torch.int64)

    if rows.numel() <= pass_size(rows):
        nonzero, ones = counted(rows)
    else:
        nonzero = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        ones = torch.zeros((), dtype=torch.int64, device=rows.device)
        for where, piece in _passes(rows):
            here, ones_here = counted(piece)
            nonzero[where] += here
            ones += ones_here
    return nonzero, Integers(ones)


def pass_size(x: Tensor) -> int:
    """Elements per pass."""
    return CPU_PASS if x.device.type == "cpu" else DEVICE_PASS


def _passes(rows: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Pieces of rows x elements of bounded size, with the rows that each piece covers."""
    number, width = rows.shape
    size = pass_size(rows)
    if width >= size:
        for row in range(number):
            for start in range(0, width, size):
                yield slice(row, row + 1), rows[row : row + 1, start : start + size]
    else:
        step = max(size // max(width, 1), 1)
        for row in range(0, number, step):
            yield slice(row, row + step), rows[row : row + step]


def ones_where_nonzero(x: Tensor, binary: bool, scratch: Tensor) -> Tensor:
    """1.0 where `x` is nonzero: `x` itself if it is known to hold only zeros and ones."""
    if binary:
        return x
    if x.is_complex():  # a result in place would lose the imaginary part
        return x.ne(0).to(torch.float32)
    return torch.ne(x, 0, out=scratch.resize_(x.shape))


def sum_of_ones(x: Tensor, dim: int) -> Tensor:
    """Integer sum of zeros and ones along one dimension, each sum below 2**24 terms or taken in float64."""
    exact = torch.float32 if x.shape[dim] <= DEVICE_PASS else torch.float64
    return x.sum(dim, dtype=exact).to(torch.int64)
