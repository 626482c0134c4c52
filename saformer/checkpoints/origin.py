"""Where a model came from, and what had to be assumed about it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Assumption:
    """A setting that the weights do not show, and where its value came from: "stored", "given" or "default".

    `stored` is the value in the file where another was given; `note`, what to know of a default.
    """

    setting: str
    value: Any
    source: str
    stored: Any = None
    note: str = ""


@dataclass(frozen=True)
class Origin:
    """Where a loaded model came from.

    Args:
        path: the file.
        sha256: of the file.
        assumptions: settings that the weights do not show, with the source of each value.
        unused_parameters: parameters in the file that no forward pass uses.
        unused: their names.
        details: what the file says about its training, if it is our own.
    """

    path: Path
    sha256: str
    assumptions: tuple[Assumption, ...] = ()
    unused_parameters: int = 0
    unused: tuple[str, ...] = ()
    details: dict[str, Any] | None = None

    @property
    def training(self) -> dict[str, Any]:
        """What the file says about its training; nothing where it says nothing, or no such thing."""
        found = (self.details or {}).get("training")
        return found if isinstance(found, dict) else {}
