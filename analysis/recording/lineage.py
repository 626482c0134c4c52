"""Where tensors come from: activations from the input, by way of which operation; weights from which parameter."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.recording.operators import LIKE, SUMS
from saformer.analysis.recording.storage_map import StorageMap, storage_id, tensors_in

_TOKENS = itertools.count(1)

RESULT_OF = "result of "  # source of what a layer with weights puts out
THE_INPUT = "the input"


@dataclass(frozen=True)
class Source:
    """Where an activation comes from.

    Args:
        name: the operation whose result it is.
        raw: it is the network's input still: as given, moved about, or after arithmetic that is not synaptic
            (normalised, pooled), with neither a weight nor a threshold between.
        threshold: it is the answer to a comparison, zeros and ones whatever was compared.
        token: what it is a value of: the same after it was moved, scaled or shifted, another after anything else.
        compared: of an answer to a comparison, or what is left where it is no: tokens of the values compared.
        membrane: it was reset where it had fired, or is the answer to a comparison of such a value.
        bare: no operation stands between the input and it, synaptic ones, that is: an encoder at most.
        maker: the innermost module that put it out.
        passed: modules that may turn out to be neurons, and put it out; the outermost first.
    """

    name: str
    raw: bool = False
    threshold: bool = False
    token: int = field(default_factory=lambda: next(_TOKENS), compare=False)
    compared: frozenset[int] = frozenset()
    membrane: bool = False
    bare: bool = False
    maker: str = ""
    passed: tuple[str, ...] = ()

    def gates(self, other: "Source") -> bool:
        """Whether it is the answer to a comparison of that very value: its activation function, or its reset."""
        return other.token in self.compared and not other.compared


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


class Provenance:
    """Follows activations and weights from operator to operator, by their memory.

    Whatever is computed from an activation is one; everything else is a constant (a weight, however derived).
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._sources: StorageMap[Source] = StorageMap()
        self._constants: StorageMap[tuple[Owner, ...]] = StorageMap()  # computed, but not from the input: from whom
        self._held: dict[int, list[tuple[Tensor, Owner]]] = {}

    def start(self) -> None:
        """Look up where the model's parameters and buffers are now."""
        self._held.clear()
        for path, module in self._model.named_modules():
            around, parametrized, name = path.rpartition(".parametrizations.")
            if path.startswith("parametrizations."):
                around, parametrized, name = "", "parametrizations.", path.removeprefix("parametrizations.")
            for own, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None:
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
        self._sources[x] = Source(THE_INPUT, raw, bare=True)

    def is_activation(self, x: Tensor) -> bool:
        """Whether `x` depends on the input."""
        return x in self._sources

    def source(self, x: Tensor) -> Source | None:
        """Where an activation comes from; None for a constant."""
        return self._sources.get(x)

    def set_source(self, x: Tensor, source: Source) -> None:
        """Say where an activation comes from."""
        self._sources[x] = source

    def is_known(self, x: Tensor) -> bool:
        """Whether an operator was seen that computed `x`, or the model holds it."""
        return x in self._sources or x in self._constants or storage_id(x) in self._held

    def is_parameter(self, x: Tensor) -> bool:
        """Whether `x` is a parameter of the model, or a part of one."""
        held = self._held.get(storage_id(x), ())
        return any(isinstance(whole, nn.Parameter) and _within(x, whole) for whole, _ in held)

    def create(self, outputs: Any) -> None:
        """Take new tensors as constants, though their shape may be that of an activation."""
        for x in tensors_in((outputs,)):
            self._sources.discard(x)
            self._constants[x] = ()

    def mark(
        self,
        func: Any,
        inputs: Any,
        outputs: Any,
        source: str | None,
        weighted: bool = False,
        threshold: bool = False,
        reset: bool = False,
    ) -> bool:
        """Follow one operator from its inputs to its outputs; whether it resets a membrane.

        Args:
            func: the operator.
            inputs: its arguments.
            outputs: its results.
            source: name of what it computes; None for a move, which keeps the source of what was moved.
            weighted: a synaptic operation, which no raw input survives.
            threshold: it compares, or chooses between two constants.
            reset: it multiplies a value with the answer to a comparison of that value.
        """
        packet = func._overloadpacket
        read = list(tensors_in(inputs))
        # The second tensor of `x.type_as(y)` gives a type or a shape, and no value.
        origins = [o for x in (read[:1] if packet in LIKE else read) if (o := self._sources.get(x)) is not None]
        if not origins:
            self._mark_constant(func, inputs, outputs)
            return False
        one = len(origins) == 1 or (source is None and len({origin.token for origin in origins}) == 1)
        reset |= packet in SUMS and len(origins) == 2 and any(a.gates(b) for a, b in (origins, origins[::-1]))
        compared: frozenset[int] = frozenset()
        if threshold:
            compared = frozenset(t for origin in origins for t in (origin.token, *origin.compared))
        elif not weighted and (one or source is None) and all(origin.compared for origin in origins):
            compared = frozenset(t for origin in origins for t in origin.compared)
        size = max((x.numel() for x in read if x in self._sources), default=0)
        outputs = list(tensors_in((outputs,)))
        same = one and not (weighted or threshold) and all(x.numel() == size for x in outputs)
        token = origins[0].token if same else next(_TOKENS)
        if reset:  # a membrane that was reset is the same membrane
            token = next((origin.token for origin in origins if not origin.compared), token)
        facts: dict[str, Any] = {
            "raw": not (weighted or threshold) and all(origin.raw for origin in origins),
            "threshold": threshold if source is not None else all(origin.threshold for origin in origins),
            "token": token,
            "compared": compared,
            "membrane": not weighted and (reset or any(origin.membrane for origin in origins)),
            "bare": not weighted and all(origin.bare for origin in origins),
        }
        result = replace(origins[0], **facts) if source is None else Source(source, **facts)
        for x in outputs:
            known = self._sources.get(x) if source is None else None
            if known is None:
                self._sources[x] = result
            elif known.token != result.token:  # something else was written into it
                self._sources[x] = replace(result, name=known.name, passed=known.passed, maker=known.maker)
        return reset

    # -- weights -------------------------------------------------------------------------------------------------

    def _mark_constant(self, func: Any, inputs: Any, outputs: Any) -> None:
        if func._overloadpacket is torch.ops.aten.lift_fresh:  # that is what came from outside
            for x in tensors_in((outputs,)):
                self._sources.discard(x)
            return
        given = [owners for x in tensors_in(inputs) if (owners := self.owners(x))]
        for x in tensors_in((outputs,)):
            self._sources.discard(x)
            if storage_id(x) not in self._held:  # a view of a parameter is found by where it lies
                # Of several the one of the same size: the weight, not its scale, its mask or a factor of its change.
                size = x.numel()
                self._constants[x] = min(given, key=lambda owners: owners[0].size != size) if given else ()

    def owners(self, x: Tensor) -> tuple[Owner, ...]:
        """The parameters that a constant is, is a part of, or was computed from."""
        held = self._held.get(storage_id(x))
        if held is not None:
            return tuple(owner for whole, owner in held if _within(x, whole))
        return self._constants.get(x) or ()

    def name_in(self, module: nn.Module, path: str, weight: Tensor) -> str | None:
        """What a module calls a weight: its own parameter, buffer or attribute, or one derived from these."""
        for name, value in _own(module):
            if _within(weight, value):
                return name
        for owner in self.owners(weight):
            if owner.path == path:
                # Older reparametrizations keep weight_g and weight_v, or weight_orig, beside a plain `weight`.
                stem = owner.name.rpartition("_")[0]
                return stem if isinstance(vars(module).get(stem), Tensor) else owner.name
        return None


def raw_sources(sources: Iterable[Source | None]) -> bool:
    """Whether all operands that depend on the input are that input still."""
    known = [source for source in sources if source is not None]
    return bool(known) and all(source.raw for source in known)
