"""Lineage: what each tensor was made from. It answers two questions and holds two kinds of facts.

* Was this made from the input, or is it proven constant? Constant is what operators that were seen made of parameters,
  buffers and literals, as long as it still holds what they wrote. Everything else is an activation.
* Of which weighted operations is it the result, without another in between, and did spikes begin on the way?
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.recording.operators import Effect, Kind, Operator
from saformer.analysis.recording.storage_map import StorageMap, storage_id, tensors_in

_TOKENS = itertools.count(1)

RESULT_OF = "result of "  # source of what a synaptic operation puts out
UNSEEN = "something unseen in "  # source of what no operator was seen to compute
THE_INPUT = "the input"

Roots = frozenset[tuple[str, int]]  # weighted operations, each with the part of its result
_NO_ROOTS: Roots = frozenset()


class Evidence(IntEnum):
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
        evidence: what its lineage says of its values.
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
        places: where nonzeros of spikes are: elements and token of these.
    """

    name: str
    raw: bool = False
    evidence: Evidence = Evidence.REAL
    linear: bool = True
    token: int = field(default_factory=lambda: next(_TOKENS), compare=False)
    roots: Roots = _NO_ROOTS
    births: frozenset[str] = frozenset()
    converts: bool = False
    pure: bool = False
    cancels: "tuple[tuple[int, Source], ...]" = field(default=(), compare=False)
    maker: str = ""
    passed: tuple[str, ...] = ()
    product: str = ""
    places: tuple[int, int] | None = None


def apart(a: Source | None, b: Source | None) -> bool:
    """Whether a product of two activations joins different things: results of different weighted operations, or
    different parts of one. Arithmetic of a value with what was computed from itself is no operation: the reset of a
    membrane, x * sigmoid(x).
    """
    if a is None or b is None or not a.roots or not b.roots:
        return False
    if a.roots == b.roots:
        return False
    if {name for name, _ in a.roots} != {name for name, _ in b.roots}:
        return True
    return not (a.roots <= b.roots or b.roots <= a.roots)  # a membrane and what fired at its earlier steps


@dataclass(frozen=True)
class Owner:
    """A parameter or buffer of so many elements, by the module that holds it.

    What a parametrization keeps in a module of its own counts as the parametrized module's.
    """

    path: str
    name: str
    size: int


def _own(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Tensors that a module holds itself: parameters, buffers, then plain attributes."""
    for held in (module._parameters, module._buffers, vars(module)):
        for name, value in held.items():
            if isinstance(value, Tensor):
                yield name, value


def _span(x: Tensor) -> tuple[int, int]:
    """First element of `x` in its storage, and the one after its last."""
    start = int(x.storage_offset())
    reach = sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True)) + 1
    return start, start + (reach if x.numel() else 0)


def _within(x: Tensor, whole: Tensor) -> bool:
    """Whether `x` shows a part of `whole`: several parameters may share one storage."""
    if storage_id(x) != storage_id(whole):
        return False
    (start, end), (low, high) = _span(x), _span(whole)
    return low <= start and end <= high


@dataclass(frozen=True)
class _Constant:
    """What is not made from the input: the parameters it was computed from.

    `fill` is the one value that a tensor was made with, until somebody has looked; NaN if it was made without any.
    """

    owners: tuple[Owner, ...] = ()
    fill: float | None = None


class Lineage:
    """Follows activations and constants from operator to operator, by their memory: all views of it share an entry.

    Args:
        outside: tensors that the model keeps where nobody can look (a global, a closure), found by a run before.
    """

    def __init__(self, outside: Iterable[Tensor] = ()) -> None:
        self._sources: StorageMap[Source] = StorageMap()
        self._constants: StorageMap[_Constant] = StorageMap()
        self._held: dict[int, list[tuple[Tensor, Owner]]] = {}
        self._outside = {storage_id(x): x for x in outside}
        self.strangers: list[Tensor] = []  # read, but never seen before; kept alive for `outside` of another run

    def start(self, modules: Iterable[tuple[str, nn.Module]]) -> None:
        """Look up where the parameters, buffers and other tensors of these modules are now."""
        self._held.clear()
        for path, module in modules:
            around, parametrized, name = path.rpartition(".parametrizations.")
            if path.startswith("parametrizations."):
                around, parametrized, name = "", "parametrizations.", path.removeprefix("parametrizations.")
            for own, value in _own(module):
                if value.layout is torch.strided and value.device.type != "meta":
                    owner = Owner(*((around, name) if parametrized else (path, own)), value.numel())
                    self._held.setdefault(storage_id(value), []).append((value, owner))

    def stop(self) -> None:
        """Let go of the model's tensors."""
        self._held.clear()

    # -- activations ---------------------------------------------------------------------------------------------

    def start_batch(self) -> None:
        """Forget the activations of the batch before: what the model kept of them is state, and was brought back."""
        self._sources.clear()

    def enter(self, x: Tensor, raw: bool = True) -> None:
        """Take `x` as the network's input; not `raw` if it was turned into spikes before."""
        births = frozenset() if raw else frozenset({THE_INPUT})
        evidence = Evidence.NONE if raw else Evidence.SPIKES
        source = Source(THE_INPUT, raw, evidence, births=births)
        self._sources[x] = replace(source, roots=frozenset({(THE_INPUT, source.token)}))

    def is_activation(self, x: Tensor) -> bool:
        """Whether `x` depends on the input."""
        return x in self._sources

    def source(self, x: Tensor) -> Source | None:
        """Where an activation comes from; None for a constant."""
        source = self._sources.get(x)
        if source is None or not (part := _part(x)):
            return source
        return replace(source, token=hash((source.token, part)), roots=_parts(source.roots, part))

    def set_source(self, x: Tensor, source: Source) -> None:
        """Say where an activation comes from."""
        self._sources[x] = source

    def is_known(self, x: Tensor) -> bool:
        """Whether `x` is an activation or a proven constant: the model holds it, or operators that were seen made it
        and it still holds what they wrote. What a kernel wrote past the dispatcher shows in a tensor that was filled.
        """
        if x in self._sources:
            return True
        key = storage_id(x)
        if key in self._held or key in self._outside:
            return True
        constant = self._constants.get(x)
        if constant is None:
            if x.numel() > 1:
                self.strangers.append(x)
            return x.numel() <= 1
        if constant.fill is None or x.numel() <= 1:
            return True
        # Nobody reads what nobody wrote: NaN is equal to nothing.
        proven = not x.is_floating_point() or bool((x == constant.fill).all())
        if proven:
            self._constants[x] = replace(constant, fill=None)
        return proven

    def create(self, outputs: Any, fill: float | None = None) -> None:
        """Take tensors as constants, though their shape may be that of an activation."""
        for x in tensors_in((outputs,)):
            self._sources.discard(x)
            self._constants[x] = _Constant(fill=fill)

    def unseen(self, x: Tensor, path: str, inputs: Iterable[Source] = ()) -> None:
        """Take `x` as what something that was not seen made of these inputs."""
        roots: Roots = _NO_ROOTS.union(*(source.roots for source in inputs))
        self._sources[x] = _from_a_kernel(f"{UNSEEN}{path or 'the model'}", path, roots)
        self._constants.discard(x)

    def book(self, name: str, read: Iterable[Tensor], outputs: Any, weighted: bool) -> None:
        """Take outputs as the result of a synaptic operation, with weights or as a product of activations."""
        origins = [source for x in read if (source := self._sources.get(x)) is not None]
        if not origins:
            self._mark_constant(read, list(tensors_in((outputs,))))
            return
        joined = _joined(origins)
        source = Source(
            f"{RESULT_OF}{name}",
            evidence=Evidence.REAL if weighted else joined.evidence,
            linear=joined.linear and not weighted,
            roots=frozenset({(name, 0)}),
            births=_NO_BIRTHS if weighted else joined.births,
            product="" if weighted else name,
        )
        for x in tensors_in((outputs,)):
            self._sources[x] = source

    def fire(self, x: Tensor, spikes: Tensor, path: str, name: str) -> None:
        """Take `spikes` as those of a layer of neurons that read `x`."""
        read = self.source(x)
        roots = _NO_ROOTS if read is None else read.roots
        self._sources[spikes] = Source(name, evidence=Evidence.SPIKES, roots=roots, births=frozenset({path}), pure=True)

    def follow(self, operator: Operator | None, name: str, path: str, func: Any, inputs: Any, outputs: Any) -> None:
        """Follow an operator that is no synaptic operation from its inputs to its outputs.

        Args:
            operator: its entry; None if it has none.
            name: of what it computes.
            path: of the module it runs in.
            func: the operator.
            inputs: its arguments.
            outputs: its results.
        """
        if operator is not None and operator.kind is Kind.CREATOR:
            given = inputs[0][operator.given] if operator.given is not None else operator.fill
            self.create(outputs, given if isinstance(given, int | float) else None)
            return
        if func._overloadpacket in _FILLS and _fills(inputs[0][0]):
            self.create(outputs)  # written over: whatever it was is gone
            return
        read = list(tensors_in(inputs))[: 1 if operator is not None and operator.like else None]
        origins = [source for x in read if (source := self.source(x)) is not None]
        written = list(tensors_in((outputs,)))
        if not origins:
            held = {storage_id(x) for x in read}
            self._mark_constant(read, [x for x in written if func._schema.is_mutable or storage_id(x) not in held])
            return
        result = self._result(operator, origins, read, name, path, func)
        if result is None:
            self.create(outputs)
            return
        aliased = {storage_id(x) for x in read}
        writes = func._schema.is_mutable
        moved = operator is not None and operator.kind is Kind.MOVEMENT
        part = moved and operator is not None and operator.part
        for x in written:
            if not writes and storage_id(x) in aliased:
                continue  # a view has the entry of its memory
            known = self._sources.get(x) if writes else None
            source = replace(result, roots=_parts(result.roots, _order(func, inputs))) if part else result
            if known is not None and moved and not _fills(x):  # the rest of it stays
                source = replace(_joined([known, source]), name=known.name, raw=known.raw and source.raw)
            if known is not None:
                source = replace(source, maker=known.maker, passed=known.passed)
            self._sources[x] = source

    def _result(
        self, operator: Operator | None, origins: list[Source], read: list[Tensor], name: str, path: str, func: Any
    ) -> Source | None:
        """What the operator's results are; None for a constant."""
        first, joined = origins[0], _joined(origins)
        if operator is None:  # like a kernel that was not seen: spikes may begin in it, and its values say
            return _from_a_kernel(name, path, joined.roots)
        if operator.kind is Kind.MOVEMENT:
            if operator.indices:
                places = (read[0].numel(), first.token) if func._overloadpacket is torch.ops.aten.nonzero else None
                return replace(joined, name=name, evidence=Evidence.NONE, births=_NO_BIRTHS, places=places)
            if len({origin.token for origin in origins}) == 1:
                return first
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
            )
        if operator.kind is Kind.THRESHOLD:
            # Rounding or the sign of spikes makes other levels of them; a comparison makes new spikes.
            begins = not (operator.listed and joined.evidence is Evidence.SPIKES)
            return replace(
                joined,
                name=name,
                raw=False,
                evidence=Evidence.SPIKES,
                linear=True,
                births=frozenset({path}) if begins else joined.births,
                converts=joined.evidence is Evidence.REAL if begins else joined.converts,
                pure=begins,
            )
        packet = func._overloadpacket
        if packet in _DIFFERENCES and len(origins) == 2:
            if first.token == origins[1].token:
                return None  # nothing is left of it
            return replace(self._computed(operator, joined, name), cancels=((origins[1].token, first),))
        if packet in _SUMS and len(origins) == 2:
            for one, other in (origins, origins[::-1]):
                if (left := dict(one.cancels).get(other.token)) is not None:
                    return left
        result = self._computed(operator, joined, name)
        scaled = packet in _SCALES and len(origins) == 1
        return replace(result, product=first.product) if scaled else result

    def _computed(self, operator: Operator, joined: Source, name: str) -> Source:
        real = operator.effect is Effect.REAL
        return replace(
            joined,
            name=name,
            evidence=Evidence.REAL if real else joined.evidence,
            linear=joined.linear and operator.effect is Effect.LINEAR,
            births=_NO_BIRTHS if real else joined.births,
        )

    # -- weights -------------------------------------------------------------------------------------------------

    def _mark_constant(self, read: Iterable[Tensor], written: list[Tensor]) -> None:
        given = [owners for x in read if (owners := self.owners(x))]
        for x in written:
            self._sources.discard(x)
            if storage_id(x) not in self._held:  # a view of a parameter is found by where it lies
                # Of several the one of the same size: the weight, not its scale, its mask or a factor of its change.
                size = x.numel()
                owners = min(given, key=lambda owners: owners[0].size != size) if given else ()
                self._constants[x] = _Constant(owners)

    def owners(self, x: Tensor) -> tuple[Owner, ...]:
        """The parameters that a constant is, is a part of, or was computed from."""
        held = self._held.get(storage_id(x))
        if held is not None:
            return tuple(owner for whole, owner in held if _within(x, whole))
        constant = self._constants.get(x)
        return () if constant is None else constant.owners

    def name_in(self, module: nn.Module, path: str, weight: Tensor) -> str | None:
        """What a module calls a weight: its own parameter, buffer or attribute, or one derived from these."""
        for name, value in _own(module):
            if value.layout is torch.strided and _within(weight, value):
                return name
        for owner in self.owners(weight):
            if owner.path == path:
                # Older reparametrizations keep weight_g and weight_v, or weight_orig, beside a plain `weight`.
                stem = owner.name.rpartition("_")[0]
                return stem if isinstance(vars(module).get(stem), Tensor) else owner.name
        return None


_NO_BIRTHS: frozenset[str] = frozenset()
_aten = torch.ops.aten
_DIFFERENCES = {_aten.sub, _aten.sub_}
_SUMS = {_aten.add, _aten.add_}
_FILLS = {_aten.zero_, _aten.fill_}
_SCALES = {_aten.mul, _aten.mul_, _aten.div, _aten.div_}


def _from_a_kernel(name: str, path: str, roots: Roots) -> Source:
    return Source(
        name,
        evidence=Evidence.SPIKES,
        linear=False,
        roots=roots or frozenset({(name, 0)}),
        births=frozenset({path}),
        converts=True,
    )


def _joined(origins: list[Source]) -> Source:
    """What is made of several, under a name that is still to be said; a value of its own, unless it is one."""
    evidence = max(origin.evidence for origin in origins)
    spikes = evidence is Evidence.SPIKES
    return Source(
        origins[0].name,
        raw=all(origin.raw for origin in origins),
        evidence=evidence,
        linear=all(origin.linear for origin in origins),
        roots=origins[0].roots if len(origins) == 1 else _NO_ROOTS.union(*(origin.roots for origin in origins)),
        births=_NO_BIRTHS.union(*(origin.births for origin in origins)) if spikes else _NO_BIRTHS,
        converts=spikes and any(origin.converts for origin in origins),
    )


def _parts(roots: Roots, part: int) -> Roots:
    return frozenset((name, hash((before, part))) for name, before in roots)


def _fills(x: Tensor) -> bool:
    return x.numel() * x.element_size() == x.untyped_storage().nbytes()


def _part(x: Tensor) -> int:
    """Which part of its memory a view shows; 0 for all of it, in whatever order."""
    if _fills(x):
        return 0
    lengths = tuple(sorted((stride, size) for size, stride in zip(x.shape, x.stride(), strict=True) if stride))
    shown = 1
    for _, size in lengths:
        shown *= size
    whole = shown * x.element_size() == x.untyped_storage().nbytes()  # expanded
    return 0 if whole else hash((x.storage_offset(), lengths))


def _order(func: Any, inputs: Any) -> int:
    """Which part, or which order, a copy shows: by the arguments that are no tensors."""
    plain = [value for value in inputs[0] if isinstance(value, int | float | list | tuple)]
    return hash((func._schema.name, str(plain)))


def raw_sources(sources: Iterable[Source | None]) -> bool:
    """Whether all operands that depend on the input are that input still."""
    known = [source for source in sources if source is not None]
    return bool(known) and all(source.raw for source in known)
