"""Analysis: run a model, record its operations as integers, account for them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saformer.analysis.accounting.account import Account, relative_difference
    from saformer.analysis.diagnostics.module_tree import module_tree
    from saformer.analysis.profiles import Profile
    from saformer.analysis.recording.run import profile

__all__ = ["Account", "Profile", "module_tree", "profile", "relative_difference"]

_HOMES = {
    "Account": "accounting.account",
    "relative_difference": "accounting.account",
    "Profile": "profiles",
    "module_tree": "diagnostics.module_tree",
    "profile": "recording.run",
}


def __getattr__(name: str) -> Any:
    # Imported on first use: reading a saved profile must not wait for torch.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"saformer.analysis.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'saformer.analysis' has no attribute {name!r}")
