"""Plugins: a user's own files that register models, attentions, data sets, accountings or commands.

A file is loaded by its path (`load`, or `--plugin FILE.py` on the command line). An installed package names its module
as an entry point of the group `saformer.plugins`; it is loaded when something registered is first asked for.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from importlib import import_module, metadata
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from saformer.errors import InputError
from saformer.files import TABLE, check_file
from saformer.user_code import faults, in_module, process_kept, words

GROUP = "saformer.plugins"

_files: set[str] = set()  # of plugins and of classes named by a user, to tell faults of theirs from ours
installed = False  # whether those of installed packages were loaded, or are being loaded


def load(path: str | Path) -> ModuleType:
    """Run a file, which registers what it defines; a file that was loaded before is run again.

    While it runs, Python also looks for modules in its folder, as it does for a script.

    Raises:
        InputError: the file cannot be read or fails; the message has its name and the line.
    """
    file = Path(path)
    check_file(file, "the plugin", TABLE)
    where = str(file.resolve())
    # One name for one file, so that what it registers replaces what it registered before.
    name = f"saformer_plugin_{sha256(where.encode()).hexdigest()[:12]}"
    spec = spec_from_file_location(name, where, loader=SourceFileLoader(name, where))
    assert spec is not None and spec.loader is not None  # a loader was given
    module = sys.modules[name] = module_from_spec(spec)  # where dataclasses look for it
    _files.add(where)
    folder = str(Path(where).parent)
    sys.path.insert(0, folder)
    line = lambda error: _located(error, where) or f"plugin {path}: {words(error)}"  # noqa: E731
    done = False
    try:
        with faults(line, ()), process_kept():
            spec.loader.exec_module(module)
        done = True
    finally:
        if folder in sys.path:  # the file may have put the path in order itself
            sys.path.remove(folder)
        if not done:
            sys.modules.pop(name, None)
    return module


def named_class(name: str) -> Any:
    """What `package.module:Class` names, imported from the current folder or from what is installed.

    Raises:
        InputError: the module cannot be imported, or has nothing of that name.
    """
    place, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        with faults(lambda error: f"{name}: cannot import {place}: {words(error)}", ()), process_kept():
            found: Any = import_module(place)
    finally:
        if "" in sys.path:  # the module may have put the path in order itself
            sys.path.remove("")
    if not hasattr(found, attribute):
        raise InputError(f"{name}: {place} has no {attribute!r}")
    if file := getattr(found, "__file__", None):
        _files.add(file)
    return getattr(found, attribute)


def load_installed() -> None:
    """Load the plugins of installed packages, once in a process.

    Raises:
        InputError: one of them fails.
    """
    global installed
    if installed:
        return
    installed = True
    for entry in metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist is not None else "a package"
        with faults(partial(_unusable, f"plugin {entry.name} ({entry.value}) of {package}"), ()), process_kept():
            entry.load()


def _unusable(what: str, error: BaseException) -> str:
    return f"{what} cannot be loaded: {words(error)}; uninstall it, or install another version"


@contextmanager
def faults_located() -> Iterator[None]:
    """An exception out of the code of a loaded file becomes an InputError with the name of the file and the line.

    What says of itself what is wrong, or is about the machine, passes; so does the exit of a command, but not one in
    the midst of a network.
    """

    def line(error: BaseException) -> str | None:
        if isinstance(error, OSError):
            return None
        if not isinstance(error, Exception) and not in_module(walk_tb(error.__traceback__)):
            return None
        located = (_located(error, file) for file in _files)
        text = next((text for text in located if text is not None), None)
        return text if text or isinstance(error, Exception) else f"the network stopped the program ({words(error)})"

    with faults(line):
        yield


def _located(error: BaseException, file: str) -> str | None:
    """What went wrong in a file and at which line; None where the file has no part in it."""
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines, said = [error.lineno or 1], f"SyntaxError: {error.msg}"
    else:
        said = words(error)
    return f"plugin {file}, line {lines[-1]}: {said}" if lines else None
