"""What tests of several processes share, and where kernels run."""

import atexit
import contextlib
import gc
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Here and in the processes that tests start: tensors are so small that threads only wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"

# Nothing here has to outlast a power cut, and a disk takes milliseconds to promise that of each file.
os.fsync = lambda descriptor: None

_SERVER = pytest.StashKey["_ForkServer"]()


def pytest_configure(config: pytest.Config) -> None:
    """Prepare a process that runs tests; the one that hands them out starts these without waiting for torch."""
    gc.set_threshold(20_000, 20, 50)  # what is made stays, most of it
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    if hasattr(config, "workerinput"):
        # Called last, since it is registered first. To take torch and all that tests left apart takes seconds.
        atexit.register(_leave, os.getpid())
    gc.disable()  # until there is something to run
    import torch

    import saformer

    saformer.keep_memory()
    torch.set_num_threads(1)
    # Read when Triton is imported: without a GPU, kernels run on NumPy, operation by operation.
    if not torch.cuda.is_available():
        os.environ.setdefault("TRITON_INTERPRET", "1")


def _leave(process: int) -> None:
    """End this process at once, if it is that one and no child of it."""
    if os.getpid() == process:
        os._exit(0)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process that will run tests where programs are forked."""
    if _SERVER not in node.config.stash:
        node.config.stash[_SERVER] = _ForkServer()
    node.workerinput["fork_server"] = node.config.stash[_SERVER].path


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the server that was started for all."""
    if server := config.stash.get(_SERVER, None):
        server.end()


def pytest_collection_finish() -> None:
    """Collect garbage from here on; the million objects that are there stay to the end."""
    from saformer.process import wake_collector

    wake_collector()


@dataclass(frozen=True)
class Ended:
    """How one of several processes ended."""

    code: int
    out: str
    err: str


def _free_port() -> int:
    """A port that nobody takes before it is used.

    The kernel gives those above 32767 to whoever connects; of those below, each process of pytest-xdist has its own.
    """
    first = 20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12)
    while True:
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", first + secrets.randbelow(1_000)))
            return tried.getsockname()[1]


def _environments(count: int, variables: dict[str, str]) -> list[dict[str, str]]:
    """Those that torchrun gives to each of so many processes."""
    port = _free_port()
    common = {**os.environ, "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [{**common, "RANK": str(rank), "LOCAL_RANK": str(rank), **variables} for rank in range(count)]


@pytest.fixture
def processes(tmp_path: Path) -> Callable[..., list[Ended]]:
    """Runs Python with these arguments in two processes, with the variables that torchrun sets."""

    def run(*arguments: object, folder: Path = tmp_path, count: int = 2, **variables: str) -> list[Ended]:
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                env=environment,
            )
            for environment in _environments(count, variables)
        ]
        try:
            ended = [(*process.communicate(timeout=120), process.returncode) for process in started]
        finally:
            for process in started:
                process.kill()
        return [Ended(code, out, err) for out, err, code in ended]

    return run


class _ForkServer:
    """fork_server.py, in a session of its own and listening at a path that other processes may connect to."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="saformer-fork-")
        self.path = str(Path(self.folder.name, "socket"))
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.path)
            listening.listen()
            # Its C++ log level is read with torch.
            self.process = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("fork_server.py"), str(listening.fileno())],
                pass_fds=[listening.fileno()],
                stdin=subprocess.PIPE,  # ends with this process, however that ends
                env={**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR"},
                start_new_session=True,
            )

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


@pytest.fixture(scope="session")
def _fork_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """Its path: the one server of all processes that run tests, or one of this process alone."""
    if hasattr(request.config, "workerinput"):
        yield request.config.workerinput["fork_server"]
        return
    server = _ForkServer()
    yield server.path
    server.end()


@pytest.fixture(scope="session")
def forked_in(_fork_server: str) -> Callable[..., list[Ended]]:
    """As `processes`, without starting an interpreter and importing torch for each: see fork_server.py.

    In this folder, and in one process unless told; for fixtures of any scope.
    """

    def run(
        folder: Path,
        *arguments: object,
        count: int = 1,
        seconds: int = 120,
        taken_apart: bool = False,
        **variables: str,
    ) -> list[Ended]:
        outputs = [(folder / f".out{rank}", folder / f".err{rank}") for rank in range(count)]
        environments = _environments(count, variables) if count > 1 else [{**os.environ, **variables}]
        request = {
            "arguments": list(map(str, arguments)),
            "folder": str(folder),
            "seconds": seconds,
            "taken_apart": taken_apart,
            "processes": [
                {"environment": environment, "out": str(out), "err": str(err)}
                for environment, (out, err) in zip(environments, outputs, strict=True)
            ],
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(_fork_server)
            connection.sendall((json.dumps(request) + "\n").encode())
            answer = connection.makefile().readline()
        assert answer, "the programs did not end"
        ended = zip(json.loads(answer), outputs, strict=True)
        return [Ended(code, out.read_text(), err.read_text()) for code, (out, err) in ended]

    return run


@pytest.fixture
def forked(tmp_path: Path, forked_in: Callable[..., list[Ended]]) -> Callable[..., list[Ended]]:
    """The same in two processes, with the variables that torchrun sets, in the folder of the test."""

    def run(*arguments: object, folder: Path = tmp_path, count: int = 2, **more: Any) -> list[Ended]:
        return forked_in(folder, *arguments, count=count, **more)

    return run


@pytest.fixture(scope="session", autouse=True)
def _each_network_traced_once() -> Iterator[None]:
    """fvcore's count of one of our networks depends on its settings, its modules and the shape of an image alone.

    Tracing one takes longer than most tests need it for.
    """
    import torch

    from saformer.analysis.recording import flop_check
    from saformer.models import Model

    trace, known = flop_check.fvcore_flops, {}

    def once(model: Any, example: Any) -> dict[str, int]:
        inputs = example if isinstance(example, tuple) else (example,)
        if not isinstance(model, Model) or model.folded or not all(isinstance(x, torch.Tensor) for x in inputs):
            return trace(model, example)
        key = (repr(model.config), *map(type, model.modules()), *((x.shape, x.dtype) for x in inputs))
        if key not in known:
            known[key] = trace(model, example)
        return dict(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flop_check, "fvcore_flops", once)
        yield


@pytest.fixture
def registries_kept() -> Iterator[None]:
    """What a plugin registers is gone after the test."""
    from saformer.analysis.accounting.rules import ACCOUNTINGS
    from saformer.attention.registry import ATTENTIONS
    from saformer.data import DATASETS
    from saformer.models.registry import MODELS

    with contextlib.ExitStack() as stack:
        for registry in (ACCOUNTINGS, ATTENTIONS, DATASETS, MODELS):
            stack.enter_context(registry.temporary())
        yield
