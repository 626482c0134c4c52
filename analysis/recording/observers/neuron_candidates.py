"""What may be a layer of neurons, and what a run shows of all of them."""

from collections import Counter as Tally
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

from torch import Tensor, nn

from saformer.analysis.profiles import Neurons, Values
from saformer.analysis.profiles.records import holders
from saformer.analysis.profiles.values import MOST_LEVELS
from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.origins.sources import Provenance, Source, replace
from saformer.errors import InputError

# Where libraries define their spiking neurons.
_LIBRARY_NEURONS = (
    "spikingjelly.activation_based.neuron.",
    "spikingjelly.clock_driven.neuron",
    "snntorch._neurons.",
    "saformer.nir.neurons.",
)


def of_a_library(module: nn.Module) -> bool:
    """Whether a module is a layer of neurons of SpikingJelly, snnTorch or a NIR graph."""
    kind: Any = type(module)
    return _is_of_a_library(kind)


@lru_cache(maxsize=4096)
def _is_of_a_library(kind: Any) -> bool:
    return any(f"{base.__module__}.".startswith(_LIBRARY_NEURONS) for base in kind.__mro__)


def matching(paths: Collection[str], patterns: Collection[str]) -> set[str]:
    """The paths that patterns match.

    Raises:
        InputError: one matches none.
    """
    found: set[str] = set()
    for pattern in patterns:
        fitting = {path for path in paths if fnmatchcase(path, pattern)}
        if not fitting:
            raise InputError(f"--neurons {pattern} matches no module of the model: see `saformer flops`")
        found |= fitting
    return found


def judged(source: Source, seen: Values, rounded: bool) -> Source:
    """What a kernel put out that nobody saw, or a rounding: on few levels it is spikes, and sums of it are sums of
    spikes; what was rounded to many levels is a real number still.
    """
    few = bool(seen.channels) or (seen.multiples and seen.levels <= MOST_LEVELS)
    if rounded and not few:
        source = replace(source, provenance=Provenance.REAL, births=frozenset())
    return replace(source, linear=source.linear or few)


@dataclass
class Candidate:
    """What may be a layer of neurons: its spikes, call by call, and what is known of it so far.

    Args:
        name: its path.
        library: neurons of a library, or our own.
        operator: one operator, called in this module; whatever else the module does is its own.
        function: it is no module, but a comparison in a function; the modules in which its spikes begin.
        refuted: it put out something else than few levels, or an operation ran inside.
        weighted: it holds weights all the same: neurons of a library with connections among themselves.
        looped: how often it compared in one call, where a dimension of its spikes is as long: steps.
        places: for each entry of `spikes`, what it read there; a module may be used in several places.
    """

    name: str
    library: bool = False
    operator: bool = False
    function: frozenset[str] = frozenset()
    refuted: bool = False
    weighted: bool = False
    looped: Tally[int] = field(default_factory=Tally)
    elements: int = 0
    spikes: list[Integers] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    values: Values = field(default_factory=Values)
    calls: int = 0  # in this batch
    entries: int = 0  # in this batch

    def add(self, per_step: Tensor, elements: int, place: str) -> None:
        """One call: spikes at each of its steps."""
        self.elements += elements
        if len(per_step) > 1:  # all steps in one call: the next call starts again at the first
            place = f"{place}, call {self.calls}"
        for value in Integers(per_step).split():
            if self.entries < len(self.spikes):
                self.spikes[self.entries] = self.spikes[self.entries].plus(value)
            else:
                self.spikes.append(value)
                self.places.append(place)
            self.entries += 1
        self.calls += 1

    @property
    def length(self) -> int:
        """Steps, if every place in which the module is used sees each step once."""
        uses = Tally(self.places)
        alike = len(set(uses.values())) == 1
        return next(iter(uses.values())) if alike else len(self.places)

    def per_step(self, steps: int) -> tuple[int, ...]:
        """Spikes at each of so many steps, all places together; call by call where they do not fit."""
        values = [int(value) for value in self.spikes]
        if len(values) < steps:  # several in one call, in an order that nobody knows
            return (sum(values),)
        if len(values) == steps or len(values) % steps:
            return tuple(values)
        if self.length == steps:
            seen: Tally[str] = Tally()
            totals = [0] * steps
            for value, place in zip(values, self.places, strict=True):
                totals[seen[place]] += value
                seen[place] += 1
            return tuple(totals)
        uses = len(values) // steps
        return tuple(sum(values[i * uses : (i + 1) * uses]) for i in range(steps))


@dataclass(frozen=True)
class Decision:
    """What a run shows.

    Args:
        layers: the layers of neurons.
        steps: T, as far as they show it.
        looped: length of the dimension of their spikes over which most were seen to loop.
        modules: the neurons that are modules as a whole, with all that happens inside.
        recurrent: those of them that hold weights.
        others: a library's neurons that put out more than few levels.
        graded: layers that put out whole multiples of a unit, and the largest.
        ternary: layers that put out spikes of both signs.
    """

    layers: tuple[Neurons, ...]
    steps: int
    looped: int | None = None
    modules: frozenset[str] = frozenset()
    recurrent: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    graded: dict[str, int] = field(default_factory=dict)
    ternary: tuple[str, ...] = ()

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(layer.name for layer in self.layers)

    def neuron_of(self, paths: tuple[str, ...]) -> str | None:
        """The layer of neurons among modules that put out the same tensor."""
        return next((path for path in paths if path in self.modules), None)

    def began_in(self, births: frozenset[str]) -> str:
        """The layer of neurons in which spikes began; empty for several, or none that is listed."""
        found = {name for path in births for name in holders(path) if name in self._names}
        return found.pop() if len(found) == 1 else ""

    def holds(self, name: str, weighted: bool = False) -> bool:
        """Whether something happens inside a layer of neurons: it is the neurons' own arithmetic.

        What is `weighted` is not, where neurons are connected among themselves.
        """
        holding = self.modules | self.others
        return not (holding - (self.recurrent if weighted else frozenset())).isdisjoint(holders(name))


def common_steps(candidates: list[Candidate]) -> int:
    """T, from how often neurons were run: what most of them show; of several, the smallest above one."""
    lengths = [len(c.places) for c in candidates if len(set(c.places)) == 1] or [c.length for c in candidates]
    tally = Tally(lengths)
    most = [length for length, count in tally.items() if count == max(tally.values())]
    return min((length for length in most if length > 1), default=1)


def decision_of(every: Collection[Candidate], time_steps: int | None) -> Decision:
    """What all batches so far show.

    Args:
        every: all that may be layers of neurons.
        time_steps: T, if somebody said.
    """
    others = frozenset(c.name for c in every if c.library and c.refuted)
    found = [c for c in every if not c.refuted and others.isdisjoint(holders(c.name))]
    # Of nested ones the outermost counts.
    outer = {c.name for c in found if not c.operator}
    found = [c for c in found if not any(path in outer and path != c.name for path in holders(c.name))]
    modules = frozenset(c.name for c in found if not c.operator)
    own = {c.name for c in found if not c.function}
    found = [c for c in found if not c.function or any(own.isdisjoint(holders(b)) for b in c.function)]
    looped = sum((c.looped for c in found), Tally()).most_common(1)
    steps = time_steps or common_steps(found)
    return Decision(
        tuple(Neurons(c.name, c.elements, c.per_step(steps)) for c in found),
        steps,
        looped[0][0] if looped else None,
        modules,
        frozenset(c.name for c in every if c.weighted),
        others,
        {c.name: c.values.levels for c in found if c.values.multiples and c.values.magnitudes > 1},
        tuple(c.name for c in found if c.values.negative and c.values.magnitudes == 1),
    )
