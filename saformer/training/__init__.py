"""Training: recipes by data set, and the loop that follows one."""

from saformer.training.loop import Epoch, Progress, TrainingResult, evaluate, train
from saformer.training.recipe import Recipe, load_recipe

__all__ = ["Epoch", "Progress", "Recipe", "TrainingResult", "evaluate", "load_recipe", "train"]
