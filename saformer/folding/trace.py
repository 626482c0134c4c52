"""Which layer's result is read by which layer alone: watched on one run of the model."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from saformer.folding.border import padded_scaling, scales_its_own_way, wraps_a_norm
from saformer.folding.layers import NORMALISING, WEIGHTED, Layer, layer_of


@dataclass(eq=False)
class Unit:
    """A module that is one linear layer, as far as it was watched.

    Args:
        path: of the module.
        module: itself.
        layer: what it computes.
        whole: it is watched from outside, as a module around a BatchNorm or one that does more, not by its operator.
    """

    path: str
    module: nn.Module
    layer: Layer
    whole: bool = False
    calls: int = 0
    #: Of which unit each call read the whole result; None where it read something else.
    read: list["Unit | None"] = field(default_factory=list)
    #: Why it cannot be merged with another.
    odd: bool = False


@dataclass(eq=False)
class _Result:
    """What one call of a unit put out: the tensor is kept, so that no other takes its memory."""

    unit: Unit
    tensor: Tensor
    space: int
    readers: list[Unit] = field(default_factory=list)
    tapped: bool = False


def _storage(x: Tensor) -> int:
    return x.untyped_storage()._cdata


def _tensors(tree: Any) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


class Trace(TorchDispatchMode):
    """Watches one call of a model in evaluation mode.

    A layer is followed by another where each of its results is read by that one alone, whole, channel by channel and
    place by place, and that one reads nothing else. What an operator that only shows memory in another shape makes of
    a result is that result. The parameters of a layer that something else reads, too, leave it as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.units: dict[nn.Module, Unit] = {}
        self._results: dict[int, _Result] = {}
        self._open: list[Unit] = []
        self._probed: dict[nn.Module, Unit | None] = {}
        self._paths = {module: path for path, module in model.named_modules()}
        self._owners: dict[int, list[Unit]] = {}
        self._copies: dict[nn.Module, nn.Module] = {}

    # -- modules ---------------------------------------------------------------------------------------------------

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Watch what runs inside."""
        handles = []
        for module in model.modules():
            if module._forward_hooks or module._forward_pre_hooks:
                continue  # they may change what it computes
            if wraps_a_norm(module) or scales_its_own_way(module):
                self._copies[module] = copy.deepcopy(module)  # before it has hooks of ours
            if module in self._copies or isinstance(module, (*WEIGHTED, *NORMALISING)):
                handles.append(module.register_forward_pre_hook(self._enter))
                handles.append(module.register_forward_hook(self._leave))
        try:
            with torch.no_grad(), self:
                yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if any(unit.whole for unit in self._open):
            return
        unit = self._unit(module, args)
        if unit is None:
            return
        unit.calls += 1
        self._open.append(unit)
        if unit.whole:
            (x,) = args
            self._read(unit, x, x.ndim - unit.layer.weight.ndim + 1)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not self._open or self._open[-1].module is not module:
            return
        unit = self._open.pop()
        if unit.whole:
            self._put_out(unit, output, output.ndim - unit.layer.weight.ndim + 1)
        if len(unit.read) != unit.calls:
            unit.odd = True  # it ran no operator of its own, or several

    def _unit(self, module: nn.Module, args: tuple[Any, ...]) -> Unit | None:
        if module not in self._probed:
            whole = module in self._copies
            layer = None
            if not whole:
                layer = layer_of(module)
            elif len(args) == 1 and isinstance(args[0], Tensor):
                with _disable_current_modes():
                    layer = padded_scaling(self._copies[module], args[0].ndim)
                if isinstance(module, NORMALISING):
                    whole, layer = layer is not None, layer or layer_of(module)
                elif layer is not None and not any(layer.padding):
                    layer = None  # the BatchNorm in it says it all
            unit = None if layer is None else Unit(self._paths[module], module, layer, whole)
            self._probed[module] = unit
            if unit is not None:
                self.units[module] = unit
                for tensor in (*module.parameters(), *module.buffers()):
                    self._owners.setdefault(_storage(tensor), []).append(unit)
        return self._probed[module]

    # -- operators -------------------------------------------------------------------------------------------------

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = func(*args, **kwargs or {})
        if any(unit.whole for unit in self._open):
            return output
        given = _tensors((args, kwargs))
        unit = self._open[-1] if self._open else None
        shared, made = {_storage(x) for x in given}, _tensors(output)
        views = bool(made) and not func._schema.is_mutable and all(_storage(x) in shared for x in made)
        if not views:
            own = unit is not None and self._is_own(func, given, unit)
            for x in given:
                for owner in self._owners.get(_storage(x), ()):
                    owner.odd = owner.odd or owner is not unit or not own
                result = self._results.get(_storage(x))
                if result is not None and not own:
                    result.tapped = True
            if own and unit is not None:
                self._operator(unit, func, args, output)
        return output

    def _is_own(self, func: Any, given: list[Tensor], unit: Unit) -> bool:
        """Whether an operator applies the unit's weights, or its statistics."""
        name = func._schema.name
        if isinstance(unit.module, NORMALISING):
            return "batch_norm" in name and _storage(unit.module.running_var) in map(_storage, given)  # type: ignore[arg-type]
        weight = _storage(unit.module.weight)  # type: ignore[arg-type]
        return name.split("::")[1] in ("convolution", "addmm", "mm", "linear") and weight in map(_storage, given)

    def _operator(self, unit: Unit, func: Any, args: tuple[Any, ...], output: Any) -> None:
        x = args[1] if func._schema.name == "aten::addmm" else args[0]
        result = output[0] if isinstance(output, tuple | list) else output
        axis = x.ndim - 1 if isinstance(unit.module, nn.Linear) else 1
        self._read(unit, x, axis)
        self._put_out(unit, result, result.ndim - 1 if isinstance(unit.module, nn.Linear) else 1)

    # -- results ---------------------------------------------------------------------------------------------------

    def _read(self, unit: Unit, x: Tensor, axis: int) -> None:
        result = self._results.get(_storage(x))
        if result is None or not _alike(result.tensor, result.space, x, axis, unit.layer.anywhere):
            if result is not None:
                result.tapped = True
            unit.read.append(None)
            return
        result.readers.append(unit)
        unit.read.append(result.unit)

    def _put_out(self, unit: Unit, x: Tensor, axis: int) -> None:
        self._results[_storage(x)] = _Result(unit, x, axis)

    def chains(self, output: Any) -> list[list[Unit]]:
        """Units that follow each other, each chain as long as it goes; `output` is what the model put out."""
        for x in _tensors(output):
            if (result := self._results.get(_storage(x))) is not None:
                result.tapped = True
        following: dict[Unit, Unit] = {}
        by_unit: dict[Unit, list[_Result]] = {}
        for result in self._results.values():
            by_unit.setdefault(result.unit, []).append(result)
        for unit, results in by_unit.items():
            readers = {reader for result in results for reader in result.readers}
            if unit.odd or len(results) != unit.calls or len(readers) != 1:
                continue
            if any(result.tapped or len(result.readers) != 1 for result in results):
                continue
            (reader,) = readers
            if not reader.odd and reader is not unit and all(before is unit for before in reader.read):
                following[unit] = reader
        begins = [unit for unit in self.units.values() if unit in following and unit not in following.values()]
        return [_from(unit, following) for unit in begins]


def _from(unit: Unit, following: dict[Unit, Unit]) -> list[Unit]:
    chain = [unit]
    while (last := following.get(chain[-1])) is not None:
        chain.append(last)
    return chain


def _alike(result: Tensor, axis: int, x: Tensor, own: int, anywhere: bool) -> bool:
    """Whether `x` shows all of a result, with its channels as channels, and its space as space."""
    if x.numel() != result.numel() or x.storage_offset() != result.storage_offset():
        return False
    mine, theirs = _laid_out(x)[own:], _laid_out(result)[axis:]
    return mine[:1] == theirs[:1] and (anywhere or mine == theirs)


def _laid_out(x: Tensor) -> list[tuple[int, int]]:
    """Size and stride of each axis; a stride over one place says nothing, and operators choose it freely."""
    return [(size, stride if size > 1 else 0) for size, stride in zip(x.shape, x.stride(), strict=True)]
