"""Folding: BatchNorms and chains of linear layers with nothing between are merged, each into one layer."""

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from saformer.errors import InputError
from saformer.folding.layers import WEIGHTED, Layer, as_module, composed, foldable
from saformer.folding.trace import Trace, Unit

# In float64, of the largest output.
_TOLERANCE = 1e-9

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Folded(Generic[M]):
    """A folded model.

    Args:
        model: a copy in which merged layers stand in the place of the first with weights; the rest let pass.
        layers: paths of the modules that became one, for each.
        reason: why nothing was folded; empty where something was.
    """

    model: M
    layers: tuple[tuple[str, ...], ...]
    reason: str = ""

    @property
    def sentence(self) -> str:
        """What was done, in a line."""
        if self.reason:
            return f"nothing is folded: {self.reason}"
        return f"folded: {sum(map(len, self.layers)):,} layers and BatchNorms became {len(self.layers):,} layers"


def fold(model: M, example: Any = None) -> M:
    """The model with BatchNorms and chains of linear layers folded, a copy; a warning says where nothing could be.

    Args:
        model: any, in evaluation mode.
        example: an input of it (a tensor, a tuple of several, or a dictionary by name); one of our own needs none.

    Raises:
        InputError: as `folded`.
    """
    found = folded(model, example)
    if found.reason:
        warnings.warn(found.sentence, stacklevel=2)
    return found.model


def folded(model: M, example: Any = None, to_input: Callable[[Any], Any] | None = None) -> Folded[M]:
    """Fold what one run of the model proves can be folded.

    Layers are merged where each result of the one is read by the other alone (`Trace`) and one layer computes both,
    borders included (`composed`). The folded model is run, too: it must put out the same numbers, in float64.

    Args:
        model: any, in evaluation mode; it is not changed.
        example: an input of it (a tensor, a tuple of several, or a dictionary by name); one of our own needs none.
        to_input: what makes the model's input from the example, if that is not the example itself.

    Raises:
        InputError: the model is in training mode, there is no example, or the model cannot be copied or run.
    """
    from saformer.models.config import Model, example_input

    if any(module.training for module in model.modules()):
        raise InputError("a model in training mode cannot be folded, its BatchNorms still change: call model.eval()")
    if example is None:
        if not isinstance(model, Model):
            raise InputError("folding runs the model once: give an example of its input")
        example = example_input(model, random=True)
    example = tree_map(_double, example if to_input is None else to_input(example))
    wide = _copy(model).double()
    merges, expected = _watched(wide, example)
    if not merges:
        hooked = [path for path, module in model.named_modules() if _hooked(module) and foldable(module)]
        reason = "no layer's result is read by another layer alone, with nothing between"
        if hooked:
            reason += f"; those with forward hooks are left as they are, {hooked[0]} the first"
        return Folded(model, (), reason)
    wide = _merged(_copy(model).double(), merges)
    try:
        found = _run(wide, example)
    except (MemoryError, torch.OutOfMemoryError):
        raise  # which says nothing about the model
    except Exception as error:  # a stranger's code may miss what was taken out of a layer
        line = (str(error).splitlines() or [""])[0]
        return Folded(model, (), f"the model does not run without the layers merged ({type(error).__name__}: {line})")
    # A membrane within the last bits of its threshold may fire in one network alone, and change all that follows: then
    # the model itself decides, with the numbers of the merged layers where theirs were.
    if not _equal(expected, found) and not _equal(_shadowed(_copy(model).double(), merges, example), found):
        return Folded(model, (), "the model gives other numbers with its layers merged, so something else reads them")
    result = _merged(_copy(model), merges)
    if not hasattr(result, "folded") or isinstance(result, Model):
        vars(result)["folded"] = True
    paths = tuple(tuple(unit.path for unit in units) for units, _ in merges)
    return Folded(result, paths)


def _double(x: Any) -> Any:
    return x.detach().double() if isinstance(x, Tensor) and x.is_floating_point() else x


def _copy(model: M) -> M:
    try:
        return copy.deepcopy(model)
    except Exception as error:
        line = (str(error).splitlines() or [""])[0]
        raise InputError(f"the model cannot be copied, which folding needs: {type(error).__name__}: {line}") from None


def _run(model: nn.Module, example: Any) -> Any:
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if isinstance(example, dict):
            return model(**example)
        return model(*example) if isinstance(example, tuple | list) else model(example)


def _watched(model: nn.Module, example: Any) -> tuple[list[tuple[list[Unit], Layer]], Any]:
    """What to merge, with the layers that come of it, and what the model puts out."""
    trace = Trace(model)
    with trace.watching(model):
        output = _run(model, example)
    merges = []
    for chain in trace.chains(output):
        while chain:
            units, layer = _longest(chain)
            chain = chain[len(units) :]
            if len(units) > 1 and any(isinstance(unit.module, WEIGHTED) for unit in units):
                merges.append((units, layer))
    return merges, output


def _shadowed(model: nn.Module, merges: Sequence[tuple[Sequence[Unit], Layer]], example: Any) -> Any:
    """What the model puts out where the last unit of each merge hands on what the merged layer makes of its input.

    All else of the model runs as it is: what also reads a result between the units still finds it. None where a merged
    layer takes no such input.
    """
    modules = dict(model.named_modules())
    inputs: dict[int, tuple[Any, ...]] = {}
    for i, (units, layer) in enumerate(merges):
        place = next(unit for unit in units if isinstance(unit.module, WEIGHTED))
        merged = as_module(layer, modules[place.path])

        def enter(_module: nn.Module, args: tuple[Any, ...], i: int = i) -> None:
            inputs[i] = args

        def leave(_module: nn.Module, _args: Any, output: Tensor, i: int = i, merged: nn.Module = merged) -> Tensor:
            return merged(*inputs[i]).reshape(output.shape)

        modules[units[0].path].register_forward_pre_hook(enter)
        modules[units[-1].path].register_forward_hook(leave)
    try:
        return _run(model, example)
    except (RuntimeError, KeyError, ValueError):
        return None


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _longest(chain: Sequence[Unit]) -> tuple[list[Unit], Layer]:
    """As many units from the first as one layer computes."""
    layer = chain[0].layer
    for i, unit in enumerate(chain[1:], 1):
        both = composed(layer, unit.layer)
        if both is None:
            return list(chain[:i]), layer
        layer = both
    return list(chain), layer


def _merged(model: M, merges: Sequence[tuple[Sequence[Unit], Layer]]) -> M:
    """The model with the layers in place."""
    modules = dict(model.named_modules())
    instead: dict[nn.Module, nn.Module] = {}
    for units, layer in merges:
        place = next(unit for unit in units if isinstance(unit.module, WEIGHTED))
        for unit in units:
            old = modules[unit.path]
            instead[old] = as_module(layer, old) if unit is place else nn.Identity().eval()
    for parent in modules.values():
        for name, child in parent.named_children():
            if child in instead:
                setattr(parent, name, instead[child])
    return model


def _equal(expected: Any, found: Any) -> bool:
    """Whether all tensors of two outputs agree."""
    pairs = [[x.double() for x in tree_leaves(tree) if isinstance(x, Tensor)] for tree in (expected, found)]
    return len(pairs[0]) == len(pairs[1]) and all(
        a.shape == b.shape
        and torch.allclose(a, b, rtol=0, atol=_TOLERANCE * (1 + float(a.abs().max())), equal_nan=True)
        for a, b in zip(*pairs, strict=True)
    )
