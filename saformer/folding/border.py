"""BatchNorms that do more, or modules around one: a padding with zeros, a scale and a shift, found by probing."""

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from saformer.folding.layers import NORMALISING, WEIGHTED, Layer, scaling

# Arithmetic and movements that keep what they compute affine in the input, for as long as no two inputs meet.
_AFFINE = {
    "batch_norm",
    "native_batch_norm",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_impl_index",
    "cudnn_batch_norm",
    "_native_batch_norm_legit",
    "batch_norm_with_update",
    "add",
    "add_",
    "sub",
    "sub_",
    "rsub",
    "mul",
    "div",
    "neg",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "pow",
    "constant_pad_nd",
    "copy_",
    "fill_",
    "clone",
    "detach",
    "alias",
    "view",
    "_unsafe_view",
    "reshape",
    "expand",
    "slice",
    "select",
    "unsqueeze",
    "squeeze",
    "permute",
    "transpose",
    "t",
    "as_strided",
    "empty",
    "empty_like",
    "new_empty",
    "zeros",
    "zeros_like",
    "new_zeros",
    "full",
    "full_like",
    "_to_copy",
    "lift_fresh",
    "lift_fresh_copy",
}
_TOLERANCE = 1e-9


class _Names(TorchDispatchMode):
    """Collects the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.add(func._schema.name.split("::")[1])
        return func(*args, **kwargs or {})


def scales_its_own_way(module: nn.Module) -> bool:
    """Whether the module is a BatchNorm with a forward of its own, such as tdBN, which need not apply its weights."""
    return isinstance(module, NORMALISING) and type(module).forward is not nn.modules.batchnorm._BatchNorm.forward


def wraps_a_norm(module: nn.Module) -> bool:
    """Whether of all layers the module holds a BatchNorm alone, and is none itself."""
    if isinstance(module, NORMALISING):
        return False
    parts = [part for part in module.modules() if isinstance(part, (*WEIGHTED, *NORMALISING))]
    leaves = [part for part in module.modules() if part is not module and not list(part.children())]
    return len(parts) == 1 and isinstance(parts[0], NORMALISING) and leaves == parts


def padded_scaling(module: nn.Module, axes: int) -> Layer | None:
    """The layer that a BatchNorm or a module around one is; None if it is more than a padding, a scale and a shift.

    It is run on zeros and on random numbers, in float64. Where it computes with affine operators alone, two maps that
    agree on random numbers agree.

    Args:
        module: holds one BatchNorm, in evaluation mode; it is made one of float64.
        axes: of its input.
    """
    norm = next(part for part in module.modules() if isinstance(part, NORMALISING))
    space = 1 if isinstance(norm, nn.BatchNorm1d) else 3 if isinstance(norm, nn.BatchNorm3d) else 2
    before = axes - space - 1
    if before < 1 or norm.training:
        return None
    probe = module.double()
    device = next((p.device for p in norm.buffers()), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    shape = (*(2,) * before, norm.num_features, *(5,) * space)
    x = torch.randn(shape, generator=generator, dtype=torch.float64).to(device)
    names = _Names()
    try:
        with torch.no_grad(), names:
            zero, y = probe(torch.zeros_like(x)), probe(x.clone())
    except Exception:  # a stranger's module may fail in any way
        return None
    if not isinstance(y, Tensor) or y.ndim != x.ndim or y.shape[: before + 1] != x.shape[: before + 1]:
        return None
    if names.names - _AFFINE:
        return None
    pads = tuple((a - b) // 2 for a, b in zip(y.shape[before + 1 :], x.shape[before + 1 :], strict=True))
    if min(pads) < 0 or y.shape[before + 1 :] != tuple(5 + 2 * pad for pad in pads):
        return None
    by_channel = zero.movedim(before, 0).flatten(1)
    shift = by_channel[:, 0]
    view = shift.reshape(-1, *(1,) * space)
    inner = y - view
    place = (slice(None),) * (before + 1) + tuple(slice(pad, pad + 5) for pad in pads)
    inside = inner[place]
    sums = [i for i in range(axes) if i != before]
    scale = (inside * x).sum(sums) / (x * x).sum(sums)
    expected = torch.zeros_like(inner)
    expected[place] = x * scale.reshape(-1, *(1,) * space)
    size = 1 + inner.abs().max() + shift.abs().max()
    if (by_channel - shift[:, None]).abs().max() > _TOLERANCE * size or (
        inner - expected
    ).abs().max() > _TOLERANCE * size:
        return None
    return scaling(scale, shift, pads)
