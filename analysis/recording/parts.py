"""Operators that run as their parts, each of which is seen."""

import warnings
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.analysis.recording.observers.operations import Operations
from saformer.analysis.recording.operations import formulas
from saformer.analysis.recording.operations.operators import Operator


def run_in_parts(
    mode: TorchDispatchMode, operations: Operations, func: Any, operator: Operator | None, args: Any, kwargs: Any
) -> Any:
    """Run a composite operator as its parts; NotImplemented if it has none.

    Args:
        mode: what sees them.
        operations: what counts them.
        func: the operator.
        operator: its entry; None if it has none.
        args: its arguments.
        kwargs: its arguments by name.
    """
    if operator is not None and operator.attention:
        with mode:
            return formulas.attention(*args, **kwargs)
    if operator is None or not operator.recurrent:
        # What an operator pads its own input with is no input.
        pads = func._overloadname == "padding" and "conv" in func._overloadpacket.__name__
        with operations.padding(args[0]) if pads else nullcontext(), mode:
            return func.decompose(*args, **kwargs)
    # The same weights at every step of the sequence, under one name; not as one fused kernel.
    with warnings.catch_warnings(), operations.names.merging():
        warnings.simplefilter("ignore")  # about the flag, not about the model
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.cudnn.flags(enabled=False), mode:
            return func.decompose(*args, **kwargs)
