"""An allocator in C++ that uses the memory of large CPU tensors again; PyTorch gives it back to the system."""

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path

from saformer.native.compiling import library

_SOURCES = [Path(__file__).with_name("memory.cpp")]


@dataclass(frozen=True)
class Kept:
    """What the allocator holds, in bytes of tensors of 1 MiB and more.

    Args:
        used: by tensors.
        idle: by nothing.
        peak: used at most.
    """

    used: int
    idle: int
    peak: int


def keep_memory() -> bool:
    """Use the memory of large CPU tensors again from now on, in all of this process; False where it cannot be done.

    A pass over new memory takes twice the time, since the system clears it page by page. What is kept and what is in
    use are together never more than what was once in use and an eighth of it. Without a C++ compiler large tensors are
    put in large pages, unless PyTorch has been told otherwise or has made a tensor before.
    """
    if _installed() is not None:
        return True
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by PyTorch at its first tensor
    return False


def kept_memory() -> Kept | None:
    """What is held now; None where `keep_memory` did nothing."""
    found = _installed() if _installed.cache_info().currsize else None
    if found is None:
        return None
    numbers = (ctypes.c_size_t * 3)()
    found.kept_memory(numbers)
    return Kept(*numbers)


@functools.cache
def _installed() -> ctypes.CDLL | None:
    import torch

    home = Path(torch.__file__).parent
    flags = (
        *("-O2", "-std=c++20", f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"),
        *("-I", str(home / "include"), "-L", str(home / "lib"), "-lc10"),
    )
    found = library("memory", "CXX", "c++", _SOURCES, flags, torch.__version__.encode())
    if found is not None:
        found.keep_memory.restype = found.kept_memory.restype = None
        found.keep_memory()
    return found
