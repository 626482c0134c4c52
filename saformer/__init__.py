"""SAFormer: spiking transformers, and what one inference of them costs."""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saformer.checkpoints import load, save
    from saformer.folding import fold
    from saformer.models import build
    from saformer.native.memory import keep_memory

# In a checkout the other folders of this package lie beside this one. Python then finds them from the root, too, where
# this folder hides an installed package.
_root = Path(__file__).resolve().parents[1]
if (_root / "pyproject.toml").is_file() and (_root / "analysis" / "__init__.py").is_file():
    __path__.append(str(_root))

__version__ = metadata.version("saformer")
__all__ = ["__version__", "build", "fold", "keep_memory", "load", "save"]


def __getattr__(name: str) -> Any:
    # torch takes a second to import; `saformer --help` must not wait for it.
    if name in ("load", "save"):
        from saformer import checkpoints

        return getattr(checkpoints, name)
    if name == "fold":
        from saformer.folding import fold

        return fold
    if name == "build":
        from saformer.models import build

        return build
    if name == "keep_memory":
        from saformer.native.memory import keep_memory

        return keep_memory
    raise AttributeError(f"module 'saformer' has no attribute {name!r}")
