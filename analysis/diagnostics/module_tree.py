"""The module tree of a network with what each module holds and does: parameters, zeros, spikes, updates, operations.

Static and workload metrics are those of NeuroBench (Yik et al., "The neurobench framework for benchmarking neuromorphic
computing algorithms and systems", Nature Communications, 2025): footprint, connection sparsity, activation sparsity,
membrane updates, synaptic operations.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from saformer.analysis.profiles import Profile, inside
from saformer.analysis.recording.beforehand.inputs import Batch, sample_of
from saformer.analysis.recording.beforehand.plain_modules import named_modules, unwrapped
from saformer.analysis.recording.module_log import ModuleLog
from saformer.analysis.recording.run import profile
from saformer.errors import InputError

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Counts:
    """Integers of a module and all inside it. Operations, neurons and activations: over all images and time steps.

    Args:
        parameters: elements of its parameters; one that several modules share counts at the first.
        shared: of its parameters, elements that counted at another module.
        bytes: of its parameters and buffers, each counted once: NeuroBench's footprint.
        weights: elements of the weights that operations read, each counted once.
        zero_weights: zeros among them.
        neurons: elements of what its layers of neurons put out: neurons times steps.
        spikes: nonzeros among them.
        activations: elements of what other nonlinearities put out, modules of PyTorch such as nn.ReLU.
        zero_activations: zeros among them.
        updates: of membranes: all of them at the first step, then those that changed; where they cannot be seen all.
        dense: multiply-accumulates if nothing were skipped.
        macs: effective multiply-accumulates: inputs and weights that are not zero, where the input is no spikes.
        acs: the same where it is.
    """

    parameters: int = 0
    shared: int = 0
    bytes: int = 0
    weights: int = 0
    zero_weights: int = 0
    neurons: int = 0
    spikes: int = 0
    activations: int = 0
    zero_activations: int = 0
    updates: int = 0
    dense: int = 0
    macs: int = 0
    acs: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def connection_sparsity(self) -> float | None:
        """Share of the weights that are zero; None without weights."""
        return self.zero_weights / self.weights if self.weights else None

    @property
    def firing_rate(self) -> float | None:
        """Spikes of a neuron and step; None without neurons."""
        return self.spikes / self.neurons if self.neurons else None

    @property
    def activation_sparsity(self) -> float | None:
        """Share of zeros in what neurons and nonlinearities put out; None where there are none."""
        every = self.neurons + self.activations
        return (self.neurons - self.spikes + self.zero_activations) / every if every else None


@dataclass(frozen=True)
class ModuleRow:
    """One module of the tree.

    Args:
        path: its path; empty for the network itself.
        name: the path behind that of the row it belongs to.
        kind: its class.
        depth: of the row: 1 for those of the network itself, which has 0.
        calls: how often one image runs it.
        shapes: of what it put out for one image, at its last call.
        counts: of it and of all inside it.
    """

    path: str
    name: str
    kind: str
    depth: int
    calls: int
    shapes: tuple[tuple[int, ...], ...]
    counts: Counts


@dataclass(frozen=True)
class ModuleTree:
    """A network as a tree of modules; numbers of a run stand there where there was one.

    Args:
        rows: the network itself, then its modules in the order of their registration, parents before children.
        profile: of the run on data; of one image of zeros or random numbers where there was no data.
        measured: the run was on data, so that what depends on values means something.
        unseen: layers of neurons whose membranes cannot be seen: each neuron counts as updated at each step.
        idle: parameters of modules that did not run, and whose weights nothing else read.
    """

    rows: tuple[ModuleRow, ...]
    profile: Profile
    measured: bool
    unseen: tuple[str, ...] = ()
    idle: int = 0

    @property
    def total(self) -> Counts:
        """Of the network."""
        return self.rows[0].counts

    @property
    def images(self) -> int:
        """Images of the run."""
        return self.profile.images

    def to_pandas(self) -> "pandas.DataFrame":
        """A row for each module: path, class, depth, calls, shapes, and the integers of `Counts`."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    **{f.name: getattr(row, f.name) for f in fields(row) if f.name != "counts"},
                    **{f.name: getattr(row.counts, f.name) for f in fields(row.counts)},
                }
                for row in self.rows
            ]
        )

    def _repr_html_(self) -> str:
        """The tree in a notebook."""
        html: str = self.to_pandas().to_html(index=False)
        return html

    def execution_rate(self, dt: float) -> float | None:
        """Samples per second of data time, where a time step stands for `dt` seconds; None where T is not known."""
        steps = self.profile.model.time_steps
        return None if steps is None else 1 / (steps * dt)


def module_tree(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    to_input: Callable[[Tensor], Tensor] | None = None,
    measured: bool = True,
    **settings: Any,
) -> ModuleTree:
    """The tree of any network, with what a run on the batches shows.

    Args:
        model: any module.
        batches: as `saformer.analysis.profile` takes them; of the first a single image shows the shapes.
        to_input: makes the model's input from a batch.
        measured: False where the batches hold no data but zeros or random numbers.
        **settings: of `saformer.analysis.profile`.

    Raises:
        InputError: there is no image, or the model does not take it.
    """
    model = unwrapped(model)
    given = iter(batches)
    try:
        first = next(given)
    except StopIteration:
        raise InputError("there is no image to run the model on") from None
    shown = shapes_of(model, first, to_input=to_input, **settings)
    log = ModuleLog()
    result = profile(model, chain([first], given), to_input=to_input, log=log, **settings)
    return tree_of(model, shown, log, result, measured)


def shapes_of(model: nn.Module, batch: Batch, **settings: Any) -> ModuleLog:
    """What one image of the batch shows: the shapes of what modules put out, and the weights that are read."""
    one = sample_of(model, batch).first(1)
    log = ModuleLog(sums=False)
    inputs: Any = one.kwargs or (one.args if len(one.args) > 1 else one.args[0])
    unused = {key: value for key, value in settings.items() if key not in ("progress", "enough", "check_flops")}
    profile(model, [(inputs, None)], log=log, check_flops=False, **unused)
    return log


def tree_of(model: nn.Module, shown: ModuleLog, log: ModuleLog, profile: Profile, measured: bool) -> ModuleTree:
    """The tree from what one image showed and what a run recorded."""
    modules = [(path, module) for path, module in named_modules(model)]
    own = {path: Counts() for path, _ in modules}
    _add_held(own, modules)
    for weight in shown.weights.values():
        own[_home(own, weight.path)] += Counts(weights=weight.elements, zero_weights=weight.zeros)
    layers = [n.name for n in profile.neurons]
    unseen = []
    for layer in profile.neurons:
        seen = sum(count for path, count in log.updates.items() if inside(path, layer.name))
        if not seen:
            unseen.append(layer.name)
        counts = Counts(neurons=layer.elements, spikes=layer.spikes, updates=seen or layer.elements)
        own[_home(own, layer.name)] += counts
    for path, elements in log.activations.items():
        if not any(inside(path, layer) for layer in layers):
            own[path] += Counts(activations=elements, zero_activations=log.zeros[path])
    for operation, charge in zip(profile.operations, profile.account("neurobench").layers, strict=True):
        effective = int(operation.effective)  # all of one kind, or nothing where a mask selects
        macs, acs = (effective if charged else 0 for charged in (charge.macs, charge.acs))
        own[_home(own, operation.name)] += Counts(dense=operation.dense, macs=macs, acs=acs)
    rows = tuple(_rows(modules, own, shown, layers))
    idle = sum(own[path].parameters for path, _ in modules if not shown.calls[path] and not own[path].weights)
    return ModuleTree(rows, profile, measured, tuple(unseen), idle)


def _add_held(own: dict[str, Counts], modules: Sequence[tuple[str, nn.Module]]) -> None:
    """Add the parameters and buffers that each module holds itself, each where it is met first."""
    met: set[int] = set()
    for path, module in modules:
        for parameter in nn.Module.parameters(module, recurse=False):
            size = parameter.numel()
            new = id(parameter) not in met
            met.add(id(parameter))
            held = Counts(parameters=size, bytes=size * parameter.element_size()) if new else Counts(shared=size)
            own[path] += held
        for buffer in nn.Module.buffers(module, recurse=False):
            if id(buffer) not in met:
                met.add(id(buffer))
                own[path] += Counts(bytes=buffer.numel() * buffer.element_size())


def _home(own: dict[str, Counts], name: str) -> str:
    """The innermost module in which something of that name happens."""
    path = name.partition(" (input)")[0]
    path = path if path in own else path.rpartition(":")[0] or path
    while path and path not in own:
        path = path.rpartition(".")[0]
    return path


def _rows(
    modules: Sequence[tuple[str, nn.Module]], own: dict[str, Counts], shown: ModuleLog, layers: Sequence[str]
) -> Iterator[ModuleRow]:
    """A row for each module that ran or holds something: lists of modules have none, nor parts of neurons."""
    sums = dict.fromkeys(own, Counts())
    for path, counts in own.items():
        parts = path.split(".") if path else []
        for ancestor in {".".join(parts[:i]) for i in range(len(parts) + 1)} & sums.keys():
            sums[ancestor] += counts
    above: list[str] = []
    for path, module in modules:
        part = any(inside(path, layer) and path != layer for layer in layers)
        runs = bool(shown.calls[path])
        holds = own[path] != Counts() or (sums[path] != Counts() and not any(True for _ in module.children()))
        if path and not (holds or (runs and not part)):
            continue
        while above and not inside(path, above[-1]):
            above.pop()
        parent = above[-1] if above else ""
        yield ModuleRow(
            path,
            path.removeprefix(f"{parent}.") if parent else path,
            type(module).__name__,
            len(above) + 1 if path else 0,
            shown.calls[path],
            shown.shapes.get(path, ()),
            sums[path],
        )
        if path:
            above.append(path)


def opened_to(rows: Sequence[ModuleRow], depth: int) -> list[ModuleRow]:
    """The rows down to a depth, without the network's own; all for 0."""
    return [row for row in rows if row.depth and (not depth or row.depth <= depth)]
