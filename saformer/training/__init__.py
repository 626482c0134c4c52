"""Training: recipes by data set, the loop that follows one, and the folder that keeps a run."""

from typing import TYPE_CHECKING, Any

from saformer.training.metrics import Epoch, Progress, read_metrics
from saformer.training.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from saformer.training.evaluation import Evaluation, evaluate
    from saformer.training.folder import RunFolder
    from saformer.training.loop import TrainingResult, train

__all__ = [
    "Epoch",
    "Evaluation",
    "Progress",
    "Recipe",
    "RunFolder",
    "TrainingResult",
    "evaluate",
    "load_recipe",
    "read_metrics",
    "train",
]


def __getattr__(name: str) -> Any:
    # torch takes a second to import; the options of `saformer train` come from the recipe and must not wait for it.
    if name in ("Evaluation", "evaluate"):
        from saformer.training import evaluation

        return getattr(evaluation, name)
    if name == "RunFolder":
        from saformer.training.folder import RunFolder

        return RunFolder
    if name in ("TrainingResult", "train"):
        from saformer.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module 'saformer.training' has no attribute {name!r}")
