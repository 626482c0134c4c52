"""A forward pass that follows a plan: its operators are compared with those of the batch before, and their values are
looked at; what they are, and whose, is known.
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.recording.counting.integers import read_together
from saformer.analysis.recording.module_paths import Frame, unwatched
from saformer.analysis.recording.observers.operations import Operations
from saformer.analysis.recording.operations.execution import Exit, Instruments, Ran
from saformer.analysis.recording.operations.operators import entry
from saformer.analysis.recording.origins.storage_map import tensors_in
from saformer.analysis.recording.parts import run_in_parts
from saformer.analysis.recording.plan.draft import Plan
from saformer.analysis.recording.plan.steps import Numbers, Step


class PlannedPass(TorchDispatchMode):
    """Follows a plan as long as the pass does; what was seen is booked at its end, or not at all.

    Args:
        plan: what a batch of this kind does.
        instruments: what observers share.
        operations: what counts operations.
        inputs: what the network is given.
        exits: ends of modules are steps, too, and where operators run is compared.
    """

    def __init__(
        self, plan: Plan, instruments: Instruments, operations: Operations, inputs: Iterable[Tensor], *, exits: bool
    ) -> None:
        super().__init__()
        self._exits = exits
        self._plan, self._instruments, self._operations = plan, instruments, operations
        self._numbers, self._at, self._departed = Numbers(inputs, not exits), 0, False
        self._found: list[Callable[[], object]] = []
        self._conditions: list[Callable[[], bool]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """As in the recorder."""
        return False

    def followed(self) -> bool:
        """Whether the pass was the one that was planned, to its end."""
        if self._departed or self._at != len(self._plan.steps):
            return False
        read_together()
        return all(condition() for condition in self._conditions)

    def book(self) -> Plan:
        """Book what was seen; the plan, for another batch."""
        for found in self._found:
            found()
        for rows, more in self._plan.sizes:
            rows.add_sizes(more)
        return self._plan

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and look at its values."""
        kwargs = kwargs or {}
        step = self._next(func, self._instruments.paths.place if self._exits else "", args, kwargs)
        if step is None:
            return func(*args, **kwargs)
        if step.parts:
            out = run_in_parts(self, self._operations, func, entry(func, kwargs), args, kwargs)
        else:
            out = self._run(step, func, args, kwargs)
        if step.makes:
            self._numbers.note(out, args)
        return out

    def _next(self, func: Any, where: Any, args: Any, kwargs: Any) -> Step | None:
        """The step that an operator, or the end of a module, is; None once the pass has left the plan."""
        steps = self._plan.steps
        if self._departed or self._at == len(steps):
            self._departed = True
            return None
        step = steps[self._at]
        if func != step.func or self._numbers.signature(where, args, kwargs) != step.signature:
            self._departed = True
            return None
        self._at += 1
        return step

    def _run(self, step: Step, func: Any, args: Any, kwargs: Any) -> Any:
        if step.writes:
            for x in tensors_in((args, kwargs)):
                self._instruments.forget(x)
        ran = Ran(args)
        if step.fire is not None:
            ran.fired = step.fire(*args, in_words=step.use.words)
            if ran.fired is None or not ran.fired.finite:  # the recorder says where
                self._departed = True
        if step.make is not None:
            ran.out = step.make(*args)
        if ran.out is None:
            ran.out = func(*args, **kwargs) if ran.fired is None else ran.fired.spikes
        if not self._departed:
            self._look(step, ran)
        return ran.out

    def leave_module(self, frame: Frame, args: Any, output: Any) -> None:
        """A module ended, where these are steps, too."""
        ended = Exit(frame, args, output, [])
        step = None if ended.out is None else self._next(frame.path, "", (*ended.args, ended.out), {})
        if step is not None and step.looks:
            with unwatched():
                self._look(step, ended)

    def _look(self, step: Step, ran: Ran) -> None:
        self._found += [look(ran) for look in step.looks]
        self._conditions += ran.conditions
