"""Registries: models, attentions, data sets, accountings and commands by name, each entered where it is defined.

A decorator such as `@register_model` enters what it decorates, in a file of this package or in one of the user's own
(`saformer.plugins`).
"""

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Generic, TypeVar

from saformer.errors import InputError
from saformer.plugins import load_installed
from saformer.text import nearest

T = TypeVar("T")


class Registry(Mapping[str, T]):
    """What is registered of one kind, by name: first that of the package, then that of plugins.

    Args:
        kind: what an entry is called in messages, such as "data set".
        builtin: the modules of this package that register entries, in the order of lists. They are imported, and
            installed plugins loaded, when an entry is first asked for; of an entry that has the name of a module, that
            module alone.
    """

    def __init__(self, kind: str, builtin: Sequence[str] = ()) -> None:
        self.kind = kind
        self._builtin = tuple(builtin)
        self._entries: dict[str, T] = {}
        self._origins: dict[str, tuple[str, str]] = {}  # module, and name in it, of what was decorated
        self._complete = False
        self._lock = threading.RLock()

    def register(self, name: str, entry: T, decorated: Any) -> None:
        """Enter `entry` under a name. The same definition run again, as a cell of a notebook is, replaces its entry.

        Args:
            name: what users call it.
            entry: what `self[name]` returns.
            decorated: the class or function that the entry stands for.

        Raises:
            InputError: another definition has this name.
        """
        origin = (decorated.__module__, decorated.__qualname__)
        if origin[0] not in self._builtin:
            self._complete_once()
        if self._origins.get(name, origin) != origin:
            module = self._origins[name][0]
            place = getattr(sys.modules.get(module), "__file__", None) or module
            raise InputError(f"{self.kind} {name!r} is there already, in {place}: register another name")
        self._entries[name], self._origins[name] = entry, origin

    def entered(self) -> dict[str, T]:
        """What is registered by now, without importing the rest."""
        return dict(self._entries)

    def find(self, name: str) -> T:
        """The entry of that name.

        Raises:
            InputError: there is none.
        """
        if name not in self:
            raise InputError(f"unknown {self.kind} {name!r}{nearest(name, self)}: choose one of {', '.join(self)}")
        return self[name]

    def __getitem__(self, name: str) -> T:
        if not self._complete:
            self._import_namesake(name)
        if name not in self._entries:
            self._complete_once()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._complete_once()
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        self._complete_once()
        return len(self._entries)

    def _import_namesake(self, name: str) -> None:
        """Import the module that is called as the entry, if there is one."""
        last = name.replace("-", "_")
        for module in self._builtin:
            if module.rpartition(".")[2] == last:
                import_module(module)
                load_installed()

    def _complete_once(self) -> None:
        with self._lock:
            if self._complete:
                return
            self._complete = True  # what is imported below may ask for entries itself
            try:
                for module in self._builtin:
                    import_module(module)
                places = {module: place for place, module in enumerate(self._builtin)}
                # One of the modules may have been imported before the others.
                names = sorted(self._entries, key=lambda name: places.get(self._origins[name][0], len(places)))
                self._entries = {name: self._entries[name] for name in names}
                load_installed()
            except BaseException:
                self._complete = False
                raise

    @contextmanager
    def temporary(self) -> Iterator[None]:
        """What is registered inside is forgotten at the end; for tests."""
        self._complete_once()
        before = dict(self._entries), dict(self._origins)
        try:
            yield
        finally:
            self._entries, self._origins = before


class View(Mapping[str, T], Generic[T]):
    """A dictionary made anew at each access, for what follows from a registry."""

    def __init__(self, make: Callable[[], Mapping[str, T]]) -> None:
        self._make = make

    def __getitem__(self, name: str) -> T:
        return self._make()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())
