"""The process of the command line: it starts and ends without work that changes nothing."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import NoReturn

#: Seconds that threads and functions of `atexit` have to end after the command has.
PATIENCE = 8

#: Whether `wake_collector` has told the collector to pass over what was there.
frozen = False


def start_process(with_torch: Callable[[], object]) -> None:
    """Collect no garbage until `wake_collector`, nor while torch is imported, whenever that is.

    What libraries make when they are imported stays. Of the time that importing torch takes, a tenth is spent on
    looking through it, and as much again on each full collection later.
    """
    gc.disable()
    sys.meta_path.insert(0, _BeforeTorch(with_torch))


def wake_collector() -> None:
    """Collect again, but for what is there now; does nothing if the collector is awake."""
    global frozen
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
        frozen = True


def somebody_froze() -> bool:
    """Whether the collector passes over objects; it is asked only if need be, since it counts them one by one."""
    return frozen or gc.get_freeze_count() > 0


class _BeforeTorch(MetaPathFinder):
    """Lets the collector rest while torch is imported, and calls `with_torch` then; finds nothing by itself."""

    def __init__(self, with_torch: Callable[[], object]) -> None:
        self._with_torch = with_torch

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The specification of torch, by the finders that follow; None of any other module."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is None or (loader := spec.loader) is None:
            return spec
        execute = loader.exec_module

        def execute_at_rest(module: ModuleType) -> None:
            vars(loader).pop("exec_module")
            gc.disable()
            try:
                execute(module)
            finally:
                wake_collector()
            self._with_torch()

        vars(loader)["exec_module"] = execute_at_rest  # of this object: who asks for its class finds the same
        return spec


def end_process(status: str | int | None) -> None:
    """End this process with the status of a SystemExit; if that is in words, do nothing, as Python prints them.

    Python is not shut down, as by the children of `multiprocessing`: taking torch apart takes a fifth of the time that
    importing it takes. Threads are waited for, functions registered with `atexit` are called, and the streams are
    flushed; what takes longer than `PATIENCE`, as a thread of the user's may, is left behind with a word.

    A process that has joined others must end so. Threads of gloo live on where DistributedDataParallel was used,
    whatever becomes of the group, and may still be about to free the tensor of the last collective. One that waits for
    the interpreter's lock while Python shuts down never gets it, and the process aborts
    (https://github.com/pytorch/pytorch/issues/190489).
    """
    if isinstance(status, str):
        return
    code = status or 0
    patience = threading.Timer(PATIENCE, _leave, (code,))
    patience.daemon = True
    patience.start()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except KeyboardInterrupt:
        code = 130
    _flush_and_exit(code)


def _leave(code: int) -> None:
    print(f"ended without a thread, or a function of atexit, that did not end in {PATIENCE} s", file=sys.stderr)
    _flush_and_exit(code)


def _flush_and_exit(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # nobody reads, or it is closed
            code = code or 1
    os._exit(code)
