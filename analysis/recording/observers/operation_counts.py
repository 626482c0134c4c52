"""Running integers of one synaptic operation."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from saformer.analysis.profiles.values import Values, common_unit
from saformer.analysis.recording.counting.integers import Integers, Packed
from saformer.analysis.recording.counting.values import of_ones
from saformer.analysis.recording.operations.call import Call
from saformer.analysis.recording.operations.execution import Instruments
from saformer.analysis.recording.origins.sources import Source


@dataclass
class BatchRows:
    """Counters per image of the batch that runs, and of those before, batch by batch."""

    current: list[Integers] = field(default_factory=list)
    units: list[Integers | Packed | None] = field(default_factory=list)

    def add(self, counters: list[Tensor]) -> None:
        """Add the counters of one execution."""
        if self.current:
            counters = [_join(a.tensor(), b) for a, b in zip(self.current, counters, strict=True)]
        self.current = [Integers(counter) for counter in counters]

    def close(self, done: int) -> None:
        """Close a batch, the one after `done` others: its counters become a row of `units`."""
        self.units.extend([None] * (done - len(self.units)))
        if not self.current:
            self.units.append(None)
            return
        parts = self.current
        if len({len(x) for x in parts}) > 1:
            parts = [Integers(x.tensor().sum().view(1)) for x in parts]
        self.units.append(Integers.beside(parts))
        self.current = []


@dataclass
class OperationCounts(BatchRows):
    """Running integers of one synaptic operation. `units` holds one row of counters per image, batch by batch.

    `current` has the nonzeros of each operand, then the events.
    """

    name: str = ""
    op: str = ""
    bias: int = 0
    inner: int = 0
    module: bool = False
    sources: tuple[Source | None, ...] = ()
    raw: bool = False  # every call read the network's input
    elements: list[int] = field(default_factory=list)
    ones: list[Integers] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    spikes: list[Integers | None] = field(
        default_factory=list
    )  # ones of tensors that hold nothing else by construction
    broadcast: list[bool] = field(default_factory=list)
    dense: int = 0
    calls: int = 0
    constant: int = 0  # calls on constants alone
    read: int = 0  # calls whose result was read
    executions: int = 0  # images times steps
    outputs: int = 0
    weights: int = 0
    lost: Integers | None = None  # events that meet a zero weight; None: no weight is zero
    graded: Integers | None = None
    graded_unit: float | None = None
    multiples: bool = True  # every operand so far held whole multiples of a unit
    image: bool = False  # it read the network's input where that held other values than zeros and ones
    summed: bool = False
    pure: set[bool] = field(default_factory=set)  # whether its calls read spikes as they came, or what was made of them

    @classmethod
    def of(cls, name: str, call: Call, module: bool, sources: tuple[Source | None, ...]) -> "OperationCounts":
        """Nothing yet, of an operation of this kind."""
        width = len(call.operands)
        return cls(
            name=name,
            op=call.op,
            bias=call.bias,
            inner=call.inner,
            module=module,
            sources=sources,
            raw=True,
            elements=[0] * width,
            ones=[Integers(0) for _ in call.operands],
            values=[Values() for _ in call.operands],
            spikes=[None] * width,
            broadcast=[False] * width,
        )

    def sizes(self) -> tuple[int, ...]:
        """What a batch adds to whatever the values are."""
        return self.dense, self.calls, self.constant, self.read, self.executions, self.outputs, *self.elements

    def add_sizes(self, more: tuple[int, ...]) -> None:
        """Add what another batch adds."""
        of_calls, of_operands = more[: -len(self.elements)], more[-len(self.elements) :]
        self.dense += of_calls[0]
        self.calls += of_calls[1]
        self.constant += of_calls[2]
        self.read += of_calls[3]
        self.executions += of_calls[4]
        self.outputs += of_calls[5]
        self.elements = [a + b for a, b in zip(self.elements, of_operands, strict=True)]

    def note(self, i: int, ones: Integers, values: Callable[[], Values | None] | None) -> None:
        """Take note of the values of operand `i`.

        Args:
            i: which one.
            ones: how many of its elements are one.
            values: what was seen of them, which is nothing of a state before the first step; None where the others are
                zeros, by construction.
        """
        self.ones[i] = self.ones[i].plus(ones)
        if values is None:
            self.spikes[i] = add(self.spikes[i], ones)
        elif (seen := values()) is not None:
            self.values[i] = self.values[i].join(seen)

    def operand_values(self, i: int) -> Values:
        """What was seen of operand `i` over all calls."""
        spikes = self.spikes[i]
        return self.values[i] if spikes is None else self.values[i].join(of_ones(int(spikes)))

    def add_graded(self, call: Call, sources: tuple[Source | None, ...], instruments: Instruments) -> None:
        """Add events where a whole multiple k of the unit counts as k."""
        if not self.multiples:
            return
        unit, multiples = 1.0, []
        for x, source in zip(call.operands, sources, strict=True):
            seen = of_ones(1) if instruments.counter.is_binary(x) else instruments.meter.measure(x, source, -1)
            self.multiples &= seen.multiples and (seen.unit is not None or not bool(x.any()))
            unit *= seen.unit or 1.0
            multiples.append((x.to(torch.float64).abs() / (seen.unit or 1.0)).round())
        # Events so far in units of what both are multiples of.
        common = unit if self.graded_unit is None else common_unit(unit, self.graded_unit, 1e-6)
        if not self.multiples or common is None:
            self.multiples, self.graded = False, None
            return
        others = multiples[1:] if call.weight is None else [torch.ones_like(call.weight, dtype=torch.float64)]
        events = call.again(multiples[0], *others).sum().to(torch.int64) * round(unit / common)
        if self.graded is not None and self.graded_unit is not None:
            events = events + self.graded.tensor() * round(self.graded_unit / common)
        self.graded, self.graded_unit = Integers(events), common


def lost(call: Call, events: Tensor) -> Tensor:
    """The events that meet a zero weight."""
    assert call.weight is not None
    x, w = (z.ne(0).to(torch.float32) for z in (call.operands[0], call.weight))
    met = call.again(x, w).round().sum(dtype=torch.float64).to(torch.int64) * call.multiplies
    return events.sum() - met


def _join(a: Tensor, b: Tensor) -> Tensor:
    """Add counters of two calls in a batch; where one of them is for the batch as a whole, so is the sum."""
    return a + b if len(a) == len(b) else (a.sum() + b.sum()).view(1)


def add(total: Integers | None, value: Tensor | Integers) -> Integers:
    """The sum, where there may be nothing yet."""
    if total is None:
        return value if isinstance(value, Integers) else Integers(value)
    return total.plus(value)
