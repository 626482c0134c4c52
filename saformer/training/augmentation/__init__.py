"""From stored images to what the network takes while it learns: moved, mirrored, normalised, with soft targets."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from saformer.data.dataset import Dataset
from saformer.training.recipe import Recipe

#: images as stored, labels, seed -> inputs of the network, soft targets (B x classes)
Augmentation = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def build_augmentation(recipe: Recipe, dataset: Dataset) -> Augmentation:
    """The augmentation of the recipe: the same images, labels and seed give the same result on every device."""
    classes = dataset.classes or recipe.model_config().num_classes
    # Where nothing is drawn; the darkest pixel of normalised images is not 0.
    black = dataset.images.min().item() if isinstance(dataset.images, Tensor) and len(dataset) else 0

    def augment(images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        inputs = dataset.normalise(_moved(images, recipe.shift, recipe.flip, black, generator))
        targets = F.one_hot(labels, classes).to(inputs.dtype)
        return inputs, targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / classes

    return augment


def _moved(images: Tensor, shift: int, flip: bool, black: float, generator: torch.Generator) -> Tensor:
    """Random shifts and mirror images of B x C x H x W, drawn on the CPU so that they are the same on every device."""
    batch, _, height, width = images.shape
    device = images.device
    if shift:
        offsets = torch.randint(2 * shift + 1, (2, batch, 1), generator=generator).to(device)
        rows = offsets[0] + torch.arange(height, device=device)
        columns = offsets[1] + torch.arange(width, device=device)
        padded = F.pad(images, [shift] * 4, value=black)
        image = torch.arange(batch, device=device)[:, None, None]
        images = padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if flip:
        mirrored = torch.randint(2, (batch, 1, 1, 1), generator=generator).to(device).bool()
        images = torch.where(mirrored, images.flip(-1), images)
    return images
