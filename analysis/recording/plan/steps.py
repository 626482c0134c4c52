"""The steps of a forward pass: which operator ran, on results of which steps before."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from saformer.analysis.recording.operations.execution import Look
from saformer.analysis.recording.origins.storage_map import StorageMap, storage_id, tensors_in
from saformer.neurons.one_pass import Fired, Use

_SEQUENCES = (list, tuple)  # a union would be made anew at every look


@dataclass
class Step:
    """One operator of a pass, or the end of a module.

    Args:
        func: the operator, or the path of the module.
        signature: what it was given, see `Numbers.signature`.
        parts: it ran as its parts, which are the steps that follow.
        writes: it writes into an argument.
        makes: some of its results are no views of what it read.
        make: makes its result as it looks at values; None where it cannot.
        fire: of our own neurons, the one pass that makes their spikes.
        use: what was used of it.
        looks: what is counted and measured when it has run.
    """

    func: Any
    signature: Any
    parts: bool = False
    writes: bool = False
    makes: bool = True
    make: Callable[..., Tensor | None] | None = None
    fire: Callable[..., Fired | None] | None = None
    use: Use = field(default_factory=Use)
    looks: list[Look] = field(default_factory=list)


class Numbers:
    """Numbers the results of a pass in the order in which they are made: where the same operators run on the same
    tensors, these have the same numbers.

    Args:
        inputs: the network's.
        known: the network is one of ours, which never shows other parts of the same memory, or of another type, by the
            same operators: these are not compared.
    """

    def __init__(self, inputs: Iterable[Tensor], known: bool) -> None:
        self._made: StorageMap[int] = StorageMap()
        self._known = known
        self._count = 0
        for x in inputs:
            self._add(x)

    def _add(self, x: Tensor) -> None:
        self._count += 1
        self._made[x] = -self._count

    def made(self, x: Tensor) -> bool:
        """Whether `x` is the input, or was made in this pass."""
        return x in self._made

    def signature(self, where: Any, args: Any, kwargs: Any) -> Any:
        """What is compared: where it runs, and arguments: of a tensor its number, or, of one that was there before, its
        memory; what it shows of that, and its type.
        """
        of = self._key
        given = [of(value) for value in args]
        return (where, given, [(name, of(value)) for name, value in kwargs.items()]) if kwargs else (where, given)

    def _key(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            number = self._made.get(value)
            memory = storage_id(value) if number is None else number
            if self._known:
                return memory, value.shape
            return memory, value.dtype, value.shape, value.stride(), value.storage_offset()
        if isinstance(value, _SEQUENCES):
            return [self._key(one) for one in value]
        return (type(value), value) if value == value else type(value)  # not-a-number is like itself

    def note(self, out: Any, read: Any) -> bool:
        """Number the results of an operator; whether there was one to number.

        Args:
            out: its results; views of what it read have the number of that.
            read: its arguments.
        """
        before = self._count
        for x in (out,) if isinstance(out, Tensor) else tensors_in((out,)):
            if x not in self._made and storage_id(x) not in map(storage_id, tensors_in(read)):
                self._add(x)
        return self._count > before
