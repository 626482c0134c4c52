"""How good a network is, and how much its neurons fire."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saformer.data.dataset import Dataset, check_labels
from saformer.devices import sent
from saformer.distributed import rank, total, world_size
from saformer.neurons import Neuron
from saformer.training.batches import labels_of, share


@dataclass(frozen=True)
class Evaluation:
    """A network on a data set.

    Args:
        images: how many there were, or sequences.
        labelled: labels that there were: one for each image, or for each position of a sequence.
        right: of these, how many were classified correctly.
        right5: how many had their class among the five with the highest scores; None with fewer than five classes.
        loss: mean cross entropy; NaN where only right answers were counted.
        firing_rates: spikes per neuron and step, by layer of neurons.
    """

    images: int
    labelled: int
    right: int
    right5: int | None
    loss: float
    firing_rates: Mapping[str, float]

    @property
    def top1(self) -> float:
        """Share that was classified correctly."""
        return self.right / self.labelled

    @property
    def top5(self) -> float | None:
        """Share that had its class among the five with the highest scores."""
        return None if self.right5 is None else self.right5 / self.labelled


@contextmanager
def _counting(model: nn.Module, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Spikes and neurons times steps of each layer of neurons (two integers each), while the block runs."""
    counts: dict[str, Tensor] = {}
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, Neuron):
            counts[name] = torch.zeros(2, dtype=torch.int64, device=device)

            def count(module: nn.Module, inputs: object, spikes: Tensor, into: Tensor = counts[name]) -> None:
                into[0] += spikes.count_nonzero()
                into[1] += spikes.numel()

            hooks.append(module.register_forward_hook(count))
    try:
        yield counts
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def evaluate(
    model: nn.Module,
    dataset: Dataset,
    *,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    limit: int | None = None,
    seed: int = 0,
    on_batch: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run the model over the data set, in evaluation mode; the model is left as it was.

    Where several processes have joined, each takes a part of the images, and all get the result for the whole.

    Args:
        model: takes what the data set holds, B x C x H x W, B x T x C x H x W or B x T tokens.
        dataset: images and labels.
        batch_size: images per forward pass.
        device: where the model is.
        limit: images to draw by `seed`; None for all.
        seed: of the draw.
        on_batch: called with the number of images, by all processes, of each batch that is done.

    Raises:
        InputError: the data set has no labels, or one that the model has no class for.
    """
    all_labels = labels_of(dataset)
    device = torch.device(device)
    training = model.training
    model.eval()
    # Images, labels, right, those with five classes, right among five.
    tally = torch.zeros(5, dtype=torch.int64, device=device)
    losses = []
    chosen = dataset.indices(limit, seed)
    first, last = share(len(chosen), rank(), world_size())
    try:
        with _counting(model, device) as counts:
            for part in chosen[first:last].split(batch_size):
                labels = sent(all_labels[part].to(torch.int64), device).flatten()
                scores = model(dataset.normalise(sent(dataset.images[part], device))).flatten(0, -2)  # a row each
                check_labels(all_labels[part], scores.shape[1])
                tally[0] += len(part)
                tally[1] += len(labels)
                tally[2] += (scores.argmax(1) == labels).sum()
                if scores.shape[1] >= 5:
                    tally[3] += len(labels)
                    tally[4] += (scores.topk(5, dim=1).indices == labels[:, None]).sum()
                losses.append(F.cross_entropy(scores, labels, reduction="sum"))
                if on_batch is not None:
                    on_batch(len(part) * world_size())
    finally:
        model.train(training)
    images, labelled, right, of_five, right5 = total(tally).tolist()
    loss = total(torch.tensor([loss.item() for loss in losses], dtype=torch.float64).sum()).item() / labelled
    spikes = total(torch.stack(list(counts.values()))) if counts else torch.zeros(0, 2, dtype=torch.int64)
    rates = {name: row[0] / row[1] for name, row in zip(counts, spikes.tolist(), strict=True) if row[1]}
    return Evaluation(images, labelled, right, right5 if of_five == labelled else None, loss, rates)
