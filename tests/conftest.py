"""What tests of several processes share, and where kernels run."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

# Here and in the processes that tests start: tensors are so small that threads only wait for one another.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# Read when Triton is imported: without a GPU, kernels run on NumPy, operation by operation.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@dataclass(frozen=True)
class Ended:
    """How one of several processes ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def processes(tmp_path: Path) -> Callable[..., list[Ended]]:
    """Runs Python with these arguments in two processes, with the variables that torchrun sets."""

    def run(*arguments: object, folder: Path = tmp_path, count: int = 2, **variables: str) -> list[Ended]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                env={
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(count),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    **variables,
                },
            )
            for rank in range(count)
        ]
        try:
            ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
        finally:
            for process in started:
                process.kill()
        return [Ended(code, out, err) for out, err, code in ended]

    return run
