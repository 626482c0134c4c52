"""Sources: where an activation comes from, and how that passes from the arguments of an operator to its results."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from torch import Tensor

from saformer.analysis.recording.operations.operators import Effect, Kind, Operator, Role

_TOKENS = itertools.count(1)

UNSEEN = "something unseen in "  # source of what no operator was seen to compute
THE_INPUT = "the input"

Roots = frozenset[tuple[str, int]]  # weighted operations, each with the part of its result
NO_ROOTS: Roots = frozenset()


class Provenance(IntEnum):
    """What the lineage says of the class of values; the larger one wins where several meet."""

    SPIKES = 0  # since the last comparison or rounding, nothing made real numbers of them
    NONE = 1  # nothing either way: the input itself
    REAL = 2  # the result of weights, a normalisation, ReLU, softmax or another smooth function


@dataclass(frozen=True)
class Source:
    """Where an activation comes from.

    Args:
        name: the operation whose result it is.
        raw: it is the network's input still: as given, moved about, or after arithmetic that is not synaptic
            (normalised, pooled), with neither a weight nor a threshold between.
        provenance: what its lineage says of its values.
        linear: since spikes began they were added, averaged, scaled and moved alone.
        token: what it is a value of: the same after it was moved, another after anything else.
        roots: the weighted operations it is the result of, none of them between it and another; or the input.
        births: modules in which the spikes began, where it is made of spikes.
        converts: real values were compared there, and no spikes.
        pure: since then they were moved alone: no sum, no average, no scale.
        cancels: what is left when the value of a token is added back: (hard - soft) + soft.
        maker: the innermost module that put it out.
        passed: modules that may turn out to be neurons, and put it out; the outermost first.
        product: it is the product of two activations, scaled and moved at most.
        places: the spikes whose places it holds.
        compared: what the comparisons compared in which its spikes began.
        summed: the spikes that it is sums, pools or products of, or layers of them side by side; empty if it is as
            they came, scaled and moved at most.
        averaged: such sums were divided since.
        height_of: the spikes, or the membrane, that it is, scaled; 0 where it is as it came.
        overwritten: where comparisons have chosen what it holds; kept of what is real elsewhere.
    """

    name: str
    raw: bool = False
    provenance: Provenance = Provenance.REAL
    linear: bool = True
    token: int = field(default_factory=lambda: next(_TOKENS), compare=False)
    roots: Roots = NO_ROOTS
    births: frozenset[str] = frozenset()
    converts: bool = False
    pure: bool = False
    cancels: "tuple[tuple[int, Source], ...]" = field(default=(), compare=False)
    maker: str = ""
    passed: tuple[str, ...] = ()
    product: str = ""
    places: Tensor | None = field(default=None, compare=False)
    compared: frozenset[int] = field(default=frozenset(), compare=False)
    summed: frozenset[int] = field(default=frozenset(), compare=False)
    averaged: bool = False
    height_of: int = field(default=0, compare=False)
    overwritten: Tensor | None = field(default=None, compare=False)

    @property
    def fired(self) -> int:
        """What fired: the same at whatever height."""
        return self.height_of or self.token


def replace(source: Source, **changes: Any) -> Source:
    """As `dataclasses.replace`, several times faster: there is a new source for almost every operator that runs."""
    changed: Source = object.__new__(Source)
    changed.__dict__.update(source.__dict__, **changes)
    return changed


def apart(a: Source | None, b: Source | None) -> bool:
    """Whether a product of two activations joins different things: results of different weighted operations, or
    different parts of one (a joint projection of queries and keys, the halves of a GLU).

    Arithmetic of a value with what was computed from itself is no operation (x * sigmoid(x)), nor is the choice that
    spikes make among the membranes of their own layer, or sums of its spikes, whichever steps both are of: a reset.
    """
    if a is None or b is None or not a.roots or not b.roots or a.roots == b.roots:
        return False
    if {name for name, _ in a.roots} != {name for name, _ in b.roots}:
        return True
    if {a.provenance, b.provenance} == {Provenance.REAL, Provenance.SPIKES}:
        return False
    if a.provenance is b.provenance is Provenance.SPIKES and not (a.pure and b.pure):
        return False
    return not (a.roots <= b.roots or b.roots <= a.roots)  # a membrane and what fired at its earlier steps


def result_of(
    operator: Operator | None, origins: list[Source], read: list[Tensor], name: str, path: str
) -> Source | None:
    """What the operator's results are; None for a constant."""
    first, joined = origins[0], joined_of(origins)
    if operator is None:  # like a kernel that was not seen: spikes may begin in it, and its values say
        return from_a_kernel(name, path, joined.roots)
    if operator.kind is Kind.MOVEMENT:
        if operator.indices:
            places = read[0] if operator.role is Role.PLACES else None
            return replace(joined, name=name, provenance=Provenance.NONE, births=NO_BIRTHS, places=places)
        if len({origin.token for origin in origins}) == 1:
            return first if first.overwritten is None else replace(first, overwritten=None)
        # Of several moved together the first names the rest; what gives a place alone gives no value.
        # What holds the image beside other things reads the image.
        raw = any(origin.raw for origin in origins)
        return replace(
            joined,
            name=first.name,
            raw=raw,
            pure=all(origin.pure for origin in origins),
            passed=first.passed,
            maker=first.maker,
            places=first.places,
            summed=summed_in(operator, origins),
        )
    if operator.kind is Kind.THRESHOLD:
        # Rounding or the sign of spikes makes other levels of them; a comparison makes new spikes.
        begins = not (operator.listed and joined.provenance is Provenance.SPIKES)
        if begins:
            return spikes_of(joined, origins, name, path)
        pure = all(origin.pure for origin in origins)
        return replace(joined, name=name, raw=False, linear=True, pure=pure, summed=summed_in(operator, origins))
    if operator.role is Role.SUBTRACTS and len(origins) == 2:
        if first.token == origins[1].token:
            return None  # nothing is left of it
        return replace(_computed(operator, joined, origins, name), cancels=((origins[1].token, first),))
    if operator.role is Role.ADDS and len(origins) == 2:
        for one, other in (origins, origins[::-1]):
            if (left := dict(one.cancels).get(other.token)) is not None:
                return left
    result = _computed(operator, joined, origins, name)
    scaled = operator.role is Role.SCALES and len(origins) == 1
    return replace(result, product=first.product) if scaled else result


def spikes_of(joined: Source, origins: list[Source], name: str, path: str) -> Source:
    """Spikes that begin here: the answer of a comparison of these."""
    return replace(
        joined,
        name=name,
        raw=False,
        provenance=Provenance.SPIKES,
        linear=True,
        births=frozenset({path}),
        converts=joined.provenance is Provenance.REAL,
        pure=True,
        compared=NO_TOKENS.union(*(_membranes(origin) for origin in origins)),
        averaged=False,
    )


def _membranes(compared: Source) -> frozenset[int]:
    """What a comparison compares, at whatever height; of spikes, what was compared where they began."""
    began = compared.provenance is Provenance.SPIKES and not compared.summed
    return compared.compared if began and compared.compared else frozenset({compared.fired})


def _computed(operator: Operator, joined: Source, origins: list[Source], name: str) -> Source:
    if operator.effect is Effect.REAL or joined.provenance is not Provenance.SPIKES:
        real = operator.effect is Effect.REAL
        return replace(
            joined,
            name=name,
            provenance=Provenance.REAL if real else joined.provenance,
            linear=joined.linear and operator.effect is Effect.LINEAR,
            births=NO_BIRTHS if real else joined.births,
            height_of=origins[0].fired if len(origins) == 1 and operator.role is Role.SCALES else 0,
        )
    summed = summed_in(operator, origins)
    return replace(
        joined,
        name=name,
        linear=joined.linear and operator.effect is Effect.LINEAR,
        summed=summed,
        height_of=origins[0].fired if len(origins) == 1 and not summed else 0,
        averaged=joined.averaged or operator.averages or (operator.role is Role.SCALES and bool(summed)),
    )


def gathers(operator: Operator, origins: list[Source]) -> bool:
    """Whether an operator makes one thing of several spikes: sums over places, sums of what fired apart, or layers put
    side by side. Answers to comparisons of the same membrane are levels of one neuron.
    """
    if operator.sums:
        return True
    if len(origins) < 2:
        return False
    if operator.kind is Kind.MOVEMENT:
        read = {frozenset(name for name, _ in origin.roots) for origin in origins}
        most = max(read, key=len)
        return not all(names <= most for names in read)  # the first step of a recurrence read less than the others
    return len({origin.compared for origin in origins if origin.provenance is Provenance.SPIKES}) > 1


def summed_in(operator: Operator | None, origins: list[Source]) -> frozenset[int]:
    """The spikes that a result is made of, by their tokens; empty if it is as they came. None: a product."""
    if operator is not None and not any(origin.summed for origin in origins) and not gathers(operator, origins):
        return NO_TOKENS
    spikes = [origin for origin in origins if origin.provenance is Provenance.SPIKES]
    if len(spikes) == 1 and spikes[0].summed:
        return spikes[0].summed
    found = NO_TOKENS.union(*(origin.summed or {origin.fired} for origin in spikes))
    return found if len(found) <= MOST_SUMMED else MANY


NO_BIRTHS: frozenset[str] = frozenset()
NO_TOKENS: frozenset[int] = frozenset()
MOST_SUMMED = 256  # of more the lineage keeps no list: a trace over a long series
MANY = frozenset({0})


def from_a_kernel(name: str, path: str, roots: Roots) -> Source:
    """What a kernel made that nobody saw: spikes may begin in it, and its values say."""
    return Source(
        name,
        provenance=Provenance.SPIKES,
        linear=False,
        roots=roots or frozenset({(name, 0)}),
        births=frozenset({path}),
        converts=True,
    )


def joined_of(origins: list[Source]) -> Source:
    """What is made of several, under a name that is still to be said; a value of its own, unless it is one."""
    provenance = max(origin.provenance for origin in origins)
    spikes = provenance is Provenance.SPIKES
    return Source(
        origins[0].name,
        raw=all(origin.raw for origin in origins),
        provenance=provenance,
        linear=all(origin.linear for origin in origins),
        roots=origins[0].roots if len(origins) == 1 else NO_ROOTS.union(*(origin.roots for origin in origins)),
        births=NO_BIRTHS.union(*(origin.births for origin in origins)) if spikes else NO_BIRTHS,
        converts=spikes and any(origin.converts for origin in origins),
        compared=NO_TOKENS.union(*(origin.compared for origin in origins)) if spikes else NO_TOKENS,
        averaged=spikes and any(origin.averaged for origin in origins),
    )


def parts(roots: Roots, part: int) -> Roots:
    """The roots of a part of a tensor with these roots: one for each operation, however many parts met in it, so that a
    buffer that is read and written step by step has no more roots than steps.
    """
    found: dict[str, list[int]] = {}
    for name, before in roots:
        found.setdefault(name, []).append(before)
    return frozenset((name, hash((tuple(sorted(before)), part))) for name, before in found.items())


def fills(x: Tensor) -> bool:
    """Whether `x` shows as many elements as its memory holds."""
    return x.numel() * x.element_size() == x.untyped_storage().nbytes()


def part_of(x: Tensor) -> int:
    """Which part of its memory a view shows; 0 for all of it, in whatever order."""
    if fills(x):
        return 0
    lengths = tuple(sorted((stride, size) for size, stride in zip(x.shape, x.stride(), strict=True) if stride))
    shown = 1
    for _, size in lengths:
        shown *= size
    whole = shown * x.element_size() == x.untyped_storage().nbytes()  # expanded
    return 0 if whole else hash((x.storage_offset(), lengths))


def order_of(func: Any, inputs: Any) -> int:
    """Which part, or which order, a copy shows: by the arguments that are no tensors."""
    plain = [value for value in inputs[0] if isinstance(value, int | float | list | tuple)]
    return hash((func._schema.name, str(plain)))


def raw_sources(sources: Iterable[Source | None]) -> bool:
    """Whether all operands that depend on the input are that input still."""
    known = [source for source in sources if source is not None]
    return bool(known) and all(source.raw for source in known)
