"""The recorder: runs along with a model and writes down integers. It knows no picojoules and no paper.

A dispatch mode sees every operator that a forward pass executes, in a module of its own or functional; hooks tell
which module it runs in. Counts stay on the model's device until they are read, once, at the end.
"""

import sys
import warnings
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.profiles import SPIKES_OF, inside
from saformer.analysis.recording.batch_axis import Layout, Layouts, ShapeLog
from saformer.analysis.recording.counters import Counter, Held
from saformer.analysis.recording.formulas import FORMULAS, Call, attention, einsum
from saformer.analysis.recording.lateness import Calls, Late
from saformer.analysis.recording.lineage import RESULT_OF, Provenance, Source, raw_sources
from saformer.analysis.recording.nonfinite import FiniteCheck
from saformer.analysis.recording.operators import (
    ATTENTION,
    AVERAGES,
    CREATORS,
    ENCODERS,
    FREE,
    KEEP_BINARY,
    MOVES,
    NORMS,
    RECURRENT,
    aten,
)
from saformer.analysis.recording.recognition import Recognition, of_a_library
from saformer.analysis.recording.storage_map import StorageMap, storage_id, tensors_in
from saformer.errors import InputError
from saformer.models.config import Model
from saformer.naming import current_name
from saformer.neurons import lif

_NEURON = lif.overloadpacket


@dataclass
class OperationCounts:
    """Running integers of one synaptic operation. `units` holds one row of counters per image, batch by batch."""

    name: str
    op: str
    bias: int
    inner: int
    module: bool
    sources: tuple[Source | None, ...]
    elements: list[int]
    ones: list[Held]
    dense: int = 0
    executions: int = 0  # images times steps
    outputs: int = 0
    weights: int = 0
    lost: Held | None = None  # events that meet a zero weight; None: no weight is zero
    graded: Held | None = None
    all_integers: bool = True
    image: bool = False  # it read the network's input where that held other values than zeros and ones
    current: list[Held] = field(default_factory=list)  # this batch: nonzeros of each operand, then events
    units: list[Held | None] = field(default_factory=list)


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
    """A module that is being executed, and what happened inside it."""

    module: nn.Module
    path: str
    given: frozenset[int] = frozenset()  # storages of its arguments
    multiplies: bool = False  # two of its arguments, neither of them spikes
    used: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    weighted: bool = False
    certain: bool = False  # holds neurons that are so by their operator or their class


class Recorder(TorchDispatchMode):
    """Counts synaptic operations, spikes, free arithmetic and whatever it does not know, per module path.

    Run forward passes inside `recording()`, each announced by `start_batch` and closed by `end_batch`.

    Args:
        model: the network; its modules give the names.
        time_steps: T, if activations are laid out time first as T*B or T x B; None if the layout is unknown, then
            images are told apart only where `other` shows which dimension holds them.
        graded: also count an integer input of k as k events.
        other: shapes that the same model's tensors had with another number of images.
        late: modules whose first calls come before any input has reached them.
    """

    def __init__(
        self,
        model: nn.Module,
        time_steps: int | None,
        graded: bool = False,
        other: ShapeLog | None = None,
        late: Late | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.time_steps = time_steps
        self.graded = graded
        self.operations: dict[str, OperationCounts] = {}
        self.free: defaultdict[tuple[str, str], FreeCounts] = defaultdict(FreeCounts)
        self.uncounted: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.batch_sizes: list[int] = []
        self.by_image = True
        self.layouts = Layouts(time_steps, other, time_first=isinstance(model, Model))
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._modules = frozenset(self._paths.values())
        self._kinds: defaultdict[str, dict[Any, str]] = defaultdict(dict)  # name -> kind of call -> name of its own
        self._drawn = False  # the input is spikes that were drawn from the images
        self._grey = False  # images hold other values than zeros and ones: so far, and in this batch
        self._grey_now = False
        self._stack: list[_Frame] = []
        self._provenance = Provenance(model)
        self._zero_weights: StorageMap[bool] = StorageMap()
        self._functional: set[tuple[int, int, int]] = set()  # spikes of neurons that are no modules, this batch
        self._pooled: dict[int, weakref.ref[Tensor]] = {}  # what was averaged, by the token of the average, this batch
        self._resetting: set[str] = set()  # modules that reset membranes
        self.fired = False  # a value was compared that had been reset where it fired, as a membrane is
        self._counter = Counter()
        self._finite = FiniteCheck()
        self.recognition = Recognition(self._provenance, self._counter, self.layouts)
        self._merging = 0
        self._late = late or Late()
        self.calls: Calls | None = None  # set it to have them noted

    # -- modules --------------------------------------------------------------------------------------------------

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Watch everything that is executed inside. (Entering the mode itself is also how it decomposes operators.)"""
        hooks = []
        for path, module in self.model.named_modules():
            if isinstance(module, torch.jit.ScriptModule) and not isinstance(module, torch.jit.TopLevelTracedModule):
                raise InputError(f"{path or 'the model'} was compiled by torch.jit.script: give it as it was written")
            hooks.append(module.register_forward_pre_hook(self._enter_module, with_kwargs=True))
            hooks.append(module.register_forward_hook(self._leave_module, always_call=True, with_kwargs=True))
        fast_path = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)  # one fused operator hides the products of attention
        # Compiled parts run operator by operator, as they were written; without the compiler loaded there are none.
        eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
        self._provenance.start()
        try:
            with eager, self:
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            self._provenance.stop()
            self._stack.clear()
            for hook in hooks:
                hook.remove()

    def _enter_module(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        path = self._paths.get(id(module), "")
        if _of_torch(module) and not (self._late.reads or self.calls):  # no candidate for a neuron
            self._stack.append(_Frame(module, path))
            return
        given = list(tensors_in((args, kwargs)))
        if path in self._late.reads:
            self._reached(given, path)
        if self.calls is not None:
            self.calls.read(path, given, self._provenance)
        self._stack.append(_Frame(module, path, frozenset(map(storage_id, given))))

    def _reached(self, tensors: list[Tensor], path: str) -> None:
        """Take the state of a model before any input has reached it as what it is in later steps: an activation."""
        for x in tensors:
            known = self._provenance.is_activation(x) or self._provenance.is_parameter(x)
            if x.is_floating_point() and x.numel() and not known and bool((x == x.flatten()[0]).all()):  # at rest
                self._provenance.set_source(x, Source(f"a state in {path}"))

    def _leave_module(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        frame = self._stack.pop()
        read, put = next(tensors_in((args, kwargs)), None), next(tensors_in((output,)), None)
        self._notice_opaque(frame, (args, kwargs), put)
        if put is not None:
            if frame.path in self._late.puts:
                self._reached([put], frame.path)
            if self.calls is not None:
                self.calls.put(frame.path, put, self._provenance)
        library = of_a_library(module)
        source = None if put is None else self._provenance.source(put)
        frame.weighted |= frame.multiplies and source is not None and bool(source.passed)
        if put is not None and source is not None and not source.maker:
            source = replace(source, maker=frame.path)
            self._provenance.set_source(put, source)
        if (frame.weighted or frame.certain) and not library:
            self.recognition.refute(frame.path)
        elif not _of_torch(module) and self.recognition.watch(module, frame.path, read, put, frame.weighted):
            assert read is not None and put is not None and source is not None  # what puts out no activation is none
            with torch.utils._python_dispatch._disable_current_modes():
                self._finite.watch(read, f"the input of the neurons in {frame.path or 'the model'} holds")
            self._provenance.set_source(put, replace(source, passed=(frame.path, *source.passed)))
        if self._stack:
            self._stack[-1].weighted |= frame.weighted
            self._stack[-1].certain |= frame.certain or library

    def _notice_opaque(self, frame: _Frame, args: Any, put: Tensor | None) -> None:
        """A result that no operator was seen to compute came from elsewhere (numpy, a kernel of its own, a thread).

        It depends on the input all the same, so what follows is counted; the module itself is named as not counted.
        """
        if put is None or not put.is_floating_point() or self._provenance.is_known(put):
            return
        origins = [source for x in tensors_in(args) if (source := self._provenance.source(x)) is not None]
        if origins:
            raw = all(source.raw for source in origins)
            self._provenance.set_source(put, Source(f"something unseen in {frame.path}", raw))
            self.uncounted[frame.path, "something outside PyTorch's dispatcher"] += 1

    def _path(self) -> str:
        return self._stack[-1].path if self._stack else ""

    def _name(self, call: Call) -> tuple[str, bool]:
        """Path of the module whose weight it is, or the module it runs in plus what it is; whether it is a module."""
        frame = self._stack[-1] if self._stack else _Frame(self.model, "")
        if call.weight is not None:
            name = self._provenance.name_in(frame.module, frame.path, call.weight)
            if name == "weight" and frame.path:
                return frame.path, True
            if name is not None:
                return f"{frame.path}.{name}".lstrip("."), False
        what = current_name()
        if what is None:
            frame.used[call.op] += 1
            again = frame.used[call.op] > 1 and not self._merging
            what = f"{call.op}_{frame.used[call.op]}" if again else call.op
        name = f"{frame.path}.{what}".lstrip(".")
        if name in self._modules:  # somebody's nn.Linear that is called `linear`
            name = f"{frame.path}.functional_{what}".lstrip(".")
        return name, False

    def _own_name(self, name: str, call: Call, sources: tuple[Source | None, ...], raw: bool) -> str:
        """`name`; for calls of another kind under the same name, such as the second product of a module that
        multiplies anything, or a layer that reads the image first and spikes later, `name:2` and so on.
        """
        # T steps of one product have the same origins.
        what = map(_origin, sources) if call.weight is None else (raw, call.weight.shape)
        kind = (call.op, *what)
        kinds = self._kinds[name]
        return kinds.setdefault(kind, f"{name}:{len(kinds) + 1}" if kinds else name)

    # -- batches --------------------------------------------------------------------------------------------------

    def start_batch(self, inputs: Iterable[Tensor], images: Tensor) -> None:
        """Announce a forward pass over a batch of images, from which these input tensors were made.

        Raises:
            InputError: the input holds infinities or NaN.
        """
        self.batch_sizes.append(len(images))
        self._counter.clear()
        self.layouts.start_batch(len(images))
        self.recognition.start_batch()
        self._provenance.start_batch()
        self._functional.clear()
        self._pooled.clear()
        self._grey_now = not self._counter.holds_binary(images)
        self._grey |= self._grey_now
        for x in inputs:
            self._finite.watch(x, "the input holds")
            # Spikes that were drawn from an image are the image no more.
            self._drawn |= x is not images and self._grey_now and self._counter.holds_binary(x)
            self._provenance.enter(x, raw=not self._drawn)

    def end_batch(self, output: Any) -> None:
        """Close the batch: its counters become rows of `units`, one per image (or one for the batch).

        Raises:
            InputError: the output, or something on the way to it, holds infinities or NaN.
        """
        for x in tensors_in((output,)):
            self._finite.watch_result(x, "the model's output holds")
        self._finite.settle()
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

    # -- the dispatcher --------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator and book it."""
        kwargs = kwargs or {}
        packet = func._overloadpacket
        source: str | None = f"{packet.__name__} in {self._path()}".removesuffix(" in ")
        weighted, threshold, reset = False, packet in ENCODERS, False
        out: Any
        if func._schema.is_mutable and packet not in FORMULAS:  # counts of what is written into are void
            for x in tensors_in((args, kwargs)):
                self._counter.forget(x)
        if packet in CREATORS:
            out = func(*args, **kwargs)
            self._provenance.create(out)  # like an activation in shape alone
            return out
        if packet in MOVES:
            out = func(*args, **kwargs)
            if not threshold:
                source = None
        elif packet in FORMULAS:
            # An operator that writes into its argument is counted on what it read.
            mutable = func._schema.is_mutable
            out = None if mutable else func(*args, **kwargs)
            call = FORMULAS[packet](args, args[0] if mutable else out, self._provenance.is_activation)
            reset = self._gates_itself(call)
            booked = None if call is None or reset else self._book(call, out)
            if mutable:
                out = func(*args, **kwargs)
                for x in tensors_in((args, kwargs)):
                    self._counter.forget(x)
            if call is None or reset:
                self._book_free(packet, args, kwargs, out)
                threshold |= packet is aten.where and not self._depends(args[1:], kwargs)
            elif booked is not None:
                weighted = True
                source = f"{RESULT_OF}{booked}" if call.weight is not None else source
        elif packet is aten.einsum and (call := einsum(args, self._provenance.is_activation)) is not None:
            out = func(*args, **kwargs)
            booked, weighted = self._book(call, out), True
            source = f"{RESULT_OF}{booked}" if call.weight is not None else source
        elif packet in FREE:
            out = func(*args, **kwargs)
            self._book_free(packet, args, kwargs, out)
            if packet in KEEP_BINARY:
                if self._counter.is_binary(args[0]):
                    self._counter.mark_binary(out)
                before = self._provenance.source(args[0])
                threshold |= before is not None and before.threshold
        elif packet is _NEURON:
            out = self._run_neurons(func, args, kwargs)
            source, weighted = f"{SPIKES_OF}{self._path()}", True
        elif packet in ATTENTION:
            # The same attention, step by step: two products with a softmax between them.
            with self:
                return attention(*args, **kwargs)
        else:
            out = self._decompose(func, packet, args, kwargs)
            if out is not NotImplemented:
                return out
            out = func(*args, **kwargs)
            if self._depends(args, kwargs) and any(True for _ in tensors_in((out,))):
                self.uncounted[self._path(), packet.__name__] += 1
        if self._provenance.mark(func, (args, kwargs), out, source, weighted, threshold, reset):
            self._resetting.add(self._path())
        if packet in AVERAGES and isinstance(out, Tensor) and (pooled := self._provenance.source(out)):
            self._pooled[pooled.token] = weakref.ref(args[0])
        if threshold and not self.fired and isinstance(out, Tensor) and (answer := self._provenance.source(out)):
            self.fired = answer.membrane and not answer.bare
        return out

    def _depends(self, args: Any, kwargs: Any) -> bool:
        """Whether an operator reads what depends on the input."""
        return any(self._provenance.is_activation(x) for x in tensors_in((args, kwargs)))

    def _run_neurons(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """Our own layer of neurons, one operator."""
        path = self._path()
        self._finite.watch(args[0], f"the input of the neurons {path or 'of the model'} holds")
        out: Tensor = func(*args, **kwargs)
        self._counter.mark_binary(out)
        self.recognition.book_operator(path, args[0], out)
        if self._stack:
            self._stack[-1].certain = True
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

    def _book(self, call: Call, out: Tensor | None = None) -> str | None:
        """Add one execution to its operation; its name, or None if no activation takes part."""
        if not any(self._provenance.is_activation(x) for x in call.operands):
            return None
        name, module = self._name(call)
        read = call.read or call.operands
        sources = tuple(self._provenance.source(x) for x in read)
        raw = raw_sources(sources)
        name = self._own_name(name, call, sources, raw)
        self._notice_synapses(call, read, sources)
        if out is not None:
            watch = self._finite.watch_result if call.masked else self._finite.watch
            watch(out, f"the result of {name} holds")
        if call.weight is not None:
            self._notice_spikes(name, call.operands[0], sources[0])
        counts = self.operations.get(name)
        if counts is None:
            zeros = [Held(torch.zeros((), dtype=torch.int64, device=x.device)) for x in call.operands]
            counts = self.operations[name] = OperationCounts(
                name, call.op, call.bias, call.inner, module, sources, [0] * len(call.operands), zeros
            )
        if raw and self._grey_now and not counts.image:
            counts.image = not all(self._counter.holds_binary(x) for x in call.operands)
        if call.weight is not None:
            counts.weights = call.weight.numel()  # the same at every execution, so it is not added up
        counts.dense += call.dense
        counts.outputs += call.dense if out is None else out.numel()
        layouts = [self.layouts.of((name, i), x.shape, call.stacked) for i, x in enumerate(call.operands)]
        result = layouts[0] if call.rows is None else self.layouts.of((name, -1), call.rows, call.stacked)
        counts.executions += result.steps * result.batch
        counters: list[Tensor] = []
        for i, (x, layout) in enumerate(zip(call.operands, layouts, strict=True)):
            nonzero, ones = self._counter.count(x, layout.rows)
            counts.elements[i] += x.numel()
            counts.ones[i] = counts.ones[i].plus(ones)
            counters.append(layout.fold(nonzero))
        if not all(layout.apart for layout in (*layouts, result)):
            self.by_image = False
            result = Layout(1, result.batch, apart=False)
        events = call.events(result.rows, self._counter)
        counters.append(result.fold(events))
        if counts.current:
            counters = [_join(a.tensor(), b) for a, b in zip(counts.current, counters, strict=True)]
        counts.current = [Held(counter) for counter in counters]
        self._book_weights(call, counts, events)
        return name

    def _notice_synapses(self, call: Call, read: tuple[Tensor, ...], sources: tuple[Source | None, ...]) -> None:
        """Modules with synaptic operations inside are no neurons.

        A neuron multiplies, too. But it does not multiply the spikes of two other layers of neurons: that is attention.
        Nor is it neurons as a whole if it multiplies two of its arguments, and has neurons inside.
        """
        if not self._stack:
            return
        frame = self._stack[-1]
        if call.op != "product":
            frame.weighted = True
            return
        layers = {s.passed[-1] for s in sources if s is not None and any(map(self._is_layer, s.passed))}
        frame.weighted |= len(layers) > 1
        storages = {storage_id(x) for x in read}
        if len(storages) > 1 and not any(s is None or s.compared or s.passed for s in sources):
            for around in self._stack:
                around.multiplies |= storages <= around.given

    def _is_layer(self, path: str) -> bool:
        """Whether a module that may be neurons stands apart from the one that runs, or resets membranes of its own."""
        return path in self._resetting or not inside(path, self._path())

    def _gates_itself(self, call: Call | None) -> bool:
        """Whether a value is multiplied with the answer to a comparison of that value: it is reset, or rectified."""
        if call is None or call.op != "product":
            return False
        a, b = (self._provenance.source(x) for x in call.read or call.operands)
        return a is not None and b is not None and (a.gates(b) or b.gates(a))

    def _notice_spikes(self, reader: str, x: Tensor, source: Source | None) -> None:
        """A layer that reads answers to a comparison: neurons written as a function, with no module of their own."""
        spikes = self._pooled[source.token]() if source is not None and source.token in self._pooled else None
        if spikes is not None:  # as long as the model keeps them, for their reset
            x, source = spikes, self._provenance.source(spikes)
        if source is None or not source.threshold or source.bare or source.passed:
            return
        seen = (source.token, int(x.storage_offset()), x.numel())
        if seen not in self._functional:
            self._functional.add(seen)
            self.recognition.book_function(reader, x, source.membrane)

    def reads_image(self, counts: OperationCounts) -> bool:
        """Whether an operation reads the network's input itself, and not spikes that the model drew from it."""
        return raw_sources(counts.sources) and (counts.image or not self._grey)

    def _book_weights(self, call: Call, counts: OperationCounts, events: Tensor) -> None:
        """Events that meet a zero weight, where some weights are zero; graded events, if asked for."""
        if call.weight is not None:
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
        sizes = [x.to(torch.float64).abs() for x in call.operands]
        if not all(torch.equal(size, size.round()) for size in sizes):
            counts.all_integers, counts.graded = False, None
            return
        others = sizes[1:] if call.weight is None else [torch.ones_like(call.weight, dtype=torch.float64)]
        result = call.again(sizes[0], *others)
        counts.graded = _plus(counts.graded, result.sum().to(torch.int64))

    def _book_free(self, packet: Any, args: Any, kwargs: Any, out: Any) -> None:
        result = next(tensors_in((out,)), None)
        if result is None or not (result.is_floating_point() or result.dtype == torch.bool):
            return
        if not self._depends(args, kwargs):
            return
        free = self.free[self._path(), packet.__name__]
        free.elements += result.numel()
        if packet in NORMS:
            before = self._provenance.source(args[0])
            free.foldable &= before is not None and before.name.startswith(RESULT_OF)
        pools = bool(self._stack) and type(self._stack[-1].module).__module__ == "torch.nn.modules.pooling"
        if (pools or packet in AVERAGES or "max_pool" in packet.__name__) and isinstance(args[0], Tensor):
            free.module |= pools
            place = f"{packet.__name__} in {self._path()}"
            layout = self.layouts.of((place, 0), args[0].shape, stacked="pool" in packet.__name__)
            self.by_image &= layout.apart
            nonzero, ones = self._counter.count(args[0], layout.rows)
            nonzero = layout.fold(nonzero)
            free.inputs += args[0].numel()
            free.current = [Held(_join(free.current[0].tensor(), nonzero) if free.current else nonzero)]
            free.ones = _plus(free.ones, ones)

    def pools(self) -> list[FreeCounts]:
        """Free arithmetic whose input was counted."""
        return [counts for counts in self.free.values() if counts.ones is not None]


def _of_torch(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn")


def _origin(source: Source | None) -> str:
    """Module or layer that an operand comes from: the same at every step, whatever the first step does otherwise."""
    if source is None:
        return "a constant"
    return source.maker or (source.name if source.name.startswith((RESULT_OF, SPIKES_OF)) else "")


def _join(a: Tensor, b: Tensor) -> Tensor:
    """Add counters of two calls in a batch; where one of them is for the batch as a whole, so is the sum."""
    return a + b if len(a) == len(b) else (a.sum() + b.sum()).view(1)


def _plus(total: Held | None, value: Tensor) -> Held:
    return Held(value) if total is None else total.plus(value)


def _ones(x: Tensor) -> Tensor:
    return x.ne(0).to(torch.float32)
