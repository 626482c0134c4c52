"""A NIR graph as a network: its nodes run step by step, in an order in which loops read the step before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.nir.neurons import Neurons, Stateful
from saformer.nir.order import Edge, Node, in_order, late_edges
from saformer.nir.primitives import module_of
from saformer.text import briefly, some

#: Seconds of a step where nobody says: that of snnTorch's graphs, and of the NIR paper's.
DEFAULT_DT = 1e-4
_MOST_NODES = 10_000
_LARGEST_INPUT = 2**26


@dataclass(frozen=True)
class _Part:
    """A node in the order of a step: the module that runs it (None: it hands on), and what it reads.

    Args:
        node: its names, those of the graphs around it first.
        kind: its type in NIR.
        module: that runs it.
        now: nodes whose results of this step it adds up.
        before: nodes whose results of the step before it adds.
    """

    node: Node
    kind: str
    module: nn.Module | None
    now: tuple[Node, ...]
    before: tuple[Node, ...]

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"node {briefly('.'.join(self.node))} ({self.kind})"


class NirNetwork(nn.Module):
    """A NIR graph that reads B x T x shape, or B x shape at each of T steps, and answers with means over time.

    Samples of another shape with as many numbers are read in their order: images of 28 x 28 by a graph that reads 784.
    Its modules have the names of the nodes, those of a graph within the graph behind its name. It keeps no state from
    one call to the next.

    Args:
        graph: a `nir.NIRGraph`.
        time_steps: T, where the input has no time.
        dt: seconds of a step.

    Raises:
        InputError: a node is not known, numbers or shapes do not fit, or a loop holds no neuron.
    """

    #: What tables call it.
    network_name = "NIR graph"

    def __init__(self, graph: Any, time_steps: int | None = None, dt: float = DEFAULT_DT) -> None:
        super().__init__()
        self.time_steps, self.dt = time_steps, dt
        places = _Places(self)
        nodes, edges = _flat(graph, (), 0)
        if len(nodes) > _MOST_NODES:
            raise InputError(f"the NIR graph has {len(nodes):,} nodes, more than {_MOST_NODES:,}")
        inputs = [node for node, item in nodes.items() if _kind(item) == "Input" and len(node) == 1]
        self._outputs = [node for node, item in nodes.items() if _kind(item) == "Output" and len(node) == 1]
        if len(inputs) != 1 or not self._outputs:
            found = f"{len(inputs)} Input and {len(self._outputs)} Output nodes"
            raise InputError(f"a NIR graph is run with one Input and at least one Output; this has {found}")
        self._input = inputs[0]
        self.input_shape = _shape(nodes[self._input])
        late = late_edges(list(nodes), edges, self._input, [n for n, item in nodes.items() if _kind(item) in _STATEFUL])
        order = in_order(list(nodes), [edge for edge in edges if edge not in late], edges, self._input)
        self._outputs = [node for node in self._outputs if node in order]
        if not self._outputs:
            raise InputError("no edge of the NIR graph leads from its Input to an Output")
        self.idle = tuple(".".join(node) for node in nodes if node not in order)
        self._parts = [self._part(node, nodes[node], edges, late, set(order), places) for node in order]
        self._shapes: dict[Node, torch.Size] = {}
        self._probe()

    def _part(
        self, node: Node, item: Any, edges: Sequence[Edge], late: set[Edge], there: set[Node], places: "_Places"
    ) -> _Part:
        kind, module = _kind(item), None
        if kind not in ("Input", "Output"):
            try:
                module = module_of(item, self.dt)
            except InputError as error:
                raise InputError(f"NIR node {briefly('.'.join(node))} ({kind}): {error}") from None
            except (ValueError, TypeError, AttributeError, RuntimeError, IndexError) as error:
                words = briefly(" ".join(str(error).split()), quoted=False)
                raise InputError(f"NIR node {briefly('.'.join(node))} ({kind}) is damaged: {words}") from None
            places.put(node, module)
        read = [edge for edge in edges if edge[1] == node and edge[0] in there]
        now, before = ([e[0] for e in read if (e in late) is is_late] for is_late in (False, True))
        return _Part(node, kind, module, tuple(now), tuple(before))

    def _probe(self) -> None:
        """Two steps of zeros: they show the shapes in a loop, and what does not fit."""
        x = torch.zeros(1, *self.input_shape)
        held: dict[Node, Tensor] = {}
        with torch.no_grad():
            for _ in range(2):
                held = self._step(x, held, probing=True)
        self._shapes = {node: value.shape[1:] for node, value in held.items()}
        self._rest()

    def _rest(self) -> None:
        for module in self.modules():
            if isinstance(module, Stateful):
                module.rest()

    def _step(self, x: Tensor, before: dict[Node, Tensor], probing: bool = False) -> dict[Node, Tensor]:
        """One step: what each node puts out."""
        values: dict[Node, Tensor] = {self._input: x}
        for part in self._parts:
            if part.node == self._input:
                continue
            read = [values[node] for node in part.now if node in values]
            read += [before[node] for node in part.before if node in before]
            if not read:
                if probing:
                    continue  # a shape that shows at the end of the step
                read = [x.new_zeros(len(x), *self._shapes[part.before[0]])]
            if not probing:
                values[part.node] = _run(part, read)
                continue
            try:
                values[part.node] = _run(part, read)
            except (RuntimeError, IndexError, ValueError) as error:
                shapes = " and ".join(_by(value.shape[1:]) for value in read)
                words = briefly(" ".join(str(error).split()), quoted=False)
                raise InputError(f"NIR {part.shown} does not take what it is given, {shapes}: {words}") from None
        return values

    def run(self, x: Tensor) -> list[Tensor]:
        """What each output node puts out, T x B x ...; see `forward`."""
        self._rest()
        results: list[list[Tensor]] = [[] for _ in self._outputs]
        before: dict[Node, Tensor] = {}
        for current in self._steps(x):
            before = self._step(current, before)
            for node, found in zip(self._outputs, results, strict=True):
                found.append(before[node])
        self._rest()
        return [torch.stack(found) for found in results]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """B x T x shape, or B x shape for each of T steps -> the mean over time of each output, B x ..."""
        means = tuple(found.mean(0) for found in self.run(x))
        return means[0] if len(means) == 1 else means

    def _steps(self, x: Tensor) -> Sequence[Tensor]:
        shape, size = self.input_shape, prod(self.input_shape)
        one_step = tuple(x.shape[1:]) == (1, *shape) and self.time_steps in (None, 1)
        if prod(x.shape[1:]) == size and not one_step:
            if self.time_steps is None:
                raise InputError(
                    "the data has no time, and a NIR graph does not say how many steps to run: --time-steps T"
                )
            return [x.reshape(len(x), *shape)] * self.time_steps
        if x.ndim < 3 or prod(x.shape[2:]) != size:
            raise InputError(
                f"the NIR graph reads {_by(shape)} at each step; the data has samples of {_by(x.shape[1:])}"
            )
        if self.time_steps not in (None, x.shape[1]):
            raise InputError(f"the data has {x.shape[1]} steps, not {self.time_steps}: --time-steps {x.shape[1]}")
        return x.reshape(*x.shape[:2], *shape).unbind(1)

    @property
    def remarks(self) -> list[str]:
        """What to know of how the graph is run."""
        kept = [share for m in self.modules() if isinstance(m, Neurons) and hasattr(m, "k") for share in _kept(m)]
        said = f"the NIR graph is continuous in time: run by forward Euler in steps of dt = {self.dt:g} s"
        if kept:
            low, high = min(kept), max(kept)
            shares = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
            said += f", of which a membrane keeps {shares}; +dt=SECONDS for another"
        remarks = [said]
        if self.idle:
            remarks.append(f"{len(self.idle)} nodes of the NIR graph get no input and do not run ({some(self.idle)})")
        return remarks


_STATEFUL = ("LI", "LIF", "CubaLI", "CubaLIF", "I", "IF")


def _kept(neurons: Neurons) -> list[float]:
    return [1 - float(neurons.k.max()), 1 - float(neurons.k.min())] if neurons.k.numel() else []


def _run(part: _Part, read: Sequence[Tensor]) -> Tensor:
    total = read[0]
    for more in read[1:]:
        total = total + more
    return total if part.module is None else part.module(total)


def _kind(item: Any) -> str:
    return type(item).__name__


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _shape(item: Any) -> tuple[int, ...]:
    recorded = (item.input_type or {}).get("input")
    try:
        sizes = None if recorded is None else tuple(int(size) for size in recorded)
    except (TypeError, ValueError, OverflowError):  # of text, or of an array of another rank
        sizes = None
    if not sizes or min(sizes) < 1:
        raise InputError("the Input of the NIR graph does not say its shape")
    if prod(sizes) > _LARGEST_INPUT:
        raise InputError(f"the Input of the NIR graph reads {_by(sizes)} numbers at each step, which is no sample")
    return sizes


class _Places:
    """Gives modules their places by the names of nodes; points in a name open a place within a place."""

    def __init__(self, network: nn.Module) -> None:
        self._around: dict[Node, nn.Module] = {(): network}

    def put(self, node: Node, module: nn.Module) -> None:
        """Put the module of a node where its names say."""
        names = tuple(part for name in node for part in name.split("."))
        for i in range(1, len(names)):
            if names[:i] not in self._around:
                self._around[names[:i]] = self._add(names[:i], nn.Module())
        self._add(names, module)

    def _add(self, names: Node, module: nn.Module) -> nn.Module:
        parent, key = self._around[names[:-1]], names[-1] or "_"
        while hasattr(parent, key):
            key += "_"
        parent.add_module(key, module)
        return module


def _flat(graph: Any, around: Node, depth: int) -> tuple[dict[Node, Any], list[Edge]]:
    """The nodes of a graph and of the graphs in it, and edges among them."""
    nodes: dict[Node, Any] = {}
    edges: list[Edge] = []
    entry: dict[str, Node] = {}
    leave: dict[str, Node] = {}
    for name, item in graph.nodes.items():
        node = (*around, str(name))
        if _kind(item) != "NIRGraph":
            nodes[node] = item
            entry[name] = leave[name] = node
            continue
        inner, within = _flat(item, node, depth + 1)
        ends = [
            [n for n, i in inner.items() if _kind(i) == end and len(n) == len(node) + 1] for end in ("Input", "Output")
        ]
        if any(len(found) != 1 for found in ends):
            raise InputError(f"NIR graph {briefly('.'.join(node))} within the graph needs one Input and one Output")
        nodes |= inner
        edges += within
        entry[name], leave[name] = ends[0][0], ends[1][0]
    for source, target in graph.edges:
        if source not in leave or target not in entry:
            missing = source if source not in leave else target
            raise InputError(f"an edge of the NIR graph leads to {briefly(str(missing))}, which is no node")
        edges.append((leave[source], entry[target]))
    return nodes, edges


def network_from(graph: Any, time_steps: int | None = None, dt: float = DEFAULT_DT) -> NirNetwork:
    """The network of a `nir.NIRGraph`, in evaluation mode; see `NirNetwork`."""
    if not 0 < dt < float("inf"):
        raise InputError(f"dt is the seconds of a step, got {dt:g}")
    return NirNetwork(graph, time_steps, dt).eval()
