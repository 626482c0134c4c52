"""fvcore's multiply-accumulates per module beside the recorder's: an independent count of dense operations."""

import logging
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import Operation, Profile
from saformer.analysis.recording.beforehand.inputs import Sample
from saformer.text import some

# What fvcore counts as a matrix product or convolution; its BatchNorm and pooling counts are outside Eq. 18.
_OPERATORS = {"conv", "linear", "matmul", "bmm", "baddbmm", "addmm", "mm", "mv", "einsum"}
# Elementwise products (masks) are outside fvcore's convention.
_ELEMENTWISE = {"product"}


@dataclass(frozen=True)
class ModuleFlops:
    """Multiply-accumulates of one image in one module, without its children: ours and fvcore's.

    None where a counter's convention does not include the operation.
    """

    module: str
    op: str
    recorder: int | None
    fvcore: int | None

    @property
    def agrees(self) -> bool:
        """Both count it, and alike; or it is outside the convention of one."""
        return self.recorder is None or self.fvcore is None or self.recorder == self.fvcore


def fvcore_flops(model: nn.Module, example: Tensor | tuple[Any, ...]) -> dict[str, int]:
    """fvcore's multiply-accumulates of each module without its children ("" is the model itself).

    Args:
        model: in evaluation mode.
        example: the model's input or inputs, one image for numbers per image.

    Raises:
        RuntimeError: the model cannot be traced.
    """
    from fvcore.nn import FlopCountAnalysis

    loggers = [logging.getLogger(name) for name in ("fvcore", "fvcore.nn.jit_analysis")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            analysis = FlopCountAnalysis(model, example).unsupported_ops_warnings(False)
            analysis.uncalled_modules_warnings(False).tracer_warnings("none")
            counts = analysis.by_module_and_operator()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    total = {
        module: int(sum(count for operator, count in operators.items() if operator in _OPERATORS))
        for module, operators in counts.items()
    }
    own = dict(total)
    for module in total:
        if module:
            own[module.rpartition(".")[0]] -= total[module]
    return own


def compare(operations: tuple[Operation, ...], images: int, fvcore: dict[str, int]) -> list[ModuleFlops]:
    """Both counts for every module that has operations of its own, per image.

    Args:
        operations: of a profile.
        images: of that profile.
        fvcore: from `fvcore_flops` on one image; its keys are the model's modules.
    """
    masks: dict[str, ModuleFlops] = {}
    products: dict[str, tuple[int, list[str], list[str]]] = {}
    for operation in operations:
        layer = operation.name.partition(":")[0]  # `layer:2` is the layer called in another way
        module = layer if layer in fvcore else layer.rpartition(".")[0]
        if operation.op in _ELEMENTWISE:
            masks[operation.name] = ModuleFlops(operation.name, operation.op, operation.dense // images, None)
            continue
        dense, ops, names = products.setdefault(module, (0, [], []))
        what = [operation.name.rpartition(".")[2]] if layer != module else []
        products[module] = (dense + operation.dense // images, [*ops, operation.op], [*names, *what])
    rows = {
        module: ModuleFlops(
            module,
            ", ".join(dict.fromkeys(ops)) + (f" ({', '.join(names)})" if names else ""),
            dense,
            fvcore.get(module, 0),
        )
        for module, (dense, ops, names) in products.items()
    }
    for module, count in fvcore.items():
        if count and module not in rows:
            rows[module] = ModuleFlops(module, "", 0, count)
    return [*rows.values(), *masks.values()]


def disagreements(profile: Profile, counted: dict[str, int]) -> tuple[list[str], list[str]]:
    """Sentences on modules that both count, and not alike; and what fvcore alone saw.

    Args:
        profile: of any number of images.
        counted: fvcore's multiply-accumulates of one image, by module.
    """
    rows = compare(profile.operations, profile.images, counted)
    if sum(row.recorder or 0 for row in rows if row.fvcore is not None) == sum(row.fvcore or 0 for row in rows):
        return [], []  # a function that uses another module's weights is booked there
    rows = [row for row in rows if not row.agrees]
    scalings = {entry.name for entry in profile.free if entry.op == "einsum"}  # an operation to fvcore alone
    missed = [row for row in rows if row.fvcore and not row.recorder and row.module not in scalings]
    notes = [
        f"fvcore counts {row.fvcore:,} multiply-accumulates per image in {row.module or 'the model'}, "
        f"the recorder {row.recorder:,}"
        for row in rows
        if row.recorder and row.fvcore
    ]
    blind = [row.module or "the model" for row in rows if not row.fvcore]
    if blind:
        notes.append(f"fvcore sees nothing in {some(blind)}")
    return notes, [f"{row.fvcore:,} multiply-accumulates in {row.module or 'the model'}" for row in missed]


def checked(profile: Profile, model: nn.Module, example: Sample, loop: int) -> Profile:
    """The profile with a note for each module on whose dense operations fvcore disagrees, and what only fvcore saw
    among what was not counted.

    Args:
        profile: of a run.
        model: that was run, in evaluation mode.
        example: one image, as the model takes it.
        loop: how often the model was called for each image.
    """
    try:
        counted = fvcore_flops(model, (*example.args, *example.kwargs.values()))
    except Exception as error:  # tracing runs foreign code, which may raise anything
        note = f"fvcore could not trace the model, so its FLOPs were not cross-checked ({type(error).__name__})"
        return replace(profile, notes=(*profile.notes, note))
    notes, missed = disagreements(profile, {path: count * loop for path, count in counted.items()})
    return replace(profile, notes=(*profile.notes, *notes), uncounted=(*profile.uncounted, *missed))
