"""All that a run is at one moment, as tensors and text: what is written can go on as if nothing had happened."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saformer.checkpoints import fill_weights, load_run, save
from saformer.data.dataset import Dataset
from saformer.errors import InputError
from saformer.models import Model, from_config
from saformer.training.metrics import Epoch
from saformer.training.optimiser import build_optimiser, running_mean
from saformer.training.parallel import join_batch_norms
from saformer.training.recipe import Recipe


@dataclass
class Position:
    """How far a run is, and the sums of its unfinished epoch.

    Args:
        epoch: the one it is in, from 1; one more than there are when the run is done.
        batch: batches of that epoch that are done.
        step: steps that are done, over the whole run.
        images: seen in this epoch; of sequences, their positions.
        right: of these, classified correctly.
        loss: summed over them.
        seconds: spent on this epoch.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    images: int = 0
    right: int = 0
    loss: float = 0.0
    seconds: float = 0.0


def first_model(recipe: Recipe) -> Model:
    """The recipe's model with its first weights, on the CPU; the random numbers of the caller are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.seed)
        return from_config(recipe.model_config())


@dataclass
class RunState:
    """A run between two steps.

    Args:
        recipe: what is followed.
        data_sha256: of the training images and labels, where it can be had (see `data_sha256` below).
        device: where the model is.
    """

    recipe: Recipe
    data_sha256: str | None
    device: torch.device
    position: Position = field(default_factory=Position)
    history: list[Epoch] = field(default_factory=list)
    best: float | None = None  # test accuracy of the best network that is on the disk

    def __post_init__(self) -> None:
        model = first_model(self.recipe)
        if self.recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = join_batch_norms(model.to(self.device), self.device)
        self.optimiser = build_optimiser(self.model, self.recipe)
        self.mean = running_mean(self.model, self.recipe.ema) if self.recipe.ema else None
        # Half precision ends at 6e-8: gradients are scaled up to lie above it. Elsewhere this does nothing.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.recipe.autocast == "fp16")

    @property
    def network(self) -> Model:
        """What is tested and kept: the running mean of the weights where there is one, else the weights."""
        return self.model if self.mean is None else self.mean.module  # type: ignore[return-value]

    def details(self) -> dict[str, Any]:
        """What a checkpoint keeps about the run, ready for JSON."""
        last = self.history[-1] if self.history else None
        return {
            **self.recipe.to_dict(),
            "accuracy": None if last is None else last.test_accuracy,
            "epochs_done": len(self.history),
            "seconds": round(sum(epoch.seconds for epoch in self.history) + self.position.seconds, 1),
            "firing_rates": {} if last is None else dict(last.firing_rates),
            "data_sha256": self.data_sha256,
            "torch": str(torch.__version__),
            "threads": torch.get_num_threads(),  # sums are split by them, and so round differently
        }

    def save_network(self, path: Path) -> None:
        """Write the network alone.

        Raises:
            InputError: the file cannot be written.
        """
        save(self.network, path, training=self.details())

    def save(self, path: Path) -> None:
        """Write the network, and beside it everything that the run needs to go on.

        Raises:
            InputError: the file cannot be written.
        """
        beside: dict[str, Tensor] = {}
        if self.mean is not None:
            beside.update({f"model.{name}": tensor for name, tensor in self.model.state_dict().items()})
        for index, entries in self.optimiser.state_dict()["state"].items():
            beside.update({f"optimiser.{index}.{key}": tensor for key, tensor in entries.items()})
        run = {
            "position": asdict(self.position),
            "history": [epoch.to_dict() for epoch in self.history],
            "best": self.best,
            "averaged": 0 if self.mean is None else int(self.mean.n_averaged),
            "scaler": self.scaler.state_dict(),
        }
        save(self.network, path, beside=beside, training=self.details(), run=run)

    def restore(self, path: Path) -> None:
        """Become what `save` wrote.

        Raises:
            InputError: the file cannot be read, is of another recipe or of other data.
        """
        gone = "remove it, and the run goes on from the one before"
        try:
            weights, beside, details = load_run(path)
        except InputError as error:
            raise InputError(f"{error}; or {gone}") from None
        try:
            stored, run = details["training"], details["run"]
            if differing := Recipe.from_stored(stored).differences(self.recipe):
                raise InputError(f"it was written with another {differing[0][0]}")
            if None not in (self.data_sha256, stored["data_sha256"]) and stored["data_sha256"] != self.data_sha256:
                raise InputError("the training data is not what the run began with: check --data-dir")
            fill_weights(self.network, weights)
            if self.mean is not None:
                fill_weights(self.model, _under(beside, "model."))
                self.mean.n_averaged.fill_(run["averaged"])
            self._restore_optimiser(_under(beside, "optimiser."))
            self.scaler.load_state_dict(run["scaler"])
            self.position = Position(**run["position"])
            self.history = [Epoch.from_dict(epoch) for epoch in run["history"]]
            self.best = run["best"]
        except InputError as error:
            raise InputError(f"checkpoint {path}: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
            raise InputError(f"checkpoint {path} is damaged: {gone}") from None

    def _restore_optimiser(self, stored: Mapping[str, Tensor]) -> None:
        entries: dict[int, dict[str, Tensor]] = {}
        for name, tensor in stored.items():
            index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
        # The groups follow from the recipe.
        self.optimiser.load_state_dict({"state": entries, "param_groups": self.optimiser.state_dict()["param_groups"]})


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def data_sha256(dataset: Dataset) -> str | None:
    """SHA-256 of the images and labels, in hexadecimal; None where the images are neither in memory nor have checksums.

    Of frames that lie in a file, the checksums stand for the frames.
    """
    images = dataset.images
    if dataset.labels is None:
        return None
    digest, in_memory = hashlib.sha256(), [dataset.labels]
    if isinstance(images, Tensor):
        in_memory.insert(0, images)
    elif (known := images.digest()) is not None:
        digest.update(known.encode())
    else:
        return None
    for tensor in in_memory:
        digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
