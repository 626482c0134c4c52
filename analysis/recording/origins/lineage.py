"""Lineage: what each tensor was made from. It answers two questions.

* Was this made from the input, or is it proven constant? Constant is what operators that were seen made of parameters,
  buffers and literals, as long as it still holds what they wrote. Everything else is an activation.
* Of which weighted operations is it the result, without another in between, and did spikes begin on the way?
"""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor

from saformer.analysis.profiles.records import RESULT_OF
from saformer.analysis.recording.operations.operators import Kind, Operator, Role
from saformer.analysis.recording.origins.constants import Constants
from saformer.analysis.recording.origins.overwritten import chosen_by
from saformer.analysis.recording.origins.sources import (
    NO_BIRTHS,
    NO_ROOTS,
    NO_TOKENS,
    THE_INPUT,
    UNSEEN,
    Provenance,
    Roots,
    Source,
    fills,
    from_a_kernel,
    joined_of,
    order_of,
    part_of,
    parts,
    replace,
    result_of,
    spikes_of,
    summed_in,
)
from saformer.analysis.recording.origins.storage_map import Place, StorageMap, storage_id, tensors_in, written_into


class Lineage:
    """Follows activations and constants from operator to operator, by their memory: all views of it share an entry.

    Args:
        outside: tensors that the model keeps where nobody can look (a global, a closure), found by a run before.
        keeping: keep what `outside` of another run is found from.
    """

    def __init__(self, outside: Iterable[Tensor] = (), keeping: bool = False) -> None:
        self._sources: StorageMap[Source] = StorageMap()
        self._open: StorageMap[list[tuple[Place, Callable[[Tensor], None]]]] = StorageMap()
        self.constants = Constants(outside, keeping)

    # -- activations ---------------------------------------------------------------------------------------------

    def start_batch(self) -> None:
        """Forget the activations of the batch before: what the model kept of them is state, and was brought back."""
        self._sources.clear()
        self._open.clear()

    def enter(self, x: Tensor, raw: bool = True) -> None:
        """Take `x` as the network's input; not `raw` if it was turned into spikes before."""
        births = frozenset() if raw else frozenset({THE_INPUT})
        source = Source(THE_INPUT, raw, Provenance.NONE if raw else Provenance.SPIKES, births=births)
        self._sources[x] = replace(source, roots=frozenset({(THE_INPUT, source.token)}))

    def is_activation(self, x: Tensor) -> bool:
        """Whether `x` depends on the input."""
        return x in self._sources

    def whole(self, x: Tensor) -> Source | None:
        """Where the memory of `x` comes from, all of it; None for a constant."""
        self.settle(x)
        return self._sources.get(x)

    def source(self, x: Tensor) -> Source | None:
        """Where an activation comes from; None for a constant."""
        self.settle(x)
        source = self._sources.get(x)
        if source is None or not (part := part_of(x)):
            return source
        height_of = hash((source.height_of, part)) if source.height_of else 0
        return replace(source, token=hash((source.token, part)), height_of=height_of, roots=parts(source.roots, part))

    def set_source(self, x: Tensor, source: Source) -> None:
        """Say where an activation comes from."""
        self._sources[x] = source

    def postpone(self, x: Tensor, judge: Callable[[Tensor], None]) -> None:
        """Have `x` judged when somebody asks where it comes from, or is about to write into it: of what a kernel puts
        out, most is never read.

        Args:
            x: the tensor; nothing of it is kept alive.
            judge: is given it then, or what shows the same memory as it did, and says where it comes from.
        """
        self._open[x] = [*(self._open.get(x) or ()), (Place(x), judge)]

    def settle(self, x: Tensor) -> None:
        """Judge what was postponed in the memory of `x`."""
        postponed = self._open.get(x)
        if postponed is None:
            return
        self._open.discard(x)
        for place, judge in postponed:
            shown = place.shown_by(x)
            if shown is not None:
                judge(shown)

    def create(self, outputs: Any, fill: float | None = None) -> None:
        """Take tensors as constants, though their shape may be that of an activation."""
        for x in tensors_in((outputs,)):
            self._sources.discard(x)
            self.constants.create(x, fill)

    def unseen(self, x: Tensor, path: str, inputs: Iterable[Source] = ()) -> None:
        """Take `x` as what something that was not seen made of these inputs."""
        roots: Roots = NO_ROOTS.union(*(source.roots for source in inputs))
        self._sources[x] = from_a_kernel(f"{UNSEEN}{path or 'the model'}", path, roots)
        self.constants.forget(x)

    def book(self, name: str, read: list[Tensor], outputs: Any, weighted: bool) -> None:
        """Take outputs as the result of a synaptic operation, with weights or as a product of activations."""
        origins = [source for x in read if (source := self.source(x)) is not None]
        if not origins:
            self._derive(read, list(tensors_in((outputs,))))
            return
        joined = joined_of(origins)
        source = Source(
            f"{RESULT_OF}{name}",
            provenance=Provenance.REAL if weighted else joined.provenance,
            linear=joined.linear and not weighted,
            roots=frozenset({(name, 0)}),
            births=NO_BIRTHS if weighted else joined.births,
            converts=joined.converts and not weighted,
            product="" if weighted else name,
            summed=NO_TOKENS if weighted else summed_in(None, origins),
            averaged=joined.averaged and not weighted,
        )
        for x in tensors_in((outputs,)):
            self._sources[x] = source

    def fire(self, x: Tensor, spikes: Tensor, path: str, name: str, real: bool = False) -> None:
        """Take `spikes` as those of a layer of neurons that read `x`; `real` if they may be any number."""
        read = self.source(x)
        roots = NO_ROOTS if read is None else read.roots
        self._sources[spikes] = Source(
            name,
            provenance=Provenance.REAL if real else Provenance.SPIKES,
            roots=roots,
            births=NO_BIRTHS if real else frozenset({path}),
            pure=not real,
        )

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
        if operator is not None and operator.role is Role.FILLS and fills(inputs[0][0]):
            self.create(outputs)  # written over: whatever it was is gone
            return
        read = list(tensors_in(inputs))[: 1 if operator is not None and operator.like else None]
        origins = [source for x in read if (source := self.source(x)) is not None]
        written = list(tensors_in((outputs,)))
        if operator is None:  # a user's operator may put out nothing, and write into what it is given
            written += written_into(func, *inputs)
        if not origins:
            held = {storage_id(x) for x in read}
            self._derive(read, [x for x in written if func._schema.is_mutable or storage_id(x) not in held])
            return
        result = result_of(operator, origins, read, name, path)
        if result is None:
            self.create(outputs)
            return
        if operator is not None and operator.role is Role.SELECTS and result.provenance is not Provenance.SPIKES:
            result = self._selected(result, origins, func, inputs, name, path)
        aliased = {storage_id(x) for x in read}
        writes = func._schema.is_mutable
        moved = operator is not None and operator.kind is Kind.MOVEMENT
        part = moved and operator is not None and operator.part
        for x in written:
            if not writes and storage_id(x) in aliased:
                continue  # a view has the entry of its memory
            known = self._sources.get(x) if writes else None
            source = replace(result, roots=parts(result.roots, order_of(func, inputs))) if part else result
            if known is not None and moved and not fills(x):  # the rest of it stays
                source = replace(joined_of([known, source]), name=known.name, raw=known.raw and source.raw)
            if known is not None:
                source = replace(source, maker=known.maker, passed=known.passed)
            self._sources[x] = source

    def _selected(self, result: Source, origins: list[Source], func: Any, inputs: Any, name: str, path: str) -> Source:
        """What is left of real values where comparisons chose constants: once they chose every element, spikes."""
        chosen = chosen_by(func, inputs[0], self.source)
        if chosen is None:
            return result
        return spikes_of(result, origins, name, path) if bool(chosen.all()) else replace(result, overwritten=chosen)

    def _derive(self, read: list[Tensor], written: Iterable[Tensor]) -> None:
        for x in written:
            self._sources.discard(x)
            self.constants.derive(x, read)
