"""How much memory a computation needs at its peak, and how much there is."""

import os
from collections.abc import Callable
from pathlib import Path

import torch


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that `work` adds at its peak to what is allocated before.

    On a CPU every allocation and release by PyTorch's allocator is recorded, those inside operators included; what a
    BLAS library allocates for itself is not. On CUDA it is the allocator's own peak.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would tell standard error that it starts and stops
    # What torch.profiler stands on: that one imports the compiler before it begins, which takes longer than `work`.
    with torch.autograd.profiler.profile(profile_memory=True) as profiler:
        result = work()
    del result
    events = profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


def available_bytes(device: torch.device) -> int | None:
    """Bytes that can still be allocated; None where nobody says.

    On Linux what the kernel could free for a process, or what its control group leaves, whichever is less.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu":
        return None
    limits = [*left_by_kernel(Path("/proc/meminfo")), *left_by_control_group(Path("/sys/fs/cgroup"))]
    return min(limits, default=None)


def left_by_kernel(meminfo: Path) -> list[int]:
    """Bytes that the kernel could free, as a file like `/proc/meminfo` says; empty where it does not."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def left_by_control_group(folder: Path) -> list[int]:
    """Bytes that the control group of this folder (cgroup v2) leaves; empty where it sets no limit."""
    try:
        most, used = (folder / "memory.max").read_text().strip(), (folder / "memory.current").read_text().strip()
    except OSError:
        return []
    return [] if most == "max" else [max(int(most) - int(used), 0)]
