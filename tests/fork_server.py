"""Interpreters that have torch already: started once, it forks one for each program that a test runs.

Its argument is the number of a socket that listens. A connection brings a request, a line of JSON, and is answered by a
line of exit codes; several are served at once. A request holds the arguments that Python would get (`-c PROGRAM ...`,
`-m MODULE ...` or `FILE ...`), the folder, the seconds after which there is no answer and nothing of it runs any more,
and for each process its environment and the files for its output.

A process ends as those of the command line do (`end_process`): with its threads and whatever is registered for that.
Taking torch apart, as Python does, takes most of a second; a request that is about that says "taken_apart".
"""

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from typing import Any

gc.disable()
import torch  # noqa: E402
import torch._dynamo  # noqa: E402  # by the first profile and by the first step of an optimizer
import torch.distributed  # noqa: E402

for needed in ("fvcore.nn", "pydantic", "rich.progress", "rich.table", "typer.main"):  # by most commands
    with contextlib.suppress(ImportError):  # older typer does without pydantic
        importlib.import_module(needed)
torch.set_num_threads(1)
os.fsync = lambda descriptor: None  # see conftest.py
gc.freeze()  # a collection in a child would copy what it looks through
gc.enable()


def become(request: dict[str, Any], process: dict[str, Any]) -> None:
    """Look to a program as if Python had been started for it."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(process["environment"])
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, process["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, process["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.path[0] = ""  # the folder of this file
    torch.set_num_threads(1)  # makes PyTorch's pool anew, which several first threads at once fail to do


def wait(children: list[int]) -> list[int]:
    """Their exit codes."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def answer(connection: socket.socket) -> dict[str, Any]:
    """Start the programs of a request, answer it and leave; in a child of this process, return the request."""
    os.setsid()
    with connection, connection.makefile("rw") as stream:
        request = json.loads(stream.readline())
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
        signal.alarm(request["seconds"])
        children = []
        for process in request["processes"]:
            if child := os.fork():
                children.append(child)
            else:
                connection.detach()
                become(request, process)
                return request
        stream.write(json.dumps(wait(children)) + "\n")
    os._exit(0)


def serve(listening: socket.socket) -> dict[str, Any]:
    """Answer requests until standard input ends; in a child, return the one that it was started for."""
    while listening in select.select([listening, sys.stdin], [], [])[0]:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            return answer(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    sys.exit()


def run(first: str, *rest: str) -> None:
    """Run the program with these arguments of Python's."""
    if first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    elif first == "-m":
        sys.argv = ["-m", *rest[1:]]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        sys.path[0] = os.path.dirname(first)
        runpy.run_path(first, run_name="__main__")


request = serve(socket.socket(fileno=int(sys.argv[1])))
status = None
try:
    run(*request["arguments"])
except SystemExit as ended:
    if request["taken_apart"] or isinstance(ended.code, str):
        raise
    status = ended.code
except Exception:
    sys.excepthook(*sys.exc_info())
    status = 1
if not request["taken_apart"]:
    from saformer.process import end_process

    end_process(status)
