"""SAFormer: spiking transformers, and what one inference of them costs."""

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saformer.checkpoints import load, save
    from saformer.models import build

__version__ = metadata.version("saformer")
__all__ = ["__version__", "build", "load", "save"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import; `saformer --help` must not wait for it.
    if name in ("load", "save"):
        from saformer import checkpoints

        return getattr(checkpoints, name)
    if name == "build":
        from saformer.models import build

        return build
    raise AttributeError(f"module 'saformer' has no attribute {name!r}")
