"""Names for the products inside attention, which have no module of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# One name per thread and task: models that are profiled side by side do not name each other's products.
_name: ContextVar[str | None] = ContextVar("name", default=None)


@contextmanager
def named(name: str) -> Iterator[None]:
    """Name the products computed inside: `with named("qk"): q @ k` in module `attn` is booked as `attn.qk`."""
    token = _name.set(name)
    try:
        yield
    finally:
        _name.reset(token)


def current_name() -> str | None:
    """The innermost name in force, if any."""
    return _name.get()
