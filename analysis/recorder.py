"""The recorder: runs along with a model and writes down integers. It knows no picojoules and no paper.

A dispatch mode sees every operator that a forward pass executes, in a module of its own or functional; hooks tell
which module it runs in. Counts stay on the model's device until they are read, once, at the end.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.counting import Counter, Held
from saformer.analysis.operations import (
    ATTENTION,
    AVERAGES,
    CREATORS,
    FORMULAS,
    FREE,
    KEEP_BINARY,
    MOVES,
    NORMS,
    RECURRENT,
    Call,
)
from saformer.analysis.profiles import SPIKES_OF
from saformer.analysis.storages import StorageMap
from saformer.naming import current_name
from saformer.neurons import lif

_NEURON = lif.overloadpacket
_RESULT_OF = "result of "  # source of what a layer with weights puts out


@dataclass
class OperationCounts:
    """Running integers of one synaptic operation. `units` holds one row of counters per image, batch by batch."""

    name: str
    op: str
    bias: int
    inner: int
    module: bool
    sources: tuple[str, ...]
    elements: list[int]
    ones: list[Held]
    dense: int = 0
    outputs: int = 0
    weights: int = 0
    lost: Held | None = None  # events that meet a zero weight; None: no weight is zero
    graded: Held | None = None
    all_integers: bool = True
    current: list[Held] = field(default_factory=list)  # this batch: nonzeros of each operand, then events
    units: list[Held | None] = field(default_factory=list)


@dataclass
class NeuronCounts:
    """Running integers of one spiking layer."""

    name: str
    elements: int = 0
    per_step: list[Held] = field(default_factory=list)
    steps_in_batch: int = 0


@dataclass
class FreeCounts:
    """Running integers of arithmetic that is not synaptic; what a pool read, too, in `units` by image."""

    elements: int = 0
    inputs: int = 0
    ones: Held | None = None
    foldable: bool = True
    module: bool = False
    current: list[Held] = field(default_factory=list)  # this batch: nonzeros that a pool read
    units: list[Held | None] = field(default_factory=list)


@dataclass
class _Frame:
    """A module that is being executed, and what was booked inside it."""

    module: nn.Module
    path: str
    used: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    weighted: bool = False
    products: list[str] = field(default_factory=list)
    neurons: list[str] = field(default_factory=list)
    unknown: list[tuple[str, str]] = field(default_factory=list)


# Where libraries define what all their spiking neurons descend from.
_LIBRARY_NEURONS = {("spikingjelly", "BaseNode"), ("spikingjelly", "SimpleBaseNode"), ("snntorch", "SpikingNeuron")}


def _of_a_library(module: nn.Module) -> bool:
    bases = type(module).__mro__
    return any((base.__module__.partition(".")[0], base.__name__) in _LIBRARY_NEURONS for base in bases)


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


class Recorder(TorchDispatchMode):
    """Counts synaptic operations, spikes, free arithmetic and whatever it does not know, per module path.

    Run forward passes inside `recording()`, each announced by `start_batch` and closed by `end_batch`.

    Args:
        model: the network; its modules give the names.
        time_steps: T, if activations are laid out time first as T*B or T x B; None if the layout is unknown, then
            only activations whose first dimension is the batch can be told apart by image.
        graded: also count an integer input of k as k events.
    """

    def __init__(self, model: nn.Module, time_steps: int | None, graded: bool = False) -> None:
        super().__init__()
        self.model = model
        self.time_steps = time_steps
        self.graded = graded
        self.operations: dict[str, OperationCounts] = {}
        self.neurons: dict[str, NeuronCounts] = {}
        self.free: defaultdict[tuple[str, str], FreeCounts] = defaultdict(FreeCounts)
        self.uncounted: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._certain: set[str] = set()  # neurons that are so by their operator or their class
        self.batch_sizes: list[int] = []
        self.by_image = True
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._stack: list[_Frame] = []
        self._sources: StorageMap[str] = StorageMap()  # of activations: the operation whose result they are
        self._constants: StorageMap[bool] = StorageMap()  # computed, but not from the input
        self._zero_weights: StorageMap[bool] = StorageMap()
        self._counter = Counter()
        self._batch = 0
        self._merging = 0

    # -- modules --------------------------------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Watch everything that is executed inside. (Entering the mode itself is also how it decomposes operators.)"""
        hooks = []
        for module in self.model.modules():
            hooks.append(module.register_forward_pre_hook(self._enter_module))
            hooks.append(module.register_forward_hook(self._leave_module, always_call=True, with_kwargs=True))
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # one fused operator hides the products of attention
        try:
            with self:
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            self._stack.clear()
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, args: Any) -> None:
        self._stack.append(_Frame(module, self._paths.get(id(module), "")))

    def _leave_module(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        frame, args = self._stack.pop(), (args, kwargs)
        self._notice_opaque(frame, args, output)
        if not frame.weighted and not type(module).__module__.startswith("torch.nn"):
            self._recognise_neuron(frame, args, output)
        if self._stack:
            parent = self._stack[-1]
            parent.weighted |= frame.weighted
            parent.products += frame.products
            parent.neurons += frame.neurons
            parent.unknown += frame.unknown

    def _notice_opaque(self, frame: _Frame, args: Any, output: Any) -> None:
        """A result that no operator was seen to compute came from elsewhere (numpy, a kernel of its own, a thread).

        It depends on the input all the same, so what follows is counted; the module itself is named as not counted.
        """
        put = next(_tensors((output,)), None)
        if put is None or not put.is_floating_point() or put in self._sources or put in self._constants:
            return
        own = {_storage(x) for x in (*self.model.parameters(), *self.model.buffers())}
        if _storage(put) not in own and any(self._is_activation(x) for x in _tensors((args,))):
            self._sources[put] = f"something unseen in {frame.path}"
            key = (frame.path, "something outside PyTorch's dispatcher")
            self.uncounted[key] += 1
            frame.unknown.append(key)

    def _recognise_neuron(self, frame: _Frame, args: Any, output: Any) -> None:
        """A module without weights that turns values into zeros and ones is a layer of neurons, whoever wrote it.

        The outermost such module counts, and the arithmetic inside it is the neurons' own. Of neurons that are certain
        (ours, a library's, one seen before) the input says nothing: it may be silent, or spikes. What goes around
        certain neurons is no neuron.
        """
        read, put = next(_tensors((args,)), None), next(_tensors((output,)), None)
        if read is None or put is None or not put.is_floating_point() or not put.numel():
            return
        if not self._certain.isdisjoint(frame.neurons):
            return
        if _storage(read) == _storage(put) or self._counter.is_binary(put) or not self._is_activation(put):
            return
        with torch.utils._python_dispatch._disable_current_modes():
            library = _of_a_library(frame.module)
            expected = library or frame.path in self.neurons
            if (not expected and self._is_binary(read)) or not self._is_binary(put):
                return
            if library:
                self._certain.add(frame.path)
            for name in frame.neurons:
                self.neurons.pop(name, None)
            for name in frame.products:
                self.operations.pop(name, None)
            for key in frame.unknown:
                self.uncounted.pop(key, None)
            frame.products.clear()
            frame.unknown.clear()
            self._book_neuron(frame.path, put)
        frame.neurons = [frame.path]
        self._sources[put] = f"{SPIKES_OF}{frame.path}"

    def _is_binary(self, x: Tensor) -> bool:
        """Only zeros and ones; a glance at a few elements settles most cases."""
        if self._counter.is_binary(x):
            return True
        glance = x.flatten()[:: max(x.numel() // 1024, 1)]
        if bool(((glance != 0) & (glance != 1)).any()):
            return False
        nonzero, ones = self._counter.count(x, 1)
        return int(nonzero) == int(ones)

    def _path(self) -> str:
        return self._stack[-1].path if self._stack else ""

    def _name(self, call: Call) -> tuple[str, bool]:
        """Path of the module whose weight it is, or the module it runs in plus what it is; whether it is a module."""
        frame = self._stack[-1] if self._stack else _Frame(self.model, "")
        if call.weight is not None:
            for name, parameter in frame.module.named_parameters(recurse=False):
                if _storage(parameter) == _storage(call.weight):
                    if name == "weight" and frame.path:
                        return frame.path, True
                    return f"{frame.path}.{name}".lstrip("."), False
        what = current_name()
        if what is None:
            frame.used[call.op] += 1
            again = frame.used[call.op] > 1 and not self._merging
            what = f"{call.op}_{frame.used[call.op]}" if again else call.op
        return f"{frame.path}.{what}".lstrip("."), False

    # -- activations: what depends on the input ------------------------------------------------------------------

    def start_batch(self, inputs: Iterable[Tensor], batch: int) -> None:
        """Announce a forward pass over `batch` images with these input tensors."""
        self._batch = batch
        self.batch_sizes.append(batch)
        self._counter.clear()
        for neuron in self.neurons.values():
            neuron.steps_in_batch = 0
        for x in inputs:
            self._sources[x] = "the input"

    def _is_activation(self, x: Tensor) -> bool:
        return x in self._sources

    def _mark(self, func: Any, inputs: Any, outputs: Any, source: str | None) -> None:
        """Whatever is computed from an activation is one; everything else is a constant (a weight, however derived).

        Without a `source` of its own the result is a move, and keeps the source of what was moved.
        """
        origins = [found for x in _tensors(inputs) if (found := self._sources.get(x)) is not None]
        if func._schema.is_mutable:  # counts of what was written into are void
            for x in _tensors(inputs):
                self._counter.forget(x)
        for x in _tensors((outputs,)):
            if not origins:
                self._sources.discard(x)
                if func._overloadpacket is not torch.ops.aten.lift_fresh:  # that is what came from outside
                    self._constants[x] = True
            elif source is not None or not self._is_activation(x):
                self._sources[x] = source or origins[0]

    # -- the dispatcher --------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and book it."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        source: str | None = f"{packet.__name__} in {self._path()}".removesuffix(" in ")
        if packet in CREATORS:
            out = func(*args, **kwargs)
            for x in _tensors((out,)):
                self._sources.discard(x)  # like an activation in shape alone
                self._constants[x] = True
            return out
        if packet in MOVES:
            out, source = func(*args, **kwargs), None
        elif packet in FORMULAS:
            # An operator that writes into its argument is counted on what it read.
            mutable = func._schema.is_mutable
            call = FORMULAS[packet](args, args[0], self._is_activation) if mutable else None
            booked = self._book(call) if call is not None else None
            out = func(*args, **kwargs)
            if not mutable and (call := FORMULAS[packet](args, out, self._is_activation)) is not None:
                booked = self._book(call, out)
            if booked is not None:
                source = f"{_RESULT_OF}{booked}"
            elif call is None:
                self._book_free(packet, args, out)
        elif packet in FREE:
            out = func(*args, **kwargs)
            self._book_free(packet, args, out)
            if packet in KEEP_BINARY and self._counter.is_binary(args[0]):
                self._counter.mark_binary(out)
        elif packet is _NEURON:
            out = func(*args, **kwargs)
            self._counter.mark_binary(out)
            self._book_neuron(self._path(), out)
            self._certain.add(self._path())
            if self._stack:
                self._stack[-1].neurons.append(self._path())
            source = f"{SPIKES_OF}{self._path()}"
        elif packet in ATTENTION:
            # The same attention, step by step: two products with a softmax between them.
            with self:
                return torch.ops.aten._scaled_dot_product_attention_math(*args, **kwargs)[0]
        else:
            out = self._decompose(func, packet, args, kwargs)
            if out is not NotImplemented:
                return out
            out = func(*args, **kwargs)
            if any(self._is_activation(x) for x in _tensors((args, kwargs))) and any(True for _ in _tensors((out,))):
                key = (self._path(), packet.__name__)
                self.uncounted[key] += 1
                if self._stack:
                    self._stack[-1].unknown.append(key)
        self._mark(func, (args, kwargs), out, source)
        return out

    def _decompose(self, func: Any, packet: Any, args: Any, kwargs: Any) -> Any:
        """Run a composite operator as its parts, which come back here; NotImplemented if it has none."""
        if packet not in RECURRENT:
            with self:
                return func.decompose(*args, **kwargs)
        # The same weights at every step of the sequence, under one name; not as one fused kernel.
        self._merging += 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the flag, not about the model
                with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False), self:
                    return func.decompose(*args, **kwargs)
        finally:
            self._merging -= 1

    # -- booking ---------------------------------------------------------------------------------------------------

    def _layout(self, shape: torch.Size, stacked: bool = False) -> tuple[int, Callable[[Tensor], Tensor]] | None:
        """Rows to keep apart, and what folds them to one number per image; None where images mix.

        With `stacked` only the first dimension can hold images and steps.
        """
        batch, leading = self._batch, shape[0] if shape else 1
        if self.time_steps is None:
            return (batch, lambda rows: rows) if leading == batch else None
        steps = self.time_steps
        if not stacked and leading == steps and len(shape) > 1 and shape[1] == batch:
            return steps * batch, lambda rows: rows.view(steps, batch).sum(0)
        if leading % (steps * batch) == 0 and leading >= steps * batch:
            return steps * batch, lambda rows: rows.view(steps, batch).sum(0)
        if leading == batch:
            return batch, lambda rows: rows
        return None

    def _book(self, call: Call, out: Tensor | None = None) -> str | None:
        """Add one execution to its operation; its name if it has weights, None too if no activation takes part."""
        if not any(self._is_activation(x) for x in call.operands):
            return None
        name, module = self._name(call)
        if self._stack:
            frame = self._stack[-1]
            frame.weighted |= call.op != "product"
            if call.op == "product":
                frame.products.append(name)
        counts = self.operations.get(name)
        if counts is None:
            zeros = [Held(torch.zeros((), dtype=torch.int64, device=x.device)) for x in call.operands]
            sources = tuple(self._sources.get(x) or "a constant" for x in call.operands)
            counts = self.operations[name] = OperationCounts(
                name, call.op, call.bias, call.inner, module, sources, [0] * len(call.operands), zeros
            )
        if call.weight is not None:
            counts.weights = call.weight.numel()  # the same at every execution, so it is not added up
        counts.dense += call.dense
        counts.outputs += call.dense if out is None else out.numel()
        counters: list[Tensor] = []
        layouts = [self._layout(x.shape, call.stacked) for x in call.operands]
        if any(layout is None for layout in layouts):
            self.by_image = False
        for i, (x, layout) in enumerate(zip(call.operands, layouts, strict=True)):
            rows, fold = layout or (1, lambda rows: rows)
            nonzero, ones = self._counter.count(x, rows)
            counts.elements[i] += x.numel()
            counts.ones[i] = counts.ones[i].plus(ones)
            counters.append(fold(nonzero))
        result = self._layout(call.rows, call.stacked) if call.rows is not None else layouts[0]
        if result is None:
            self.by_image = False
        rows, fold = (None if None in layouts else result) or (1, lambda rows: rows)
        events = call.events(rows, self._counter)
        counters.append(fold(events))
        if counts.current:
            counters = [_join(a.tensor(), b) for a, b in zip(counts.current, counters, strict=True)]
        counts.current = [Held(counter) for counter in counters]
        self._book_weights(call, counts, events)
        return name if call.weight is not None else None

    def _book_weights(self, call: Call, counts: OperationCounts, events: Tensor) -> None:
        """Events that meet a zero weight, where some weights are zero; graded events, if asked for."""
        if call.weight is not None and call.again is not None:
            whole = call.weight.numel() * call.weight.element_size() == call.weight.untyped_storage().nbytes()
            any_zero = self._zero_weights.get(call.weight) if whole else None  # of a part, the rest says nothing
            if any_zero is None:
                any_zero = bool((call.weight == 0).any())
                if whole:
                    self._zero_weights[call.weight] = any_zero
            if any_zero:
                met = (
                    call.again(_ones(call.operands[0]), _ones(call.weight))
                    .round()
                    .sum(dtype=torch.float64)
                    .to(torch.int64)
                )
                counts.lost = _plus(counts.lost, events.sum() - met)
        if not self.graded or not counts.all_integers:
            return
        sizes = [x.abs().to(torch.float64) for x in call.operands]
        if not all(torch.equal(size, size.round()) for size in sizes):
            counts.all_integers, counts.graded = False, None
            return
        if call.weight is not None and call.again is not None:
            result = call.again(sizes[0], torch.ones_like(call.weight, dtype=torch.float64))
        else:
            result = sizes[0] @ sizes[1] if call.op == "matmul" else sizes[0] * sizes[1]
        counts.graded = _plus(counts.graded, result.sum().to(torch.int64))

    def _book_neuron(self, name: str, spikes: Tensor) -> None:
        """Add spikes, step by step: T x B x ..., T*B x ..., or one step of a loop, B x ..."""
        counts = self.neurons.setdefault(name, NeuronCounts(name))
        shape, batch = spikes.shape, self._batch
        steps = 1
        if self.time_steps is not None and shape[0] in (self.time_steps, self.time_steps * batch):
            steps = self.time_steps
        elif self.time_steps is None and shape[0] != batch:
            steps = shape[0] if spikes.ndim > 1 and shape[1] == batch else max(shape[0] // batch, 1)
        layout = self._layout(spikes.shape)
        rows = layout[0] if layout and layout[0] % steps == 0 else steps if shape[0] % steps == 0 else 1
        per_step = self._counter.count(spikes, rows)[0].view(steps if rows % steps == 0 else 1, -1).sum(1)
        counts.elements += spikes.numel()
        for value in per_step:
            if counts.steps_in_batch < len(counts.per_step):
                counts.per_step[counts.steps_in_batch] = counts.per_step[counts.steps_in_batch].plus(value)
            else:
                counts.per_step.append(Held(value))
            counts.steps_in_batch += 1

    def _book_free(self, packet: Any, args: Any, out: Any) -> None:
        result = next(_tensors((out,)), None)
        if result is None or not result.is_floating_point():
            return
        free = self.free[self._path(), packet.__name__]
        free.elements += result.numel()
        if packet in NORMS:
            free.foldable &= (self._sources.get(args[0]) or "").startswith(_RESULT_OF)
        pools = bool(self._stack) and type(self._stack[-1].module).__module__ == "torch.nn.modules.pooling"
        if (pools or packet in AVERAGES or "max_pool" in packet.__name__) and isinstance(args[0], Tensor):
            free.module |= pools
            layout = self._layout(args[0].shape)
            if layout is None:
                self.by_image = False
            rows, fold = layout or (1, lambda rows: rows)
            nonzero, ones = self._counter.count(args[0], rows)
            nonzero = fold(nonzero)
            free.inputs += args[0].numel()
            free.current = [Held(_join(free.current[0].tensor(), nonzero) if free.current else nonzero)]
            free.ones = _plus(free.ones, ones)

    def pools(self) -> list[FreeCounts]:
        """Free arithmetic whose input was counted."""
        return [counts for counts in self.free.values() if counts.ones is not None]

    def end_batch(self) -> None:
        """Close the batch: its counters become rows of `units`, one per image (or one for the batch)."""
        counted: list[OperationCounts | FreeCounts] = [*self.operations.values(), *self.pools()]
        for counts in counted:
            done = len(self.batch_sizes) - 1
            counts.units.extend([None] * (done - len(counts.units)))
            if counts.current:
                parts = [held.tensor() for held in counts.current]
                if len({len(x) for x in parts}) > 1:
                    parts = [x.sum().view(1) for x in parts]
                counts.units.append(Held(torch.stack(parts, 1)))
                counts.current = []
            else:
                counts.units.append(None)


def _join(a: Tensor, b: Tensor) -> Tensor:
    """Add counters of two calls in a batch; where one of them is for the batch as a whole, so is the sum."""
    return a + b if len(a) == len(b) else (a.sum() + b.sum()).view(1)


def _plus(total: Held | None, value: Tensor) -> Held:
    return Held(value) if total is None else total.plus(value)


def _ones(x: Tensor) -> Tensor:
    return x.ne(0).to(torch.float32)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
