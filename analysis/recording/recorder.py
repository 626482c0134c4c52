"""The recorder: counts, in integers, what the operators of a forward pass read and compute.

A dispatch mode sees every operator that a forward pass executes, in a module of its own or functional, and shows it to
observers; hooks tell which module it runs in. Counts stay on the model's device until they are read, once, at the end.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.recording.beforehand.batch_axis import Layouts
from saformer.analysis.recording.beforehand.shown import Shown
from saformer.analysis.recording.counting.integers import read_together
from saformer.analysis.recording.module_log import ModuleLog
from saformer.analysis.recording.module_paths import Frame, ModulePaths, unwatched
from saformer.analysis.recording.observers.elementwise import Elementwise, FreeCounts
from saformer.analysis.recording.observers.neurons import NeuronListing
from saformer.analysis.recording.observers.operation_counts import OperationCounts
from saformer.analysis.recording.observers.operations import Operations
from saformer.analysis.recording.observers.unseen import Unseen
from saformer.analysis.recording.observers.unsupported import Unsupported
from saformer.analysis.recording.operations.execution import (
    Execution,
    Exit,
    Instruments,
    Observer,
    Ran,
    draws,
    fire_own,
    no_booking,
)
from saformer.analysis.recording.operations.operators import Kind, Operator, Role, entry
from saformer.analysis.recording.origins.lineage import Lineage
from saformer.analysis.recording.origins.sources import Provenance, replace
from saformer.analysis.recording.origins.storage_map import tensors_in
from saformer.analysis.recording.parts import run_in_parts
from saformer.analysis.recording.plan.draft import Draft, NoDraft, Plan, kind_of_input
from saformer.analysis.recording.plan.planned_pass import PlannedPass
from saformer.analysis.recording.plan.steps import Step
from saformer.models.config import Model
from saformer.neurons import lif
from saformer.neurons.norm_lif import Normalised
from saformer.neurons.one_pass import Fired
from saformer.pooling import max_pool2d

_NORM = torch.ops.aten.batch_norm.default
_ADD = torch.ops.aten.add.Tensor
_POOLS = (torch.ops.aten.max_pool2d.default, max_pool2d)
_BY_VALUE = (Role.SELECTS, Role.LITERAL, Role.PLACES)  # what these put out is judged by its values


class Recorder(TorchDispatchMode):
    """Counts synaptic operations, spikes, free arithmetic and whatever it does not know, per module path.

    Run forward passes inside `recording()`, each announced by `start_batch` and closed by `end_batch`.

    Args:
        model: the network; its modules give the names.
        time_steps: T, if activations are laid out time first as T*B or T x B; None if the layout is unknown, then
            images are told apart only where `other` shows which dimension holds them.
        graded: also count an integer input of k as k events.
        shown: what a dry run on another number of images showed.
        neurons: patterns of paths: these modules are layers of neurons.
        noting_rows: keep what tells the order of images and steps.
        log: is told what modules put out, and which weights were read.
    """

    def __init__(
        self,
        model: nn.Module,
        time_steps: int | None,
        graded: bool = False,
        shown: Shown | None = None,
        neurons: Sequence[str] = (),
        noting_rows: bool = False,
        log: ModuleLog | None = None,
    ) -> None:
        super().__init__()
        self._log = log
        self._planning = log is None and not noting_rows and (shown is None or shown.at_rest)
        # A stranger's model may run other modules at its next call, with the same operators.
        self._exits = not isinstance(model, Model)
        self._draft: Draft | NoDraft = NoDraft()
        self._plan: Plan | None = None
        self._planned: PlannedPass | None = None
        self.model, self.time_steps = model, time_steps
        self.batch_sizes: list[int] = []
        self.operators = 0  # that the model ran, without the parts that some run as
        self._in_one = 0
        outside, shapes = ((), None) if shown is None else (shown.outside, shown.shapes)
        self.paths, self.lineage = ModulePaths(model, whole=bool(neurons)), Lineage(outside, keeping=noting_rows)
        self.layouts = Layouts(time_steps, shapes, isinstance(model, Model), noting_rows)
        self.instruments = Instruments(self.paths, self.lineage, self.layouts)
        self.neurons = NeuronListing(self.instruments, neurons)
        self.operations = Operations(self.instruments, self.neurons, graded)
        self.elementwise = Elementwise(self.instruments)
        self.unsupported, self.unseen = Unsupported(self.instruments), Unseen(self.instruments)
        # The lineage of results stands between those that book them and those that list what they are.
        self._booking: tuple[Observer, ...] = (self.unseen, self.operations)
        self._listing: tuple[Observer, ...] = (self.elementwise, self.neurons, self.unsupported)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Compiled parts run as they were written: the compiler need not be imported, which takes seconds."""
        return False

    @property
    def by_image(self) -> bool:
        """Whether all that was counted can be told apart by image."""
        return self.operations.by_image and self.elementwise.by_image

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Watch everything that is executed inside. (Entering the mode itself is also how it decomposes operators.)"""
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # one fused operator hides the products of attention
        # Compiled parts run operator by operator, as they were written; without the compiler loaded there are none.
        eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
        try:
            with ExitStack() as stack:
                stack.enter_context(eager)
                if self._planned is None:
                    self.lineage.constants.start(self.paths.modules.items())
                if self._planned is None or self._exits:
                    stack.enter_context(self.paths.watching(self._planned or self))
                if self._log is not None:
                    stack.enter_context(self._log.watching(self.model))
                stack.enter_context(self._planned or self)
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            self.lineage.constants.stop()

    def leave_module(self, frame: Frame, args: Any, output: Any) -> None:
        """A module ended: what it put out may be the spikes of a layer of neurons, or come from a kernel unseen."""
        ended = Exit(frame, args, output, [])
        if ended.out is None:
            return
        self.instruments.asking = ended
        if self._exits:
            ended.looks = self._draft.step(frame.path, "", (*ended.args, ended.out), {}).looks
        with unwatched():
            self.unseen.leave_module(ended, args)
            source = self.lineage.source(ended.out)
            if source is not None and not source.maker:
                self.lineage.set_source(ended.out, replace(source, maker=frame.path))
            self.neurons.leave_module(ended)
        self.instruments.asking = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and show it to the observers."""
        kwargs = kwargs or {}
        self.operators += not self._in_one
        step = self._draft.step(func, self.paths.place if self._exits else "", args, kwargs)
        out = self._run(func, args, kwargs, step)
        self._draft.note(step, out, args)
        return out

    def _run(self, func: Any, args: Any, kwargs: Any, step: Step) -> Any:
        operator = entry(func, kwargs)
        if self._has_parts(operator, args):
            step.parts = True
            self._in_one += 1
            try:
                out = run_in_parts(self, self.operations, func, operator, args, kwargs)
            finally:
                self._in_one -= 1
            if out is not NotImplemented:
                return out
            step.parts = False
        if operator is not None and operator.kind is Kind.NORM_AND_NEURON:
            return self._norm_and_neuron(Normalised(*args), step)
        execution = Execution(func, operator, args, kwargs, self.paths.path, step.looks)
        step.writes = execution.writes
        if execution.is_view():  # it has the entries of its memory: that it is read is all there is to see
            for x in execution.inputs:
                self.operations.note_read(x)
            return execution.out
        out = self._watched(execution, step)
        if execution.fired is not None:
            step.fire, step.use = fire_own, execution.fired.use
        return out

    def _watched(self, execution: Execution, step: Step) -> Any:
        """Run an operator, unless its results are there, and show it to the observers."""
        operator, self.instruments.asking = execution.operator, execution
        if self._hangs_on_values(execution):
            self.instruments.judge()
        if execution.writes:
            for x in execution.inputs:
                self.lineage.settle(x)
        for observer in (*self._booking, *self._listing):
            observer.before(execution)
        make = self._maker_of(execution)
        if make is not None:
            execution.take(make(*execution.args))
            step.make = make if execution.out is not None else None
        execution.run()
        for observer in self._booking:
            observer.after(execution)
        if execution.booked is not None:
            weighted = execution.weight is not None
            self.lineage.book(execution.booked, execution.inputs, execution.out, weighted)
            if self._log is not None and execution.weight is not None:
                self._log.note_weight(execution.booked, execution.weight, self.lineage.constants)
        elif operator is None or operator.kind is not Kind.NEURON:
            inputs = (execution.args, execution.kwargs)
            self.lineage.follow(operator, execution.name, execution.path, execution.func, inputs, execution.out)
            if (
                not execution.kwargs
                and self.instruments.bounds.follow(operator, execution.func, execution.args, execution.out)
                and self._exits
                and step.func is execution.func
            ):
                execution.looks.append(partial(self._follow_bounds, operator, execution.func))
        for observer in self._listing:
            observer.after(execution)
        self.instruments.asking = None
        return execution.out

    def _follow_bounds(self, operator: Operator | None, func: Any, ran: Ran) -> Callable[[], None]:
        """Follow how large results can be in another batch."""
        self.instruments.bounds.follow(operator, func, ran.args, ran.out)
        return no_booking

    def _hangs_on_values(self, execution: Execution) -> bool:
        """Whether it puts out what is judged by its values, or constants that may be others in the next batch."""
        operator = execution.operator
        if operator is not None and operator.role in _BY_VALUE:
            return True
        if operator is not None and not draws(execution.func):
            return False
        return (operator is not None and operator.kind is Kind.CREATOR) or not self.instruments.depends(execution)

    def _maker_of(self, execution: Execution) -> Callable[..., Tensor | None] | None:
        """What makes its result, the same, and as it does looks at values that somebody will ask for: of what is
        pooled, and of sums of spikes. It may find that it cannot.
        """
        func, args = execution.func, execution.args
        if execution.kwargs:
            return None
        if func in _POOLS:
            return self.instruments.counter.max_pool
        if func is not _ADD or len(execution.inputs) != 2 or len(args) != 2:
            return None
        sources = map(self.lineage.source, execution.inputs)
        spikes = all(source is not None and source.provenance is Provenance.SPIKES for source in sources)
        return self.instruments.counter.add if spikes else None

    def _norm_and_neuron(self, given: Normalised, step: Step) -> Tensor:
        """Show both to the observers as if they had run one by one, each with a result of its own.

        What is between was never written where one pass computed both: memory that nobody touches stands for it. The
        spikes stand where `x` was, or in memory of their own.
        """
        x = given.x
        if self._exits:  # BatchNorm's module ends in between
            self.instruments.judge()
        between = torch.empty_like(x)
        norm_args = (x, given.weight, given.bias, given.mean, given.var, False, 0.0, given.eps, False)
        with self.paths.norm_before(given.mean, x, between):
            norm = Execution(_NORM, entry(_NORM, {}), norm_args, {}, self.paths.path, step.looks)
            norm.take(between)
            self._watched(norm, step)
        self.instruments.forget(x)
        fired, step.fire, step.writes = fire_normalised(*given), fire_normalised, True
        if fired is None:
            self.instruments.judge()
            between.copy_(given.normalise())
        elif not fired.finite:  # which the observers look for in what the neurons read
            between.fill_(torch.nan)
        lif_args = (between, given.tau, given.threshold, given.reset)
        neurons = Execution(lif, entry(lif, {}), lif_args, {}, self.paths.path, step.looks)
        if fired is not None:
            step.use = fired.use
            neurons.take(fired.spikes, fired)
        return self._watched(neurons, step)

    def _has_parts(self, operator: Operator | None, args: Any) -> bool:
        """Whether an operator runs as its parts, which come back here, if it has any."""
        if operator is None or operator.kind is Kind.COMPOSITE:
            return True
        if not operator.parts or operator.formula is None:
            return False
        return operator.formula(args, None, self.lineage.is_activation) is None

    def start_batch(self, inputs: Sequence[Tensor], images: Tensor) -> None:
        """Announce a forward pass over a batch of images, from which these input tensors were made.

        Raises:
            InputError: the input holds infinities or NaN.
        """
        self.batch_sizes.append(len(images))
        self.instruments.start_batch(len(images))
        self.neurons.start_batch()
        self.operations.start_batch(inputs, images)
        given = kind_of_input(inputs, self.operations.images.drawn)
        plan, self._plan = self._plan, None
        if plan is not None and plan.given == given:
            self._planned = PlannedPass(plan, self.instruments, self.operations, inputs, exits=self._exits)
        else:
            self._draft = (
                Draft(given, inputs, not self._exits, self._rows(), self.operators) if self._planning else NoDraft()
            )

    def start_again(self, inputs: Sequence[Tensor]) -> None:
        """Announce that the batch runs once more, since it went another way than planned."""
        self._planned, self._planning = None, False
        self.instruments.look_anew()
        self.operations.images.enter(inputs)

    def _rows(self) -> list[OperationCounts | FreeCounts]:
        return [*self.operations.counts.values(), *self.elementwise.counts.values()]

    @property
    def planned(self) -> bool:
        """Whether the batch that runs follows a plan."""
        return self._planned is not None

    def departed(self) -> bool:
        """Whether the batch went another way than planned: nothing was counted, and it must run again."""
        return self._planned is not None and not self._planned.followed()

    def end_batch(self, output: Any) -> None:
        """Close the batch: its counters become rows of `units`, one per image (or one for the batch).

        Raises:
            InputError: the output, or something on the way to it, holds infinities or NaN.
        """
        finite = self.instruments.finite
        for x in tensors_in((output,)):
            finite.watch_result(x, "the model's output holds")
            self.operations.note_read(x)
        finite.settle()
        read_together()
        if self._planned is not None:
            self._plan = self._planned.book()
            self.operators += self._plan.operators
            self._planned = None
        elif not self.instruments.judging:
            self._plan = self._draft.plan(self._rows(), self.operators)
        self._draft = NoDraft()
        for counts in (*self.operations.counts.values(), *self.elementwise.pools()):
            counts.close(len(self.batch_sizes) - 1)


def fire_normalised(*args: Any, in_words: bool = True) -> Fired | None:
    """As `fire_own`, of neurons behind BatchNorm."""
    return Normalised(*args).fire(in_words)
