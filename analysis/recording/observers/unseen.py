"""What no operator was seen to compute: kernels past PyTorch's dispatcher (CuPy, ctypes, numpy, threads).

Their results depend on the input all the same, so that what follows is counted; the kernel is named as not counted.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from saformer.analysis.recording.operations.execution import (
    Execution,
    Exit,
    Instruments,
    Look,
    Ran,
    no_booking,
    tensors_of,
)
from saformer.analysis.recording.operations.operators import Kind, Role
from saformer.analysis.recording.origins.constants import is_filled
from saformer.analysis.recording.origins.storage_map import storage_id, tensors_in

_OUTSIDE = "something outside PyTorch's dispatcher"


class Unseen:
    """Takes tensors that are neither activations nor proven constants as activations that came from elsewhere.

    `found` has them by module and words, in order.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.found: dict[tuple[str, str], None] = {}

    def before(self, execution: Execution) -> None:
        """Look at what is read."""
        operator = execution.operator
        if operator is not None and (operator.kind is Kind.CREATOR or operator.like):
            return
        if operator is None or operator.kind is not Kind.MOVEMENT:
            self._look(execution)

    def _look(self, execution: Execution) -> None:
        lineage = self._instruments.lineage
        for place, x in enumerate(execution.inputs):
            if lineage.is_activation(x):
                continue
            if (execution.writes or execution.kwargs) and lineage.constants.fill(x) is not None:
                self._instruments.judge()  # when it has run it is not there, or not in its place
            if not self._prove(x, execution.looks, place):
                lineage.unseen(x, execution.path)
                self._instruments.judge()
                self.found[execution.path, _OUTSIDE] = None

    def _prove(self, x: Tensor, looks: list[Look], place: int) -> bool:
        """Whether `x` is a proven constant. What was made with one value is looked at again in the next batch, where it
        has this place in `tensors_of`.
        """
        constants = self._instruments.lineage.constants
        fill, proven = constants.fill(x), constants.is_proven(x)
        if proven and fill is not None:

            def look(ran: Ran) -> Callable[[], None]:
                filled = is_filled(tensors_of(ran)[place], fill)
                ran.expect(lambda: filled)
                return no_booking

            looks.append(look)
        return proven

    def after(self, execution: Execution) -> None:
        """A literal that grows with the number of images is none: it came from the input, by way of numpy."""
        operator = execution.operator
        if operator is None or operator.role is not Role.LITERAL:
            if operator is not None and operator.kind is Kind.MOVEMENT and not operator.like:
                read = {storage_id(x) for x in execution.inputs}
                # A view reads nothing: `x.numpy()` takes one before a kernel writes.
                if any(storage_id(x) not in read for x in tensors_in((execution.out,))):
                    self._look(execution)
            return
        x = execution.out
        # Whole numbers are lengths and places.
        if (
            x.is_floating_point()
            and x.numel() > 1
            and self._instruments.layouts.grows((f"literal in {execution.path}", 0), x.shape)
        ):
            self._instruments.lineage.unseen(x, execution.path)
            self.found[execution.path, _OUTSIDE] = None

    def leave_module(self, ended: Exit, args: Any) -> None:
        """Look at what a module puts out, to name the module that the kernel ran in.

        Args:
            ended: the module.
            args: all that it was given.
        """
        lineage, frame, result = self._instruments.lineage, ended.frame, ended.out
        if not result.is_floating_point() or lineage.is_activation(result):
            return
        if self._prove(result, ended.looks, -1):
            return
        origins = [source for x in tensors_in(args) if (source := lineage.source(x)) is not None]
        if origins:
            lineage.unseen(result, frame.path, origins)
            self._instruments.judge()
            self.found[frame.path, _OUTSIDE] = None
