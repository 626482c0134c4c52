"""Interpreters that have torch already: started once, it forks one for each program that a test runs.

Reads requests from standard input, a line of JSON each, and answers each with a line of exit codes. A request holds the
arguments that Python would get (`-c PROGRAM ...`, `-m MODULE ...` or `FILE ...`), the folder, and for each process its
environment and the files for its output. A process ends as Python ends, with whatever is registered for that.
"""

import importlib
import json
import os
import runpy
import sys
from typing import Any

import torch
import torch._dynamo  # by the first profile and by the first step of an optimizer
import torch.distributed

for needed in ("fvcore.nn", "pydantic", "rich.progress", "rich.table", "typer.main"):  # by most commands
    importlib.import_module(needed)
torch.set_num_threads(1)
os.fsync = lambda descriptor: None  # see conftest.py


def become(request: dict[str, Any], process: dict[str, Any]) -> None:
    """Look to a program as if Python had been started for it."""
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


def wait(children: list[int]) -> list[int]:
    """Their exit codes."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def serve() -> list[str]:
    """Answer requests; in a child, return the arguments that it was started with."""
    for line in sys.stdin:
        request = json.loads(line)
        children = []
        for process in request["processes"]:
            if child := os.fork():
                children.append(child)
            else:
                become(request, process)
                return request["arguments"]
        sys.stdout.write(json.dumps(wait(children)) + "\n")
        sys.stdout.flush()
    sys.exit()


first, *rest = serve()
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
