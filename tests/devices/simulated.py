"""A device "sim" for PyTorch that computes on the CPU and, like a GPU, refuses tensors of the CPU beside its own.

Importing this module registers it, for the process: where code would fail on a GPU because a tensor was left on the
CPU, it fails here. What only a GPU has (its kernels, streams, memory and autocast) is not simulated.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "sim"
aten = torch.ops.aten
#: Operators after each of which a program that used a GPU would have waited for it, in order.
waits: list[str] = []


class _Module(_DummyBackendModule):
    """What PyTorch asks a device about itself."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())


class SimulatedTensor(Tensor):
    """A tensor of the device; `raw` has its numbers."""

    raw: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: Tensor) -> "SimulatedTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _run(func, args, kwargs or {})

    # What PyTorch does in C++, past the dispatcher.
    def tolist(self) -> Any:
        waits.append("tolist")
        return self.raw.tolist()

    def new_tensor(self, data: Any) -> Tensor:
        return torch.tensor(data, dtype=self.dtype).to(NAME)

    def resize_(self, shape: Any) -> Tensor:
        return SimulatedTensor(self.raw.resize_(shape))


def _misplaced(func: Any, args: tuple, tensors: list[Tensor]) -> bool:
    """Whether a GPU would refuse these tensors because some are on the CPU; scalars may be."""
    on_cpu = [x for x in tensors if not isinstance(x, SimulatedTensor) and x.ndim]
    if len(on_cpu) == len(tensors) or func in (aten.copy_.default, aten._to_copy.default):
        return False
    if func.overloadpacket in (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_):
        # Indices may lie on the CPU, but not the tensor that is indexed, nor what is put in.
        on_cpu = [x for x in on_cpu if any(x is other for other in (args[0], *args[2:3]))]
    return bool(on_cpu)


# What they put out, or its shape, hangs on numbers.
_ASK_FOR_NUMBERS = (aten.equal.default, aten.nonzero.default, aten.masked_select.default, aten._unique2.default)


def _run(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    if composite and func.namespace == "aten":  # reached whole in inference mode
        return func.decompose(*args, **kwargs)
    flat, structure = pytree.tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, Tensor)]
    if _misplaced(func, args, tensors):
        places = ", ".join(f"{tuple(x.shape)} on {x.device}" for x in tensors)
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {places}")
    if func is aten._local_scalar_dense.default:
        waits.append(func.name())
        return func(args[0].raw)
    if func is aten._to_copy.default or not tensors:
        here = torch.device(kwargs.get("device") or args[0].device).type == NAME
    else:
        here = isinstance(tensors[0], SimulatedTensor)
    if func in _ASK_FOR_NUMBERS or (not here and any(isinstance(x, SimulatedTensor) for x in tensors)):
        waits.append(func.name())
    plain = [
        x.raw if isinstance(x, SimulatedTensor) else torch.device("cpu") if isinstance(x, torch.device) else x
        for x in flat
    ]
    raw_args, raw_kwargs = pytree.tree_unflatten(plain, structure)
    out = func(*raw_args, **raw_kwargs)
    if not here:
        return out
    written = {id(x.raw): x for x in tensors if isinstance(x, SimulatedTensor)}
    result = pytree.tree_map_only(Tensor, lambda x: written[id(x)] if id(x) in written else SimulatedTensor(x), out)
    return return_and_correct_aliasing(func, args, kwargs, result)


_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda func, *args, **kwargs: _run(func, args, kwargs), "PrivateUse1")


def _tensor(data: Any, *, device: Any = None, **settings: Any) -> Tensor:
    if device is not None and torch.device(device).type == NAME:
        return _made(data, **settings).to(NAME)
    return _made(data, device=device, **settings)


_made = torch.tensor
torch.tensor = _tensor
