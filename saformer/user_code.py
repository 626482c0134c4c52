"""Code of the user's may do anything: whatever it raises is said in one line, and the process stays as it was."""

import builtins
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any, NamedTuple

from saformer.errors import InputError, Stopped, out_of_memory, said


@contextmanager
def faults(
    line: Callable[[BaseException], str | None], passing: tuple[type[Exception], ...] = (InputError, Stopped)
) -> Iterator[None]:
    """What the code inside raises becomes an InputError, be it sys.exit or no Exception at all.

    Ctrl-C passes, and too little memory, for which there is other advice.

    Args:
        line: what to say of it; None: it passes, too.
        passing: what passes because it says of itself what is wrong.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        text = None if isinstance(error, passing) or out_of_memory(error) else line(error)
        if text is None:
            raise
        raise InputError(text) from None


def words(error: BaseException) -> str:
    """The exception for a message; one of ours speaks for itself."""
    text = said(error)
    if isinstance(error, InputError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def in_module(frames: Iterator[tuple[FrameType, int]]) -> bool:
    """Whether a traceback, as `traceback.walk_tb` gives it, leads through the call of a torch.nn.Module."""
    return any(frame.f_code.co_filename.endswith(_MODULE) for frame, _ in frames)


_MODULE = os.path.join("torch", "nn", "modules", "module.py")

_LEANT_ON = (builtins, contextlib, io, os, os.path, signal)


class _Setting(NamedTuple):
    """Something that a process has once, for everybody: how it is read, and how set."""

    read: Callable[[], Any]
    write: Callable[[Any], object]


@contextmanager
def process_kept() -> Iterator[None]:
    """What the process has for everybody is afterwards as it was before.

    That is its folder, standard streams, answers to signals and command line, modules, what Python's own hold that
    everything leans on, torch's settings, and where the generators of random numbers stand: what is drawn later is the
    same whatever the code inside did. A process that this code forked ends here when it comes out of it: one alone
    goes on as this program.
    """
    process, had_torch = os.getpid(), "torch" in sys.modules
    names = [(vars(module), vars(module).copy()) for module in _LEANT_ON]
    again = _Again(sys.modules.copy())
    sys.meta_path.insert(0, again)
    before = [(setting, setting.read()) for setting in _settings()]
    streams = [(descriptor, _copied(descriptor)) for descriptor in (1, 2)]
    try:
        yield
    finally:
        for held, before_it in names:  # at first: what follows calls them
            held.update(before_it)
        with contextlib.suppress(Exception):  # the list may be another, or none
            sys.meta_path.remove(again)
        if os.getpid() != process:
            os._exit(1)
        for descriptor, copy in streams:
            if copy is not None:
                with contextlib.suppress(OSError):  # the code may have closed the copy, too
                    os.dup2(copy, descriptor)
                    os.close(copy)
        if not had_torch and (torch := sys.modules.get("torch")) is not None:
            before += _at_first(torch)
        for setting, value in before:
            with contextlib.suppress(Exception):  # the folder may be gone, and with it whatever else
                setting.write(value)


class _Again(MetaPathFinder):
    """Finds the modules of torch that were there: importing it a second time ends the process below Python."""

    def __init__(self, modules: dict[str, Any]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The specification of the module that was there; None of any other."""
        found = self._modules.get(name) if name.partition(".")[0] == "torch" else None
        return None if found is None else ModuleSpec(name, _Same(found), is_package=hasattr(found, "__path__"))


class _Same(Loader):
    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec, self._loader = module, module.__spec__, module.__loader__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__loader__ = self._spec, self._loader


def _settings() -> Iterator[_Setting]:
    with contextlib.suppress(OSError):  # the current folder may have been removed
        os.getcwd()
        yield _Setting(os.getcwd, os.chdir)
    yield _Setting(lambda: list(sys.argv), partial(setattr, sys, "argv"))
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        yield _Setting(partial(getattr, sys, name), partial(_set_stream, name, descriptor))
    yield _Setting(sys.modules.copy, _put_back)
    if threading.current_thread() is threading.main_thread():  # nobody else may set them
        for number in (signal.SIGINT, signal.SIGTERM):
            yield _Setting(partial(signal.getsignal, number), partial(signal.signal, number))
    if (random := sys.modules.get("random")) is not None:
        yield _Setting(random.getstate, random.setstate)
    if (numpy := sys.modules.get("numpy.random")) is not None:
        yield _Setting(numpy.get_state, numpy.set_state)
    if (torch := sys.modules.get("torch")) is not None:
        yield from _of_torch(torch)


def _of_torch(torch: Any) -> Iterator[_Setting]:
    yield _Setting(torch.get_default_dtype, torch.set_default_dtype)
    yield _Setting(torch.is_grad_enabled, torch.set_grad_enabled)
    # Setting these costs something even where nothing changes: the first imports the compiler, the second ends threads,
    # and a default device costs whenever a tensor is made.
    for read, write in (
        (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
        (torch.get_num_threads, torch.set_num_threads),
    ):
        yield _Setting(read, partial(_set_other, read, write))
    yield _Setting(lambda: _no_cpu(torch.get_default_device()), torch.set_default_device)
    yield _Setting(torch.get_rng_state, torch.set_rng_state)
    if torch.cuda.is_initialized():
        yield _Setting(torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all)


def _at_first(torch: Any) -> list[tuple[_Setting, Any]]:
    """What a torch that the code inside was the first to import began with."""
    first = (torch.float32, True, False)
    return list(zip(_of_torch(torch), first, strict=False))


def _set_other(read: Callable[[], Any], write: Callable[[Any], object], value: Any) -> None:
    if read() != value:
        write(value)


def _put_back(modules: dict[str, Any]) -> None:
    for name in modules.keys() - sys.modules.keys():
        sys.modules[name] = modules[name]


def _no_cpu(device: Any) -> Any:
    return None if device.type == "cpu" else device


def _set_stream(name: str, descriptor: int, stream: Any) -> None:
    """Set sys.stdout or sys.stderr; one that was closed is opened anew, for what is still to be said."""
    if getattr(stream, "closed", False):
        stream = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    setattr(sys, name, stream)


def _copied(descriptor: int) -> int | None:
    with contextlib.suppress(OSError):  # there may be no such descriptor
        return os.dup(descriptor)
    return None
