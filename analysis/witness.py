"""fvcore as an independent witness: its multiply-accumulates per module beside the recorder's."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import Operation

# What fvcore counts as a matrix product or convolution; its BatchNorm and pooling counts are outside Eq. 18.
_OPERATORS = {"conv", "linear", "matmul", "bmm", "baddbmm", "addmm", "mm", "mv", "einsum"}
# Elementwise products (masks) are outside fvcore's convention.
_ELEMENTWISE = {"product"}


@dataclass(frozen=True)
class ModuleFlops:
    """Multiply-accumulates of one module (with its children) per image: ours and fvcore's."""

    module: str
    recorder: int
    fvcore: int


def fvcore_flops(model: nn.Module, example: Tensor) -> dict[str, int]:
    """fvcore's multiply-accumulates of each module for this input ("" is the whole model).

    Args:
        model: in evaluation mode.
        example: the model's input, one image for numbers per image.

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
            analysis = FlopCountAnalysis(model, example).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            analysis.tracer_warnings("none")
            counts = analysis.by_module_and_operator()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    return {
        module: int(sum(count for operator, count in operators.items() if operator in _OPERATORS))
        for module, operators in counts.items()
    }


def compare(
    operations: tuple[Operation, ...], images: int, fvcore: dict[str, int], is_module: Callable[[str], bool]
) -> list[ModuleFlops]:
    """Both counts for every module that contains a synaptic operation or that fvcore counts, per image.

    Args:
        operations: of a profile.
        images: of that profile.
        fvcore: from `fvcore_flops` on one image.
        is_module: whether a path is a module of the model (products have a path and a name of their own).
    """
    ours: dict[str, int] = {}
    for operation in operations:
        if operation.op in _ELEMENTWISE:
            continue
        parts = operation.name.split(".")
        module = operation.name
        if not is_module(module):
            module = ".".join(parts[:-1])
        while True:
            ours[module] = ours.get(module, 0) + operation.dense
            if not module:
                break
            module = module.rpartition(".")[0]
    modules = [module for module in fvcore if fvcore[module] or ours.get(module)]
    modules += [module for module in ours if module not in fvcore]
    return [ModuleFlops(module, ours.get(module, 0) // images, fvcore.get(module, 0)) for module in modules]


def disagreements(rows: list[ModuleFlops]) -> list[ModuleFlops]:
    """The rows that differ, innermost modules only: an outer one differs because an inner one does."""
    differing = [row for row in rows if row.recorder != row.fvcore]
    return [
        row
        for row in differing
        if not any(
            other.module != row.module and (other.module.startswith(row.module + ".") or not row.module)
            for other in differing
        )
    ]
