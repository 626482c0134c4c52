"""The order in which the nodes of a graph run within a step, and which edges read the step before."""

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Sequence

from saformer.errors import InputError
from saformer.text import some

Node = tuple[str, ...]
Edge = tuple[Node, Node]


def late_edges(nodes: Sequence[Node], edges: Sequence[Edge], start: Node, neurons: Collection[Node]) -> set[Edge]:
    """The edges that hand on what was put out a step before: a loop takes one step.

    An edge that leads back, to a node that is nearer to the input, is late. Where it does not leave neurons, what leads
    to it is late instead, up to the neurons: recurrent weights read the spikes of the step before.

    Raises:
        InputError: there are no neurons in a loop.
    """
    rank = {node: i for i, node in enumerate(_reached(edges, start))}
    part = _components(nodes, edges)
    loops = [(a, b) for a, b in edges if part[a] == part[b] and a in rank and b in rank]
    into: dict[Node, list[Edge]] = defaultdict(list)
    for edge in loops:
        into[edge[1]].append(edge)
    late: set[Edge] = set()
    waiting = [edge for edge in loops if rank[edge[1]] <= rank[edge[0]]]
    seen: set[Edge] = set()
    while waiting:
        edge = waiting.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if edge[0] in neurons:
            late.add(edge)
        else:
            waiting += into[edge[0]]
    rest = [edge for edge in loops if edge not in late]
    inside = {node for edge in rest for node in edge}
    if left := inside - set(_sorted(inside, rest)):
        names = some(sorted(".".join(node) for node in left))
        raise InputError(f"a loop of the NIR graph holds no neurons ({names}): it has no value within a step")
    return late


def in_order(nodes: Iterable[Node], now: Sequence[Edge], edges: Sequence[Edge], start: Node) -> list[Node]:
    """The nodes that the input reaches, each after those whose results of the same step it reads."""
    reached = set(_reached(edges, start))
    there = [node for node in nodes if node in reached]
    return _sorted(there, [edge for edge in now if edge[0] in reached and edge[1] in reached])


def _reached(edges: Sequence[Edge], start: Node) -> list[Node]:
    """Nodes in the order of their distance from the first."""
    after: dict[Node, list[Node]] = defaultdict(list)
    for source, target in edges:
        after[source].append(target)
    found, waiting = {start: None}, deque([start])
    while waiting:
        for node in after[waiting.popleft()]:
            if node not in found:
                found[node] = None
                waiting.append(node)
    return list(found)


def _sorted(nodes: Iterable[Node], edges: Sequence[Edge]) -> list[Node]:
    """Nodes, each after those that lead to it; those of loops are left out."""
    after: dict[Node, list[Node]] = defaultdict(list)
    missing = dict.fromkeys(nodes, 0)
    for source, target in edges:
        after[source].append(target)
        missing[target] += 1
    waiting = deque(node for node, count in missing.items() if not count)
    found = []
    while waiting:
        node = waiting.popleft()
        found.append(node)
        for target in after[node]:
            missing[target] -= 1
            if not missing[target]:
                waiting.append(target)
    return found


def _components(nodes: Sequence[Node], edges: Sequence[Edge]) -> dict[Node, int]:
    """A number for each node: that of the nodes from which it is reached and which it reaches (Kosaraju)."""
    forward: dict[Node, list[Node]] = defaultdict(list)
    backward: dict[Node, list[Node]] = defaultdict(list)
    for source, target in edges:
        forward[source].append(target)
        backward[target].append(source)
    finished: list[Node] = []
    seen: set[Node] = set()
    for node in nodes:
        stack = [(node, False)]
        while stack:
            here, done = stack.pop()
            if done:
                finished.append(here)
            elif here not in seen:
                seen.add(here)
                stack.append((here, True))
                stack += [(target, False) for target in forward[here] if target not in seen]
    part: dict[Node, int] = {}
    for number, node in enumerate(reversed(finished)):
        waiting = [node]
        while waiting:
            here = waiting.pop()
            if here not in part:
                part[here] = number
                waiting += backward[here]
    return part
