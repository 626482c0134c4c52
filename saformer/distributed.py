"""Several processes that work as one, as `torchrun` starts them: who is who, joining, sums, and failing together.

Without torchrun there is one process, everything here says so, and nothing of torch.distributed is imported.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_JOIN = timedelta(minutes=5)  # until all processes are there
_WAIT = timedelta(days=1)  # for one another: one of them may have more to compute; a dead one is noticed at once
_GRACE = 1.0  # seconds for the first to fail to say why: torchrun ends all when one has ended
_FAILED = "saformer/failed"  # key of the store: the process that failed first


def world_size() -> int:
    """How many processes there are: those that have joined, or else those that torchrun started (1 without it).

    Before they join, RANK and WORLD_SIZE say how many they are, whoever sets them.

    Raises:
        InputError: the variables are not integers.
    """
    if (group := _group()) is not None:
        return int(group.get_world_size())
    return _variable("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def rank() -> int:
    """Which of the processes this is, from 0."""
    if (group := _group()) is not None:
        return int(group.get_rank())
    return _variable("RANK", 0) if world_size() > 1 else 0


def local_rank() -> int:
    """Which of the processes of this machine it is, from 0: the number of its GPU."""
    return _variable("LOCAL_RANK", rank()) if world_size() > 1 else 0


def is_main() -> bool:
    """Whether this process is the one that prints and writes."""
    return rank() == 0


def own_device(device: "torch.device") -> "torch.device":
    """The device that this process takes where `device` was asked for: of the GPUs of a machine, each its own."""
    import torch

    if world_size() == 1 or device.type != "cuda" or device.index is not None:
        return device
    if local_rank() >= torch.cuda.device_count():
        raise InputError(
            f"process {local_rank()} of this machine has no GPU: there are {torch.cuda.device_count()}; start as many "
            "processes as GPUs, or give --device cpu"
        )
    return torch.device("cuda", local_rank())


def total(values: "Tensor") -> "Tensor":
    """The sum of `values` over all processes, without a gradient; waits for all of them."""
    if world_size() > 1:
        import torch.distributed as dist

        values = values.clone()
        dist.all_reduce(values)
    return values


@contextmanager
def process_group() -> Iterator[None]:
    """Join the other processes for as long as the block runs, and wait for them at its end.

    CPU tensors (and objects) travel by gloo, CUDA tensors by NCCL. If one process raises, all of them end: the first to
    fail raises what it raised, the others raise SystemExit and need not say anything, so that one message appears.
    (A process that waits for NCCL notices nothing; torchrun ends it.) With one process nothing happens at all.

    Raises:
        InputError: the processes do not find each other, or one was killed.
    """
    if world_size() == 1:
        yield
        return
    import torch.distributed as dist

    store, done = _join(), False
    try:
        try:
            yield
        except SystemExit as stop:  # how a command line ends, failed or not
            if stop.code:
                raise
            _wait_for_all()
            done = True
            raise
        _wait_for_all()
        done = True
    except BaseException as error:
        if done:
            raise
        if not _first_to_fail(store):
            time.sleep(_GRACE)
            raise SystemExit(error.code if isinstance(error, SystemExit) else 1) from None
        if isinstance(error, RuntimeError) and _lost_connection(error):
            raise InputError(
                "one of the processes ended without a word: it was killed, perhaps because memory ran out"
            ) from None
        raise
    finally:
        if done or dist.get_backend() == "gloo":  # NCCL would wait for what the others will never send
            dist.destroy_process_group()


def _wait_for_all() -> None:
    """A barrier, by gloo whatever the device: it raises where another process has failed."""
    import torch

    total(torch.zeros(1))


def _group() -> Any:
    """torch.distributed, if this process has joined others; it is not imported to find out."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def _variable(name: str, otherwise: int) -> int:
    text = os.environ.get(name, str(otherwise))
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise InputError(f"the environment variable {name} must be a number from 0, got {text!r}: unset it")
    return value


def _join() -> Any:
    """Set up the group; its store, which outlives it."""
    # Read when torch is loaded. A warning of its C++ code, such as one about a second try to connect, would be printed
    # by every process; errors are raised all the same.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    import torch
    import torch.distributed as dist

    if rank() >= world_size():
        raise InputError(f"RANK is {rank()}, but WORLD_SIZE is {world_size()}: start the processes with torchrun")
    both = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        store, this, size = next(iter(dist.rendezvous("env://", timeout=_JOIN)))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if both else "gloo", store=store, rank=this, world_size=size, timeout=_WAIT
        )
        # Nobody goes on, and fails perhaps, while another still connects.
        if store.add("saformer/joined", 1) == size:
            store.set("saformer/all_joined", "")
        store.wait(["saformer/all_joined"], _JOIN)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise InputError(f"process {rank()} of {world_size()} cannot join the others: {reason}") from None
    return store


def _first_to_fail(store: Any) -> bool:
    try:
        return bool(store.compare_set(_FAILED, "", str(rank())) == str(rank()).encode())
    except RuntimeError:  # the store went with the process that kept it
        return False


def _lost_connection(error: RuntimeError) -> bool:
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error).lower()
