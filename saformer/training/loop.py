"""The training loop: AdamW, a cosine with warm-up, and everything drawn from one seed."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saformer.data.dataset import Dataset
from saformer.errors import InputError
from saformer.models import Model, from_config
from saformer.training.recipe import AUTOCAST, Recipe


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step.

    Args:
        epoch: from 1.
        epochs: in all.
        step: from 1, over the whole run.
        steps: in all.
        loss: mean over the images of this epoch so far.
        accuracy: share of them that were classified correctly, as augmented and before the step they led to.
        learning_rate: of this step.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class Epoch:
    """One epoch of a run.

    Args:
        epoch: from 1.
        epochs: in all.
        loss: mean over the training images.
        accuracy: share of them that were classified correctly, as augmented and while the weights changed.
        test_accuracy: share of the test images, after the epoch.
        learning_rate: of its last step.
        seconds: it took, the test included.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    test_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """A trained model and how it came to be.

    Args:
        model: in evaluation mode, with the weights after the last epoch.
        recipe: what was followed.
        history: one entry per epoch.
        accuracy: on the test set after the last epoch; no epoch is picked by it.
    """

    model: Model
    recipe: Recipe
    history: tuple[Epoch, ...]
    accuracy: float

    def details(self) -> dict[str, Any]:
        """What a checkpoint keeps about the run, ready for JSON."""
        seconds = round(sum(epoch.seconds for epoch in self.history), 1)
        return {
            **self.recipe.to_dict(),
            "accuracy": self.accuracy,
            "seconds": seconds,
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),  # sums are split by them, and so round differently
        }


class _Augmentation:
    """Random shifts and mirror images, drawn on the CPU so that they are the same on every device."""

    def __init__(self, shift: int, flip: bool, black: float, generator: torch.Generator) -> None:
        self.shift, self.flip, self.black, self.generator = shift, flip, black, generator

    def __call__(self, images: Tensor) -> Tensor:
        """B x C x H x W, of any type, each image moved and mirrored on its own."""
        batch, _, height, width = images.shape
        device = images.device
        if self.shift:
            offsets = torch.randint(2 * self.shift + 1, (2, batch, 1), generator=self.generator).to(device)
            rows = offsets[0] + torch.arange(height, device=device)
            columns = offsets[1] + torch.arange(width, device=device)
            padded = F.pad(images, [self.shift] * 4, value=self.black)
            image = torch.arange(batch, device=device)[:, None, None]
            images = padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.flip:
            mirrored = torch.randint(2, (batch, 1, 1, 1), generator=self.generator).to(device).bool()
            images = torch.where(mirrored, images.flip(-1), images)
        return images


def _learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of step 0, 1, ..., `steps` - 1. A run shorter than its warm-up ends inside it."""
    warmup = steps * recipe.warmup_epochs // recipe.epochs
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    # Biases and BatchNorm have one dimension. Decay would pull the scale of a BatchNorm, and with it the
    # firing rate of the neurons behind it, towards zero.
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _finite(model: nn.Module, loss: Tensor, step: int, steps: int, recipe: Recipe) -> float:
    """The loss as a number, or InputError where training has left the finite numbers."""
    # The loss alone would not tell: a membrane that is not a number fires no spike, and the silent network
    # behind it has a perfectly finite loss.
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    for name, value in (("loss", loss.item()), ("gradient", norm.item())):
        if not math.isfinite(value):
            raise InputError(
                f"the {name} became {value} at step {step} of {steps}: check that the images are finite, "
                f"or try a learning rate below {recipe.learning_rate:g}"
            )
    return loss.item()


def _labels(dataset: Dataset) -> Tensor:
    if dataset.labels is None or not len(dataset):
        raise InputError(f"{dataset.name} has no labelled images: training and testing need them")
    return dataset.labels


@torch.no_grad()
def evaluate(model: nn.Module, dataset: Dataset, *, batch_size: int = 64, device: str | torch.device = "cpu") -> float:
    """Share of the data set that the model classifies correctly; the model is left as it was.

    Raises:
        InputError: the data set has no labels.
    """
    _labels(dataset)
    training = model.training
    model.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    for images, labels in dataset.batches(batch_size, device=device):
        right += (model(images).argmax(1) == labels).sum()
    model.train(training)
    return right.item() / len(dataset)


def train(
    recipe: Recipe,
    train_set: Dataset,
    test_set: Dataset,
    *,
    device: str | torch.device = "cpu",
    on_step: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainingResult:
    """Train the recipe's model from scratch.

    On a CPU, the same recipe with the same number of threads gives the same weights to the last bit. The random
    numbers of the caller are left alone.

    Args:
        recipe: what to train, and how.
        train_set: images and labels to learn from.
        test_set: images and labels to test on after each epoch; nothing is chosen by them.
        device: where to train.
        on_step: called after each step.
        on_epoch: called after each epoch and its test.

    Raises:
        InputError: the model or the data do not fit, or the loss or a gradient is not finite.
    """
    labels = _labels(train_set).to(device)
    _labels(test_set)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        model = from_config(recipe.model_config()).to(device)
    optimizer = _optimizer(model, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    images = train_set.images.to(device)
    augment = _Augmentation(recipe.shift, recipe.flip, images.min().item(), generator)
    steps_per_epoch = math.ceil(len(train_set) / recipe.batch_size)
    steps = recipe.epochs * steps_per_epoch
    narrow = AUTOCAST[recipe.autocast]
    step = 0
    history: list[Epoch] = []
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        model.train()
        seen, right, total_loss = 0, 0, 0.0
        for chosen in torch.randperm(len(train_set), generator=generator).split(recipe.batch_size):
            chosen = chosen.to(device)
            learning_rate = _learning_rate(recipe, step, steps)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
            batch = train_set.normalise(augment(images[chosen]))
            with torch.autocast(torch.device(device).type, narrow, enabled=narrow is not None):
                scores = model(batch)
            loss = F.cross_entropy(scores.float(), labels[chosen], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            step += 1
            value = _finite(model, loss, step, steps, recipe)
            optimizer.step()
            seen += len(chosen)
            right += int((scores.argmax(1) == labels[chosen]).sum())
            total_loss += value * len(chosen)
            if on_step is not None:
                on_step(Progress(epoch, recipe.epochs, step, steps, total_loss / seen, right / seen, learning_rate))
        accuracy = evaluate(model, test_set, batch_size=recipe.batch_size, device=device)
        history.append(
            Epoch(
                epoch,
                recipe.epochs,
                total_loss / seen,
                right / seen,
                accuracy,
                learning_rate,
                time.perf_counter() - start,
            )
        )
        if on_epoch is not None:
            on_epoch(history[-1])
    return TrainingResult(model.eval(), recipe, tuple(history), history[-1].test_accuracy)
