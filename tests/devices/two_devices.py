"""Run by test_simulated.py: prints, as JSON, what profiles, tests and training come to on the CPU and on "sim"."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import simulated
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn

import saformer
from saformer.analysis import profile
from saformer.analysis.profiles import Profile
from saformer.analysis.profiles.serialization import to_json
from saformer.data import Dataset, open_dataset
from saformer.devices import numbers
from saformer.errors import Stopped
from saformer.native.passes import compiled, native
from saformer.native.products import products
from saformer.training import RunFolder, evaluate, load_recipe, train

NETWORKS = ("saformer", "sdt", "spikformer")


def random_bytes(*shape: int, most: int = 256) -> Tensor:
    return torch.randint(0, most, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


def images() -> Dataset:
    pixels = random_bytes(40, 3, 32, 32)
    return Dataset("images", "train", "static", pixels, torch.arange(40) % 10, 10, (0.5,) * 3, (0.2,) * 3)


def events() -> Dataset:
    frames = random_bytes(8, 2, 2, 128, 128, most=3)
    return Dataset("frames", "train", "events", frames, torch.arange(8) % 10, 10, None, None)


def digest(state: dict[str, Tensor]) -> str:
    """Of the weights, to the last bit."""
    return hashlib.sha256(b"".join(x.cpu().numpy().tobytes() for x in state.values())).hexdigest()


def mixing_fails(device: str) -> bool:
    try:
        torch.ones(3).to(device) + torch.ones(3)
    except RuntimeError as error:
        return "same device" in str(error)
    return False


def integers(found: Profile) -> dict[str, Any]:
    """All of a profile but where it was made."""
    plain = to_json(found)
    del plain["run"]["device"], plain["checksum"]  # which has the device in it
    return plain


def profiles(device: str) -> dict[str, Any]:
    """Of the shipped networks, all integers."""
    digits = open_dataset("digits", split="test")
    found = {}
    for name in NETWORKS:
        model = saformer.load(f"digits/{name}").to(device)
        batches = digits.batches(8, limit=12, device=device)
        found[name] = integers(profile(model, batches, check_flops=False))
    return found


def foreign(device: str) -> dict[str, Any]:
    """Of a network of SpikingJelly, with a pool, a shortcut and neurons that keep state."""
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.fire, self.again = neuron.LIFNode(step_mode="m"), neuron.IFNode(step_mode="m")
            self.pool, self.head = nn.MaxPool2d(2), nn.Linear(8 * 16 * 16, 10)

        def forward(self, x: Tensor) -> Tensor:
            functional.reset_net(self)
            x = functional.seq_to_ann_forward(x.expand(2, *x.shape), [self.first])
            x = self.fire(x)
            x = x + self.again(functional.seq_to_ann_forward(x, [self.second]))
            x = functional.seq_to_ann_forward(x, [self.pool, layer.Flatten(), self.head])
            return x.mean(0)

    data = images()
    return integers(profile(Net().to(device), data.batches(8, device=device), check_flops=False, graded=True))


def test(device: str) -> dict[str, Any]:
    """Accuracy, loss and firing rates of a shipped network."""
    digits = open_dataset("digits", split="test")
    return asdict(evaluate(saformer.load("digits/saformer").to(device), digits, limit=50, device=device))


@contextmanager
def operators_of_pytorch() -> Iterator[None]:
    """In the block nothing is compiled: BatchNorm's sums in training are rounded as PyTorch's, on every device."""
    libraries = compiled, native, products
    with patch.dict(os.environ, SAFORMER_NATIVE="0"):
        for library in libraries:
            library.cache_clear()
        yield
    for library in libraries:
        library.cache_clear()


@operators_of_pytorch()
def training(device: str, dataset: Dataset, name: str, **changes: Any) -> list[Any]:
    """Losses, rates and weights of an epoch or two by the shipped recipe."""
    recipe = load_recipe(name, **{"epochs": 1, "warmup_epochs": 0, "batch_size": 20, **changes})
    found = train(recipe, dataset, dataset, device=device)
    return [[epoch.loss, epoch.test_loss, epoch.firing_rates] for epoch in found.history] + [
        digest(found.model.state_dict())
    ]


@operators_of_pytorch()
def gone_on(device: str) -> str:
    """Weights of a run that was stopped in its second epoch and went on from the folder."""
    data, recipe = images(), load_recipe("cifar10", model="sdt-1-16", epochs=2, warmup_epochs=1, batch_size=20, ema=0.9)
    with tempfile.TemporaryDirectory() as folder:
        steps = iter([False, False, True])
        try:
            train(recipe, data, data, device=device, folder=RunFolder(Path(folder, "run")), stop=lambda: next(steps))
        except Stopped:
            return digest(
                train(recipe, data, data, device=device, folder=RunFolder(Path(folder, "run"))).model.state_dict()
            )
    raise AssertionError("nothing stopped the run")


def waits(name: str) -> int:
    """How often another batch waits for the device, of which the recorder has seen the like."""
    model = saformer.build(name, time_steps=2).to(simulated.NAME)

    def of(batches: int) -> int:
        simulated.waits.clear()
        profile(model, [images().images[:4].float().to(simulated.NAME)] * batches, check_flops=False)
        return len(simulated.waits)

    return of(3) - of(2)


def read() -> list[Any]:
    """What tensors on both devices hold, with the waits for one of them as the last."""
    given = [torch.tensor([[1, 2], [3, 4]]), torch.tensor(5), torch.tensor([], dtype=torch.int64), torch.tensor([6])]
    tensors = [x.to(device) for x in given for device in ("cpu", simulated.NAME)]
    simulated.waits.clear()
    return [*numbers(tensors), len(simulated.waits)]


def on(device: str) -> dict[str, Any]:
    """All of it on one device."""
    return {
        "mixing fails": mixing_fails(device),
        "profiles": profiles(device),
        "foreign": foreign(device),
        "test": test(device),
        "images": training(device, images(), "cifar10", model="saformer-1-16"),
        "settings": training(
            device, images(), "cifar10", model="spikformer-1-16", accumulate=2, clip_gradient=0.5, channels_last=True
        ),
        "events": training(device, events(), "cifar10dvs", model="saformer-1-16", time_steps=2, batch_size=5),
        "gone on": gone_on(device),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    found: dict[str, Any] = {device: on(device) for device in ("cpu", simulated.NAME)}
    found["read"] = read()
    print(json.dumps({**found, "waits": {name: waits(name) for name in ("saformer-1-16", "saformer-3-16")}}))
