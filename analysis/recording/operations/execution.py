"""One operator that runs: what observers see of it, and what they share."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from saformer.analysis.recording.beforehand.batch_axis import Layouts
from saformer.analysis.recording.counting.counters import Counter
from saformer.analysis.recording.counting.looks import Looks
from saformer.analysis.recording.counting.values import ValueMeter
from saformer.analysis.recording.module_paths import Frame, ModulePaths
from saformer.analysis.recording.observers.bounds import Bounds
from saformer.analysis.recording.observers.nonfinite import FiniteCheck
from saformer.analysis.recording.operations.operators import Kind, Operator
from saformer.analysis.recording.origins.lineage import Lineage
from saformer.analysis.recording.origins.storage_map import storage_id, tensors_in, written_into
from saformer.neurons.one_pass import Fired, fire


def fire_own(*args: Any, in_words: bool = True) -> Fired | None:
    """The spikes of LIF neurons, counted as they fire, in one pass; None where that cannot be.

    Args:
        *args: of `saformer::lif`.
        in_words: give the spikes by a bit each, too.
    """
    return fire(*args, in_words=in_words)


class Ran:
    """An operator or a module that ran: its arguments, its results and, of our own neurons, what the pass showed that
    made them.

    Attributes:
        conditions: what must be true for this batch to be what the one was whose plan it follows.
    """

    __slots__ = ("args", "conditions", "fired", "out")

    def __init__(self, args: tuple[Any, ...], out: Any = None, fired: Fired | None = None) -> None:
        self.args, self.out, self.fired = args, out, fired
        self.conditions: list[Callable[[], bool]] = []

    def expect(self, condition: Callable[[], bool]) -> None:
        """Where a plan is followed: it is left if this is not true when the pass has ended."""
        self.conditions.append(condition)


#: Looks at the values of what ran, and returns what books them.
Look = Callable[[Ran], Callable[[], object]]


def no_booking() -> None:
    """There is nothing to book."""


class Judged(Ran):
    """What ran, and how its values are looked at.

    Args:
        args: what it read.
        looks: gets what is to be looked at each time that it runs like this.
        out: its results.

    Attributes:
        writes: it writes into one of its arguments.
    """

    __slots__ = ("looks", "writes")

    def __init__(self, args: tuple[Any, ...], looks: list[Look], out: Any = None) -> None:
        super().__init__(args, out)
        self.looks, self.writes = looks, False

    def look(self, look: Look) -> None:
        """Look at its values now, book them, and keep how for the next time."""
        look(self)()
        self.looks.append(look)


class Execution(Judged):
    """An operator with its arguments, and its results once it has run.

    Args:
        func: the operator.
        operator: its entry in the table; None if it has none.
        args: its arguments.
        kwargs: its arguments by name.
        path: of the module it runs in.
        looks: gets what is to be looked at each time that it runs like this.

    Attributes:
        packet: the operator, all overloads of it.
        inputs: the tensors among its arguments.
        out: its results.
        booked: name of the synaptic operation that it is, once that is known.
        weight: the weights of that operation, if it has any.
        fired: of our own neurons, what the one pass showed that made their spikes.
    """

    def __init__(
        self,
        func: Any,
        operator: Operator | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        path: str,
        looks: list[Look],
    ) -> None:
        super().__init__(args, looks)
        self.func, self.operator, self.kwargs, self.path = func, operator, kwargs, path
        self.packet = func._overloadpacket
        self.inputs: list[Tensor] = list(tensors_in((*args, *kwargs.values()) if kwargs else args))
        self.writes, self._may_view = _traits(func)
        self._ran = False
        self.booked: str | None = None
        self.weight: Tensor | None = None

    def take(self, out: Any, fired: Fired | None = None) -> None:
        """Take results that were computed elsewhere; None if they were not."""
        self.out, self.fired, self._ran = out, fired, out is not None

    def run(self) -> None:
        """Run it. Our own neurons count their spikes as they fire, where they can."""
        if self._ran:
            return
        self._ran = True
        if self.operator is not None and self.operator.kind is Kind.NEURON and self.operator.binary:
            self.fired = fire_own(*self.args)
        self.out = self.func(*self.args, **self.kwargs) if self.fired is None else self.fired.spikes

    def is_view(self) -> bool:
        """Whether it put out views of what it read, and nothing else; one that may do so is run."""
        operator = self.operator
        if not self._may_view or operator is None or operator.kind is not Kind.MOVEMENT:
            return False
        if operator.role is not None or operator.gathers or not self.inputs:
            return False
        self.run()
        read = storage_id(self.inputs[0])
        return all(storage_id(x) == read for x in tensors_in((self.out,)))

    @property
    def name(self) -> str:
        """What it is and where it runs, in words."""
        return f"{self.packet.__name__} in {self.path}".removesuffix(" in ")

    @property
    def results(self) -> list[Tensor]:
        """The tensors that it put out, and those that it says it wrote into."""
        return [*tensors_in((self.out,)), *written_into(self.func, self.args, self.kwargs)]


def tensors_of(ran: Ran) -> list[Tensor]:
    """What it was given, and its results."""
    return list(tensors_in((ran.args, ran.out)))


class Exit(Judged):
    """A module that ended.

    Args:
        frame: what happened inside it.
        args: what it was given.
        output: what it put out.
        looks: gets what is to be looked at each time that it ends like this.

    Attributes:
        args: the first tensor that it read, or None.
        out: the first tensor that it put out, or None.
    """

    __slots__ = ("frame",)

    def __init__(self, frame: Frame, args: Any, output: Any, looks: list[Look]) -> None:
        super().__init__((next(tensors_in(args), None),), looks, next(tensors_in((output,)), None))
        self.frame = frame


@lru_cache(maxsize=4096)
def _traits(func: Any) -> tuple[bool, bool]:
    """Whether an operator writes into an argument, and whether what it puts out may be a view of one."""
    schema = func._schema
    writes = bool(schema.is_mutable)
    return writes, not writes and any(result.alias_info is not None for result in schema.returns)


@lru_cache(maxsize=4096)
def draws(func: Any) -> bool:
    """Whether an operator draws random numbers."""
    return torch.Tag.nondeterministic_seeded in func.tags


class Observer(Protocol):
    """Sees every operator that runs."""

    def before(self, execution: Execution) -> None:
        """Before it runs; an argument that it writes into still holds what it reads."""

    def after(self, execution: Execution) -> None:
        """After it ran, with `execution.out`."""


class Instruments:
    """What observers share: lineage, counters, layouts, names."""

    def __init__(self, paths: ModulePaths, lineage: Lineage, layouts: Layouts) -> None:
        self.paths, self.lineage, self.layouts = paths, lineage, layouts
        self.counter, self.finite, self.bounds = Counter(), FiniteCheck(), Bounds()
        self.looks, self.weights = self.counter.looks, Looks()  # at activations, at constants
        self.meter = ValueMeter(self.looks)
        self.judging = False
        self.asking: Judged | None = None  # what is judged now

    def judge(self) -> None:
        """In this batch values decided more than counts: another batch may be another thing."""
        self.judging = True

    def start_batch(self, images: int) -> None:
        """Forget the batch before."""
        self.judging = False
        self.look_anew()
        self.layouts.start_batch(images)
        self.lineage.start_batch()

    def look_anew(self) -> None:
        """Forget what was seen of tensors."""
        self.counter.clear()
        self.meter.clear()
        self.bounds.clear()

    def forget(self, x: Tensor) -> None:
        """Void what was counted of a tensor that is written into."""
        self.counter.forget(x)
        self.meter.forget(x)
        self.bounds.forget(x)
        self.weights.forget(x)

    def depends(self, execution: Execution) -> bool:
        """Whether an operator reads what depends on the input."""
        return any(self.lineage.is_activation(x) for x in execution.inputs)
