"""One operator that runs: what observers see of it, and what they share."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from saformer.analysis.recording.batch_axis import Layouts
from saformer.analysis.recording.counters import Counter
from saformer.analysis.recording.extents import Extents
from saformer.analysis.recording.lineage import Lineage
from saformer.analysis.recording.module_paths import ModulePaths
from saformer.analysis.recording.observers.nonfinite import FiniteCheck
from saformer.analysis.recording.operators import Kind, Operator
from saformer.analysis.recording.storage_map import tensors_in, written_into
from saformer.analysis.recording.values import ValueMeter
from saformer.neurons.one_pass import Fired, fire


@dataclass
class Execution:
    """An operator with its arguments, and its results once it has run.

    Args:
        func: the operator.
        operator: its entry in the table; None if it has none.
        args: its arguments.
        kwargs: its arguments by name.
        path: of the module it runs in.
        out: its results.
        booked: name of the synaptic operation that it is, once that is known.
        weight: the weights of that operation, if it has any.
        fired: of our own neurons, what the one pass showed that made their spikes.
    """

    func: Any
    operator: Operator | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    path: str
    out: Any = None
    booked: str | None = None
    weight: Tensor | None = None
    fired: Fired | None = None

    def run(self) -> None:
        """Run it, unless its results are there. Our own neurons count their spikes as they fire, where they can."""
        if self.out is not None:
            return
        if (
            self.fired is None
            and self.operator is not None
            and self.operator.kind is Kind.NEURON
            and self.operator.binary
        ):
            self.fired = fire(*self.args)
        self.out = self.func(*self.args, **self.kwargs) if self.fired is None else self.fired.spikes

    @cached_property
    def packet(self) -> Any:
        """The operator, all overloads of it."""
        return self.func._overloadpacket

    @property
    def name(self) -> str:
        """What it is and where it runs, in words."""
        return f"{self.packet.__name__} in {self.path}".removesuffix(" in ")

    @cached_property
    def writes(self) -> bool:
        """It writes into one of its arguments."""
        return bool(self.func._schema.is_mutable)

    @cached_property
    def inputs(self) -> list[Tensor]:
        """The tensors among its arguments."""
        return list(tensors_in((self.args, self.kwargs)))

    @property
    def results(self) -> list[Tensor]:
        """The tensors that it put out, and those that it says it wrote into."""
        return [*tensors_in((self.out,)), *written_into(self.func, self.args, self.kwargs)]


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
        self.counter, self.meter, self.finite = Counter(), ValueMeter(), FiniteCheck()
        self.extents, self.weights = Extents(), Extents()  # of activations, of constants

    def start_batch(self, images: int) -> None:
        """Forget the batch before."""
        self.counter.clear()
        self.meter.clear()
        self.extents.clear()
        self.layouts.start_batch(images)
        self.lineage.start_batch()

    def forget(self, x: Tensor) -> None:
        """Void what was counted of a tensor that is written into."""
        self.counter.forget(x)
        self.meter.forget(x)
        self.extents.forget(x)
        self.weights.forget(x)

    def depends(self, execution: Execution) -> bool:
        """Whether an operator reads what depends on the input."""
        return any(self.lineage.is_activation(x) for x in execution.inputs)
