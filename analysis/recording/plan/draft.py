"""Drafts a plan while a batch runs, and keeps it if values decided nothing but counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from saformer.analysis.recording.plan.steps import Numbers, Step


class Rows(Protocol):
    """Running integers to which every batch adds the same, beside what hangs on values."""

    def sizes(self) -> tuple[int, ...]:
        """What they are so far."""

    def add_sizes(self, more: tuple[int, ...]) -> None:
        """Add what another batch adds."""


@dataclass(frozen=True)
class Plan:
    """What a batch is that runs like one before.

    Args:
        given: what the network was given, see `kind_of_input`.
        steps: its operators, in order.
        sizes: what the batch adds to running integers, whatever its values are.
        operators: how many ran, without the parts that some run as.
    """

    given: Any
    steps: tuple[Step, ...]
    sizes: tuple[tuple[Rows, tuple[int, ...]], ...]
    operators: int


def kind_of_input(inputs: Iterable[Tensor], drawn: tuple[int, ...]) -> Any:
    """What two batches have in common if the network is given the same kind of tensors.

    Args:
        inputs: what it is given.
        drawn: which of them are spikes that were drawn from images.
    """
    return drawn, tuple((x.shape, x.stride(), x.dtype) for x in inputs)


class Draft:
    """Keeps the steps of a batch.

    Args:
        given: what the network is given, see `kind_of_input`.
        inputs: the same.
        known: the network is one of ours.
        rows: running integers before it.
        operators: how many ran before it.
    """

    def __init__(self, given: Any, inputs: Iterable[Tensor], known: bool, rows: Iterable[Rows], operators: int) -> None:
        self._given, self._numbers, self._steps = given, Numbers(inputs, known), list[Step]()
        self._before = {id(row): row.sizes() for row in rows}
        self._operators = operators

    def step(self, func: Any, where: Any, args: Any, kwargs: Any) -> Step:
        """An operator runs, or a module ends."""
        step = Step(func, self._numbers.signature(where, args, kwargs))
        self._steps.append(step)
        return step

    def note(self, step: Step, out: Any, read: Any) -> None:
        """It ran: its results, and what it read."""
        step.makes = self._numbers.note(out, read)

    def plan(self, rows: Sequence[Rows], operators: int) -> Plan:
        """The plan, with the running integers, and the operators that ran, after the batch."""
        sizes = []
        for row in rows:
            after = row.sizes()
            before = self._before.get(id(row), (0,) * len(after))
            sizes.append((row, tuple(a - b for a, b in zip(after, before, strict=True))))
        return Plan(self._given, tuple(self._steps), tuple(sizes), operators - self._operators)


class NoDraft:
    """Keeps nothing, where no plan is wanted."""

    def step(self, func: Any, where: Any, args: Any, kwargs: Any) -> Step:
        """An operator runs, or a module ends."""
        return Step(func, None)

    def note(self, step: Step, out: Any, read: Any) -> None:
        """It ran."""

    def plan(self, rows: Sequence[Rows], operators: int) -> None:
        """There is none."""
