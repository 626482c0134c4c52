"""Operators that compute on activations and have no entry in the table: they are named as not counted."""

from saformer.analysis.recording.operations.execution import Execution, Instruments


class Unsupported:
    """Notes operators without an entry in the table that read activations and put out tensors.

    `found` has them by module and name, in order.
    """

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.found: dict[tuple[str, str], None] = {}

    def before(self, execution: Execution) -> None:
        """Nothing to note before its results are there."""

    def after(self, execution: Execution) -> None:
        """Note an operator without an entry, if it read activations."""
        if execution.operator is None and execution.results and self._instruments.depends(execution):
            self.found[execution.path, execution.packet.__name__] = None
