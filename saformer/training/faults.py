"""Why a gradient is not finite, as far as the network shows."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def gradient_fault(model: nn.Module, inputs: Tensor) -> str:
    """What makes gradients grow where BatchNorms see one value alone; nothing where none does.

    Behind layers of neurons that do not fire, the variance that BatchNorm divides by is 0, and backwards it multiplies
    by 1/sqrt(eps); several in a row, as in the RepConvs of Meta-SpikeFormer, by the product.

    Args:
        model: in training mode, with gradients.
        inputs: a batch; a forward pass looks for such norms.
    """
    flat: dict[str, float] = {}

    def look(name: str, norm: _BatchNorm) -> None:
        def hook(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            channels = arguments[0].detach().transpose(0, 1).flatten(1)
            if bool((channels == channels[:, :1]).all()):
                flat[name] = norm.eps**-0.5

        handles.append(norm.register_forward_pre_hook(hook))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            look(name, module)
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not flat:
        return ""
    largest = max(
        (name for name, p in model.named_parameters() if p.grad is not None),
        key=lambda name: _size(model.get_parameter(name)),
    )
    first, factor = next(iter(flat.items()))
    return (
        f"the layers before {len(flat)} BatchNorms, {first} the first, do not fire, and with a variance of 0 each "
        f"multiplies gradients by {factor:.0f}, most of all that of {largest}: larger images, fewer blocks or another "
        "attention help"
    )


def _size(weight: nn.Parameter) -> float:
    """The largest entry of its gradient; infinity for one that is not finite."""
    assert weight.grad is not None
    return float(weight.grad.detach().abs().nan_to_num(nan=float("inf"), posinf=float("inf")).max())
