"""What the settings of `saformer train` that cost or save time do: seconds per step, and accuracy after a short run.

    .venv/bin/python tests/benchmarks/training.py

Each setting alone is set against none of them, in this one run on this machine. Time: steps of SAFormer-2-64
on random images of CIFAR's size, batch 64, the fastest of each; the first two, in which `--compile` compiles, are left
out. Accuracy: SAFormer-1-32 on digits, T = 2, 8 epochs, three seeds; it says whether a setting harms, not how much it
helps in hundreds of epochs.
"""

import argparse
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

import saformer
from saformer.data import open_dataset
from saformer.data.dataset import Dataset
from saformer.errors import InputError
from saformer.training import load_recipe, train

SETTINGS: dict[str, dict[str, Any]] = {
    "none": {"channels_last": False},
    "--autocast bf16": {"autocast": "bf16"},
    "--autocast fp16": {"autocast": "fp16"},
    "--compile": {"compile": True},
    "--channels-last": {"channels_last": True},
    "both bf16 and channels-last": {"autocast": "bf16", "channels_last": True},
    "--ema 0.99": {"ema": 0.99},
    "--clip-gradient 1": {"clip_gradient": 1.0},
    "--accumulate 2": {"accumulate": 2},
}


def random_images(count: int) -> Dataset:
    """Images of CIFAR's size that hold nothing."""
    generator = torch.Generator().manual_seed(0)
    return Dataset(
        name="cifar10",
        split="train",
        kind="static",
        images=torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator),
        labels=torch.randint(0, 10, (count,), generator=generator),
        classes=10,
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )


def seconds_per_step(changes: dict[str, Any], device: str, steps: int) -> float:
    """The fastest step."""
    recipe = replace(
        load_recipe("cifar10"),
        epochs=1,
        warmup_epochs=0,
        **{"model": "saformer-2-64", "channels_last": False, **changes},
    )
    marks = [time.perf_counter()]
    train(
        recipe,
        random_images(recipe.batch_size * steps),
        random_images(recipe.batch_size),
        device=device,
        on_step=lambda _: marks.append(time.perf_counter()),
    )
    return min(end - start for start, end in list(pairwise(marks))[2:])


def accuracies(changes: dict[str, Any], device: str) -> list[float]:
    """On the digits held out, after a short run with each of three seeds."""
    digits = [open_dataset("digits", split=split) for split in ("train", "test")]
    recipe = replace(load_recipe("digits"), model="saformer-1-32", time_steps=2, epochs=8, warmup_epochs=1, **changes)
    return [train(replace(recipe, seed=seed), *digits, device=device).accuracy for seed in range(3)]


def main(steps: int, threads: int, device: str) -> None:
    """Measure and print, a line as soon as it is known."""
    torch.set_num_threads(threads)
    saformer.keep_memory()  # as the command line does
    print(f"{threads} threads of a CPU" if device == "cpu" else torch.cuda.get_device_name(device))
    plain = None
    for name, changes in SETTINGS.items():
        try:
            seconds = seconds_per_step(changes, device, steps)
        except InputError as error:
            print(f"{name}: {error}")
            continue
        plain = plain or seconds
        print(f"{name:27} {seconds:.3f} s per step, {seconds / plain:.2f} of that with none", flush=True)
    for name, changes in SETTINGS.items():
        if "compile" in changes:
            continue  # the same arithmetic
        found = [f"{100 * value:.1f} %" for value in accuracies(changes, device)]
        print(f"{name:27} digits: {', '.join(found)}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    main(arguments.steps, arguments.threads, arguments.device)
