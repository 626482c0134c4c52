"""Several processes: who is who, and that all end when one fails, with one message."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from saformer import distributed
from saformer.errors import InputError

SCRIPT = """
import os, signal, sys, time
import torch
import torch.distributed as dist
from saformer.distributed import is_main, process_group, rank, world_size
from saformer.errors import InputError

how = sys.argv[1]
try:
    with process_group():
        if how == "both":
            raise InputError("both are at fault")
        if how == "late" and rank() == 0:
            sys.exit(0)  # done, but the other is not
        if how == "late":
            time.sleep(1)
            raise InputError("process 1 is at fault")
        if how == "killed" and rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        x = torch.full((2,), rank() + 1)
        dist.all_reduce(x)
        print(rank(), world_size(), is_main(), x.tolist())
    print("group left", dist.is_initialized())
except InputError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""


@pytest.fixture
def two(forked: Callable[..., Any]) -> Callable[[str], Any]:
    return lambda how: forked("-c", SCRIPT, how)


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (distributed.world_size(), distributed.rank(), distributed.local_rank()) == (1, 0, 0)
    assert distributed.is_main()
    assert distributed.own_device(torch.device("cuda")) == torch.device("cuda")
    with distributed.process_group():
        assert not torch.distributed.is_initialized()
    monkeypatch.setenv("WORLD_SIZE", "4")  # some batch systems set it for a single process
    assert distributed.world_size() == 1


def test_torch_is_not_imported_for_one_process() -> None:
    code = "import sys, saformer.distributed as d\nwith d.process_group(): print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(("name", "value"), [("WORLD_SIZE", "two"), ("RANK", "-1"), ("LOCAL_RANK", "")])
def test_variables_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    for known in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(known, "2")
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=f"{name} must be a number"):
        distributed.world_size(), distributed.rank(), distributed.local_rank()


def test_a_process_without_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "3"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "4")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert distributed.own_device(torch.device("cuda")) == torch.device("cuda", 1)
    assert distributed.own_device(torch.device("cuda", 0)) == torch.device("cuda", 0)
    assert distributed.own_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="process 1 of this machine has no GPU"):
        distributed.own_device(torch.device("cuda"))


def test_two_processes_join(forked: Callable[..., Any]) -> None:
    ended = forked("-c", SCRIPT, "well", taken_apart=True)
    assert [e.code for e in ended] == [0, 0]
    assert [e.out for e in ended] == [f"{i} 2 {i == 0} [3, 3]\ngroup left False\n" for i in range(2)]
    assert not any(e.err for e in ended)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("both", "both are at fault\n"),
        ("late", "process 1 is at fault\n"),
    ],
)
def test_a_failure_ends_all_with_one_message(two: Callable[[str], Any], how: str, message: str) -> None:
    ended = two(how)
    assert [e.code for e in ended] == [1, 1]
    assert "".join(e.err for e in ended) == message
    assert not any(e.out for e in ended)


def test_a_process_that_is_killed(two: Callable[[str], Any]) -> None:
    first, second = two("killed")
    assert second.code == -9
    assert first.code == 1
    assert first.err == "one of the processes ended without a word: it was killed, perhaps because memory ran out\n"
