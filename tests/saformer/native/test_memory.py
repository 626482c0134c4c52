"""Memory of large tensors is used again, little more is kept than was in use; nothing else of PyTorch changes."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
START = """
import torch
from saformer.native.memory import kept_memory, keep_memory
MIB = 1 << 20
assert kept_memory() is None  # to ask installs nothing
assert keep_memory() and keep_memory()

def of(mib):
    return torch.empty(int(mib * MIB), dtype=torch.uint8)

def held():
    now = kept_memory()
    return now.used / MIB, now.idle / MIB, now.peak / MIB
"""


@pytest.fixture
def run(forked_in: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """Gives what a process of its own prints: an allocator is installed for good."""

    def printed(code: str, **environment: str) -> str:
        (done,) = forked_in(tmp_path, "-c", code, **environment)
        assert done.code == 0, done.err
        return done.out

    return printed


@needs_compiler
def test_a_tensor_gets_memory_of_those_that_are_gone_in_pieces_as_large_as_it_needs(
    run: Callable[..., str],
) -> None:
    run(
        START
        + """
x = of(8)
address = x.data_ptr()
assert held() == (8, 0, 8) and address % (2 * MIB) == 0
del x
assert held() == (0, 8, 8)
x = of(6.5)
assert x.data_ptr() == address and held() == (6.5, 1.5, 8)  # the rest is kept for others
y = of(1.5)
assert y.data_ptr() == address + x.numel() and held() == (8, 0, 8)
x.fill_(1), y.fill_(2)
assert x[0] == x[-1] == 1 and y[0] == y[-1] == 2
del x, y
assert held() == (0, 8, 8)
x = of(7.5)  # what was side by side is one piece again, of which no rest under one MiB is kept apart
assert x.data_ptr() == address and held() == (8, 0, 8)
del x
x, y, z = of(2), of(2), of(4)
assert {t.data_ptr() - address for t in (x, y, z)} == {0, 2 * MIB, 4 * MIB}
del y
y = of(3)  # too large for the two, which are given back
assert held() == (9, 0, 9), held()
del x, z
x = of(2)  # of the two, not of the four
assert x.data_ptr() == address and held() == (5, 4, 9), held()
del x, y
assert of(0.9).sum() is not None and held()[2] == 9  # small ones are PyTorch's
"""
    )


@needs_compiler
def test_numbers_are_the_same_and_storages_grow_are_copied_and_freed_by_other_threads(run: Callable[..., str]) -> None:
    run(
        START
        + """
import copy, threading
from torch.profiler import ProfilerActivity, profile

x = torch.arange(MIB, dtype=torch.float32)
assert torch.equal(copy.deepcopy(x), x) and torch.equal(x.clone() + 1 - 1, x)
x.resize_(3 * MIB)
assert torch.equal(x[:MIB], torch.arange(MIB, dtype=torch.float32))
del x
kept = [of(2) for _ in range(40)]
used, idle, peak = held()
assert idle + used <= peak

def take_and_free():
    for _ in range(10):
        kept.pop()
        of(2).fill_(1)

threads = [threading.Thread(target=take_and_free) for _ in range(4)]
for one in threads: one.start()
for one in threads: one.join()
assert held() == (0, peak, peak) and peak == 80 and not kept, held()
with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
    x = of(16)
assert sum(event.self_cpu_memory_usage for event in seen.key_averages()) == 16 * MIB
a = torch.ones(600, 600, requires_grad=True)
(a @ a).sum().backward()
assert torch.equal(a.grad, torch.full((600, 600), 1200.0))
"""
    )


@needs_compiler
def test_a_child_that_is_forked_has_memory_of_its_own(run: Callable[..., str]) -> None:
    out = run(
        START
        + """
import os
x = of(4).fill_(1)
if (child := os.fork()) == 0:
    x.fill_(2)
    del x
    os._exit(int(of(4).fill_(3)[0]))
assert os.waitpid(child, 0)[1] >> 8 == 3 and int(x.sum()) == 4 * MIB
print("done")
"""
    )
    assert out == "done\n"


@needs_compiler
def test_memory_that_is_not_there_is_an_error_as_ever_and_what_is_kept_is_given_up_for_it(
    run: Callable[..., str],
) -> None:
    run(
        START
        + """
import resource
from saformer.errors import out_of_memory

x = of(300)
del x
used = int(next(l for l in open("/proc/self/status") if l.startswith("VmSize")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 150 * MIB, -1))
assert of(400).numel() == 400 * MIB  # fits only without the 300
for size in (4000, 1 << 40):
    try:
        of(size)
    except RuntimeError as error:
        assert out_of_memory(error), error
    else:
        raise AssertionError
"""
    )


def test_without_a_compiler_large_tensors_are_put_in_large_pages(run: Callable[..., str]) -> None:
    code = "import os; from saformer.native.memory import *; print(keep_memory(), kept_memory(), os.environ[NAME])"
    for environment in ({"CXX": "no-such-compiler"}, {"SAFORMER_NATIVE": "0"}):
        assert run(f"NAME = 'THP_MEM_ALLOC_ENABLE'; {code}", **environment) == "False None 1\n"


@needs_compiler
def test_the_command_line_keeps_memory() -> None:
    code = """
import saformer.cli

def main():
    import torch
    from saformer.native.memory import kept_memory
    torch.ones(4 << 20)
    print(kept_memory().idle)

saformer.cli.main = main
saformer.cli.program()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # where torch is imported later
    assert (done.returncode, done.stdout) == (0, f"{16 << 20}\n"), done.stderr
