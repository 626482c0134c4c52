"""Constants: tensors that are not made from the input, and the parameters that they were made from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from saformer.analysis.recording.beforehand.plain_modules import OF_EVERY_MODULE
from saformer.analysis.recording.origins.storage_map import StorageMap, storage_id
from saformer.native.passes import fits, native


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
    for held in (module._parameters, module._buffers):
        for name, value in held.items():
            if value is not None:
                yield name, value
    for name, value in vars(module).items():
        if name not in OF_EVERY_MODULE and isinstance(value, Tensor):
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


def is_filled(x: Tensor, fill: float) -> bool:
    """Whether floating-point `x` holds one value alone; never NaN: nobody reads what nobody wrote."""
    if not x.is_floating_point():
        return True
    if fill == 0 and fits(x) and x.is_contiguous() and (library := native()) is not None:
        nonzero, *_ = library.look(x.view(1, -1))
        return not int(nonzero)
    return fill == fill and bool((torch.stack(torch.aminmax(x)) == fill).all())


class Constants:
    """Knows the tensors that a model holds, and what operators made of them.

    Args:
        outside: tensors that the model keeps where nobody can look (a global, a closure), found by a run before.
        keeping: keep alive what was read, but never seen before: `strangers`, for `outside` of another run.
    """

    def __init__(self, outside: Iterable[Tensor] = (), keeping: bool = False) -> None:
        self._made: StorageMap[_Constant] = StorageMap()
        self._held: dict[int, list[tuple[Tensor, Owner]]] = {}
        self._outside = {storage_id(x): x for x in outside}
        self._keeping = keeping
        self.strangers: list[Tensor] = []

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

    def _holders(self, x: Tensor) -> list[tuple[Tensor, Owner]]:
        """The model's tensors in the memory of `x`: one that was given other memory since (`p.data = ...`) is there no
        more, and what it had may be that of anything.
        """
        key = storage_id(x)
        return [(value, owner) for value, owner in self._held.get(key, ()) if storage_id(value) == key]

    def is_proven(self, x: Tensor) -> bool:
        """Whether `x` is a constant: the model holds it, or operators that were seen made it, and it still holds what
        they wrote. What a kernel wrote past the dispatcher shows in a tensor that was filled.
        """
        outside = self._outside.get(storage_id(x))
        if self._holders(x) or (outside is not None and storage_id(outside) == storage_id(x)):
            return True
        constant = self._made.get(x)
        if constant is None:
            if x.numel() > 1:
                self.strangers += [x] if self._keeping else []
            return x.numel() <= 1
        if constant.fill is None or x.numel() <= 1:
            return True
        proven = is_filled(x, constant.fill)
        if proven:
            self._made[x] = replace(constant, fill=None)
        return proven

    def fill(self, x: Tensor) -> float | None:
        """The one value that `x` was made with, if nobody has looked since whether it still holds it."""
        constant = self._made.get(x)
        return None if constant is None or x.numel() <= 1 or self._holders(x) else constant.fill

    def holds(self, x: Tensor) -> bool:
        """Whether `x` is one of the model's own tensors, or a view of one."""
        return bool(self._holders(x))

    def create(self, x: Tensor, fill: float | None = None) -> None:
        """Take `x` as new, filled with one value; NaN if with none at all, None if with several or an unknown one."""
        self._made[x] = _Constant(fill=fill)

    def forget(self, x: Tensor) -> None:
        """`x` is a constant no more."""
        self._made.discard(x)

    def derive(self, x: Tensor, read: Iterable[Tensor]) -> None:
        """Take `x` as made of other constants."""
        if self._holders(x):  # a view of a parameter is found by where it lies
            return
        given = [owners for other in read if (owners := self.owners(other))]
        # Of several the one of the same size: the weight, not its scale, its mask or a factor of its change.
        owners = min(given, key=lambda owners: owners[0].size != x.numel()) if given else ()
        self._made[x] = _Constant(owners)

    def owners(self, x: Tensor) -> tuple[Owner, ...]:
        """The parameters that a constant is, is a part of, or was computed from."""
        if held := self._holders(x):
            return tuple(owner for whole, owner in held if _within(x, whole))
        constant = self._made.get(x)
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
