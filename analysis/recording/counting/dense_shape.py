"""Dense operations of a network on PyTorch's meta device: neither data, nor weights, nor memory for them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass(frozen=True)
class DenseShape:
    """What follows from an architecture alone, per image.

    Args:
        parameters: of the network, those that no forward pass uses included.
        time_steps: T.
        dense: multiply-accumulates of convolutions, linear layers and matrix products over all T steps, biases left
            out. Products element by element (masks) are not among them.
        first: those of the layer that reads the input, for one step.
        first_runs: how often that layer runs per image: T, or 1 where it stands before time begins.
        head: those of the layer that ran last, over all its executions.
    """

    parameters: int
    time_steps: int
    dense: int
    first: int
    first_runs: int
    head: int


class _Products(TorchDispatchMode):
    """Counts the floating-point operations of convolutions and matrix products, two for each multiply-accumulate."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator, and add what it takes if it is one of them."""
        if func.overloadpacket is torch.ops.aten.native_batch_norm:
            # Shapes alone are asked for, and on meta this one operator is thirty of Python.
            return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        return out


def dense_shape(model: nn.Module, example: Tensor, time_steps: int) -> DenseShape:
    """The dense operations of one input.

    Args:
        model: on the meta device, in evaluation mode.
        example: one input on the meta device, with its batch dimension.
        time_steps: T, by which the execution of the first layer is told to be one step or all.
    """
    calls: list[tuple[int, int]] = []  # multiply-accumulates, and inputs in the batch

    def count(module: nn.Module, args: tuple[Any, ...], out: Tensor) -> None:
        weight: Tensor = module.weight  # type: ignore[assignment]
        calls.append((out.numel() // weight.shape[0] * weight.numel(), out.shape[0]))

    layers = [m for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        with torch.no_grad(), _Products() as counter:
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    runs = time_steps if calls[0][1] % time_steps == 0 else 1
    return DenseShape(
        parameters=sum(p.numel() for p in model.parameters()),
        time_steps=time_steps,
        dense=counter.flops // 2,
        first=calls[0][0] // runs,
        first_runs=runs,
        head=calls[-1][0],
    )


def shape_of(name: str, **settings: Any) -> DenseShape:
    """The same of one of our own networks by name; it is built on the meta device.

    Raises:
        InputError: unknown name or setting, or a value that does not fit.
    """
    from saformer.models import build
    from saformer.models.config import example_input

    with torch.device("meta"):
        model = build(name, **settings)
        example = example_input(model)
    return dense_shape(model, example, getattr(model.config, "time_steps", 1))
