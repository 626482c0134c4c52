"""Arithmetic that Eqs. 19-20 leave out: normalisation, activation, pooling, shortcuts, scaling. Listed, and free."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from saformer.analysis.profiles.records import RESULT_OF
from saformer.analysis.recording.beforehand.batch_axis import Layout
from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.observers.operation_counts import BatchRows, add
from saformer.analysis.recording.operations.execution import Execution, Instruments, Ran, no_booking
from saformer.analysis.recording.origins.storage_map import tensors_in


@dataclass
class FreeCounts(BatchRows):
    """Running integers of arithmetic that is not synaptic; what a pool read, too, in `units` by image."""

    elements: int = 0
    inputs: int = 0
    ones: Integers | None = None
    foldable: bool = False
    module: bool = False

    def sizes(self) -> tuple[int, ...]:
        """What a batch adds to whatever the values are."""
        return self.elements, self.inputs

    def add_read(self, layout: Layout, nonzero: Tensor, ones: Integers) -> None:
        """Add what a pool read: nonzeros of each row, and ones."""
        self.add([layout.fold(nonzero)])
        self.ones = add(self.ones, ones)

    def add_sizes(self, more: tuple[int, ...]) -> None:
        """Add what another batch adds."""
        self.elements, self.inputs = self.elements + more[0], self.inputs + more[1]


class Elementwise:
    """Books free arithmetic; `counts` has it by module and operator."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.counts: defaultdict[tuple[str, str], FreeCounts] = defaultdict(FreeCounts)
        self.by_image = True

    def pools(self) -> list[FreeCounts]:
        """Free arithmetic whose input was counted."""
        return [counts for counts in self.counts.values() if counts.ones is not None]

    def before(self, execution: Execution) -> None:
        """Nothing to count before its results are there."""

    def after(self, execution: Execution) -> None:
        """Book the results of one operator."""
        operator = execution.operator
        if operator is None or not operator.listed or execution.booked is not None:
            return
        result = next(tensors_in((execution.out,)), None)
        if result is None or not (result.is_floating_point() or result.is_complex() or result.dtype.itemsize == 1):
            return
        if not self._instruments.depends(execution):
            return
        place = (execution.path, execution.packet.__name__)
        first = place not in self.counts
        counts = self.counts[place]
        counts.elements += result.numel()
        x = execution.args[0] if execution.args else None
        if operator.foldable:
            before = self._instruments.lineage.source(x) if isinstance(x, Tensor) else None
            folds = before is not None and before.name.startswith(RESULT_OF)
            counts.foldable = folds and (first or counts.foldable)
        if operator.binary and isinstance(x, Tensor) and self._instruments.counter.is_binary(x):
            execution.look(self._mark)
        module = self._instruments.paths.current.module
        pools = any(base.__module__ == "torch.nn.modules.pooling" for base in type(module).__mro__)
        if isinstance(x, Tensor) and (operator.pool or pools):
            self._add_pool(counts, execution, x, pools)

    def _mark(self, ran: Ran) -> Callable[[], None]:
        """Of zeros and ones come zeros and ones."""
        self._instruments.counter.mark_binary(next(tensors_in((ran.out,))))
        return no_booking

    def _add_pool(self, counts: FreeCounts, execution: Execution, x: Tensor, module: bool) -> None:
        """Count what a pool read: its cost lies there."""
        counts.module |= module
        key: Any = (execution.name, 0)
        windows = execution.operator is not None and execution.operator.windows
        layout = self._instruments.layouts.of(key, x.shape, stacked=windows, x=x)
        self.by_image &= layout.apart
        counts.inputs += x.numel()

        def look(ran: Ran) -> Callable[[], None]:
            counted = self._instruments.counter.counted(ran.args[0], layout.rows)
            return lambda: counts.add_read(layout, *counted())

        execution.look(look)
