"""Run by test_parallel.py: prints, as JSON, what two gloo processes and one process come to."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # by the first step of an optimizer: here once, and not in every process
import torch.distributed as dist
from torch import nn

from saformer import build
from saformer.data import Dataset, open_dataset
from saformer.distributed import rank, world_size
from saformer.training import RunFolder, evaluate, load_recipe, train
from saformer.training.parallel import join_batch_norms


def _first(split: str, images: int) -> Dataset:
    data = open_dataset("digits", split=split)
    assert data.labels is not None
    return replace(data, images=data.images[:images], labels=data.labels[:images])


def batch_norm() -> list[list[float]]:
    """Outputs of the whole batch in order, gradients by input, weight and bias, and the statistics, in float64."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    join_batch_norms(norm, torch.device("cpu"))
    whole = (5 + torch.randn(7, 3, 2, 2)).double()
    toward = torch.randn(7, 3, 2, 2).double()
    mine = slice(0, 3) if rank() == 0 else slice(3, 7)  # shares of different size
    if world_size() == 1:
        mine = slice(0, 7)
    x = whole[mine].requires_grad_()
    y = norm(x)
    (y * toward[mine]).sum().backward()
    outcome = torch.zeros(2, 7, 3, 2, 2).double()
    outcome[:, mine] = torch.stack([y.detach(), x.grad])  # type: ignore[list-item]
    shared = torch.stack([norm.weight.grad, norm.bias.grad])  # type: ignore[list-item]
    if world_size() > 1:
        dist.all_reduce(outcome)
        dist.all_reduce(shared)
    parts = [*outcome, shared, norm.running_mean, norm.running_var]
    return [part.flatten().tolist() for part in parts]  # type: ignore[union-attr]


def losses(model: str, **overrides: Any) -> list[float]:
    """The loss after each step; the last batch of an epoch has a single image."""
    recipe = load_recipe(
        "digits",
        model=model,
        **{"epochs": 2, "warmup_epochs": 0, "batch_size": 20, "learning_rate": 1e-3, "time_steps": 2, **overrides},
    )
    seen: list[float] = []
    train(recipe, _first("train", 61), _first("test", 21), on_step=lambda p: seen.append(p.loss))
    return seen


def evaluation() -> list[Any]:
    """Counts of one network, of images that do not share out evenly."""
    torch.manual_seed(0)
    found = evaluate(build("saformer-1-16", in_channels=1, image_size=8), _first("test", 33), batch_size=8)
    return [found.images, found.right, found.right5, found.firing_rates]


def kept(folder: str) -> list[str]:
    """What is in the folder of a run."""
    recipe = load_recipe("digits", model="saformer-1-16", epochs=1, warmup_epochs=0, batch_size=20, time_steps=2)
    train(recipe, _first("train", 40), _first("test", 20), folder=RunFolder(folder, steps=1))
    # And a second time, from where the first has come to.
    again = train(recipe, _first("train", 40), _first("test", 20), folder=RunFolder(folder))
    return [*sorted(path.name for path in Path(folder).iterdir()), str(len(again.history))]


def everything(folder: str) -> dict[str, Any]:
    """All of the above."""
    return {
        "batch_norm": batch_norm(),
        # T = 2: PyTorch 2.13 loses gradients of a BatchNorm of a single image on a CPU, in one process.
        "vit": losses("vit-1-16", mixup=0.5),
        "saformer": losses("saformer-1-16"),
        "accumulated": losses("saformer-1-16", accumulate=2, clip_gradient=0.5, ema=0.9),
        "evaluation": evaluation(),
        "kept": kept(folder),
    }


def in_two(work: Callable[[str], dict[str, Any]], folder: Path) -> Any:
    """What the first of two processes comes to."""
    children = []
    for number in range(2):
        if child := os.fork():
            children.append(child)
            continue
        code = 1
        try:
            meeting = f"file://{folder / 'meeting'}"
            dist.init_process_group("gloo", init_method=meeting, rank=number, world_size=2)
            found = work(str(folder / "two"))
            if number == 0:
                (folder / "two.json").write_text(json.dumps(found))
            dist.destroy_process_group()
            code = 0
        finally:
            os._exit(code)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a process failed")
    return json.loads((folder / "two.json").read_text())


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    print(json.dumps({"two": in_two(everything, where), "one": everything(str(where / "one"))}))
