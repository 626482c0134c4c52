"""The recorder: runs along with a model and writes down integers. It knows no picojoules and no paper.

A dispatch mode sees every operator that a forward pass executes, in a module of its own or functional; hooks tell
which module it runs in. Counts stay on the model's device until they are read, once, at the end.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.counting import Counter
from saformer.analysis.operations import FORMULAS, FREE, MOVES, Call
from saformer.analysis.storages import StorageMap
from saformer.naming import current_name
from saformer.neurons import lif

_NEURON = lif.overloadpacket
# Zeros and ones go in, zeros and ones come out.
_KEEP_BINARY = frozenset((torch.ops.aten.max_pool2d, torch.ops.aten.max_pool3d))


@dataclass
class OperationCounts:
    """Running integers of one synaptic operation. `units` holds one row of counters per image, batch by batch."""

    name: str
    op: str
    dense: int = 0
    elements: list[int] = field(default_factory=list)
    ones: list[Tensor] = field(default_factory=list)
    current: list[Tensor] = field(default_factory=list)  # this batch: nonzeros of each operand, then events
    units: list[Tensor | None] = field(default_factory=list)


@dataclass
class NeuronCounts:
    """Running integers of one spiking layer."""

    name: str
    elements: int = 0
    per_step: Tensor | None = None


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


class Recorder(TorchDispatchMode):
    """Counts synaptic operations, spikes, free arithmetic and whatever it does not know, per module path.

    Run forward passes inside `recording()`, each announced by `start_batch` and closed by `end_batch`.

    Args:
        model: the network; its modules give the names.
        time_steps: T, if activations are laid out time first as T*B or T x B; None if the layout is unknown, then
            only activations whose first dimension is the batch can be told apart by image.
    """

    def __init__(self, model: nn.Module, time_steps: int | None) -> None:
        super().__init__()
        self.model = model
        self.time_steps = time_steps
        self.operations: dict[str, OperationCounts] = {}
        self.neurons: dict[str, NeuronCounts] = {}
        self.free: defaultdict[tuple[str, str], int] = defaultdict(int)  # elements of results
        self.uncounted: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.batch_sizes: list[int] = []
        self.by_image = True
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._stack: list[tuple[nn.Module, defaultdict[str, int]]] = []
        self._activations: StorageMap[bool] = StorageMap()
        self._counter = Counter()
        self._batch = 0

    # -- modules --------------------------------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Watch everything that is executed inside. (Entering the mode itself is also how it decomposes operators.)"""
        hooks = []
        for module in self.model.modules():
            hooks.append(module.register_forward_pre_hook(self._enter_module))
            hooks.append(module.register_forward_hook(self._leave_module, always_call=True))
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        self._stack.append((module, defaultdict(int)))

    def _leave_module(self, module: nn.Module, args: Any, output: Any) -> None:
        self._stack.pop()

    def _path(self) -> str:
        return self._paths.get(id(self._stack[-1][0]), "") if self._stack else ""

    def _name(self, call: Call) -> str:
        """Path of the module whose weight it is, or the module it runs in plus what it is."""
        path = self._path()
        module, used = self._stack[-1] if self._stack else (self.model, defaultdict(int))
        if call.weight is not None and not any(module.children()):
            own = {_storage(parameter) for parameter in module.parameters(recurse=False)}
            if _storage(call.weight) in own:
                return path or call.op
        what = current_name()
        if what is None:
            used[call.op] += 1
            what = call.op if used[call.op] == 1 else f"{call.op}_{used[call.op]}"
        return f"{path}.{what}" if path else what

    # -- activations: what depends on the input ------------------------------------------------------------------

    def start_batch(self, inputs: Iterable[Tensor], batch: int) -> None:
        """Announce a forward pass over `batch` images with these input tensors."""
        self._batch = batch
        self.batch_sizes.append(batch)
        self._counter.clear()
        for x in inputs:
            self._activations[x] = True

    def _is_activation(self, x: Tensor) -> bool:
        return x in self._activations

    def _mark(self, func: Any, inputs: Iterable[Any], outputs: Any) -> None:
        """Whatever is computed from an activation is one; everything else is a constant (a weight, however derived)."""
        dependent = any(self._is_activation(x) for x in _tensors(inputs))
        if func._schema.is_mutable:  # counts of what was written into are void
            for x in _tensors(inputs):
                self._counter.forget(x)
        for x in _tensors((outputs,)):
            if dependent:
                self._activations[x] = True
            else:
                self._activations.discard(x)

    # -- the dispatcher --------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and book it."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        if packet in FORMULAS:
            # An operator that writes into its argument is counted on what it read.
            before = None
            if func._schema.is_mutable:
                before = FORMULAS[packet](args, args[0], self._is_activation)
                if before is not None:
                    self._book(before)
            out = func(*args, **kwargs)
            call = None if func._schema.is_mutable else FORMULAS[packet](args, out, self._is_activation)
            if call is not None and any(self._is_activation(x) for x in call.operands):
                self._book(call)
            elif call is None and before is None:
                self._book_free(func, out)
        elif packet in MOVES:
            out = func(*args, **kwargs)
        elif packet in FREE:
            out = func(*args, **kwargs)
            self._book_free(func, out)
            if packet in _KEEP_BINARY and self._counter.is_binary(args[0]):
                self._counter.mark_binary(out)
        elif packet is _NEURON:
            out = func(*args, **kwargs)
            self._book_neuron(out)
        else:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            out = func(*args, **kwargs)
            if any(self._is_activation(x) for x in _tensors((args, kwargs))) and any(True for _ in _tensors((out,))):
                self.uncounted[self._path(), packet.__name__] += 1
        self._mark(func, (args, kwargs), out)
        return out

    # -- booking ---------------------------------------------------------------------------------------------------

    def _layout(self, x: Tensor) -> tuple[int, Callable[[Tensor], Tensor]] | None:
        """Rows to keep apart in `x`, and what folds them to one number per image; None where images mix."""
        batch, leading = self._batch, x.shape[0] if x.ndim else 1
        if self.time_steps is None:
            return (batch, lambda rows: rows) if leading == batch else None
        steps = self.time_steps
        if leading == steps and x.ndim > 1 and x.shape[1] == batch:
            return steps * batch, lambda rows: rows.view(steps, batch).sum(0)
        if leading % (steps * batch) == 0 and leading >= steps * batch:
            return steps * batch, lambda rows: rows.view(steps, batch).sum(0)
        if leading == batch:
            return batch, lambda rows: rows
        return None

    def _book(self, call: Call) -> None:
        name = self._name(call)
        counts = self.operations.get(name)
        if counts is None:
            counts = self.operations[name] = OperationCounts(name, call.op)
            counts.elements = [0] * len(call.operands)
            counts.ones = [torch.zeros((), dtype=torch.int64, device=x.device) for x in call.operands]
        counts.dense += call.dense
        counters: list[Tensor] = []
        layouts = [self._layout(x) for x in call.operands]
        if any(layout is None for layout in layouts):
            self.by_image = False
        for i, (x, layout) in enumerate(zip(call.operands, layouts, strict=True)):
            rows, fold = layout or (1, lambda rows: rows)
            nonzero, ones = self._counter.count(x, rows)
            counts.elements[i] += x.numel()
            counts.ones[i] = counts.ones[i] + ones
            counters.append(fold(nonzero))
        rows, fold = (None if None in layouts else layouts[0]) or (1, lambda rows: rows)
        counters.append(fold(call.events(rows, self._counter)))
        if counts.current:
            counters = [_join(a, b) for a, b in zip(counts.current, counters, strict=True)]
        counts.current = counters

    def _book_neuron(self, spikes: Tensor) -> None:
        name = self._path()
        counts = self.neurons.setdefault(name, NeuronCounts(name))
        steps = spikes.shape[0]
        layout = self._layout(spikes)
        rows = layout[0] if layout and layout[0] % steps == 0 else steps
        self._counter.mark_binary(spikes)
        per_step = self._counter.count(spikes, rows)[0].view(steps, -1).sum(1)
        counts.elements += spikes.numel()
        counts.per_step = per_step if counts.per_step is None else counts.per_step + per_step

    def _book_free(self, func: Any, out: Any) -> None:
        tensors = list(_tensors((out,)))
        if not tensors or not tensors[0].is_floating_point():
            return
        self.free[self._path(), func._overloadpacket.__name__] += tensors[0].numel()

    def end_batch(self) -> None:
        """Close the batch: its counters become rows of `units`, one per image (or one for the batch)."""
        for counts in self.operations.values():
            done = len(self.batch_sizes) - 1
            counts.units.extend([None] * (done - len(counts.units)))
            if counts.current:
                size = max(len(x) for x in counts.current)
                same = all(len(x) == size for x in counts.current)
                parts = counts.current if same else [x.sum().view(1) for x in counts.current]
                counts.units.append(torch.stack(parts, 1))
                counts.current = []
            else:
                counts.units.append(None)


def _join(a: Tensor, b: Tensor) -> Tensor:
    """Add counters of two calls in a batch; where one of them is for the batch as a whole, so is the sum."""
    return a + b if len(a) == len(b) else (a.sum() + b.sum()).view(1)


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
