"""Builds the network that a checkpoint's settings describe, as far as its weights can fill it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from saformer.errors import InputError, out_of_memory
from saformer.models import from_config
from saformer.models.config import BaseConfig, Model

# Every parameter must be in the file. A network may make some that it replaces, and layers of neurons have none.
_TIMES, _TENSORS, _VALUES = 4, 1000, 2**20


def build_for(config: BaseConfig, weights: Mapping[str, Tensor]) -> Model:
    """The network with these settings.

    A file of a few bytes can say that its network has 10^9 blocks: building ends where there are more parameters than
    the file has weights for.

    Raises:
        InputError: there are, or the network does not fit into memory.
    """
    try:
        with _no_larger_than(weights):
            return from_config(config)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError) as error:  # torch's own, of sizes beyond its numbers
        if not out_of_memory(error):
            raise InputError("the network that its settings describe cannot be built: the file is damaged") from None
        raise InputError("the network that its settings describe does not fit into memory") from None


@contextmanager
def _no_larger_than(weights: Mapping[str, Tensor]) -> Iterator[None]:
    tensors = _TIMES * len(weights) + _TENSORS
    values = _TIMES * sum(tensor.numel() for tensor in weights.values()) + _VALUES
    modules = _TIMES * tensors

    def count(_: nn.Module, __: str, added: Any) -> None:
        nonlocal tensors, values, modules
        if isinstance(added, Tensor):
            tensors -= 1
            values -= added.numel()
        else:
            modules -= 1
        if min(tensors, values, modules) < 0:
            raise InputError("its settings describe a network far larger than its weights: the file is damaged")

    hooks = [
        register(count)
        for register in (
            register_module_parameter_registration_hook,
            register_module_buffer_registration_hook,
            register_module_module_registration_hook,
        )
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
