"""Names for the products inside attention, which have no module of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

_names: list[str] = []


@contextmanager
def named(name: str) -> Iterator[None]:
    """Name the products computed inside: `with named("qk"): q @ k` in module `attn` is booked as `attn.qk`."""
    _names.append(name)
    try:
        yield
    finally:
        _names.pop()


def current_name() -> str | None:
    """The innermost name in force, if any."""
    return _names[-1] if _names else None
