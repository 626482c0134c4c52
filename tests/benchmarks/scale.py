"""Time and memory of `saformer report` on a network of hundreds of layers, and on many profiles.

    .venv/bin/python tests/benchmarks/scale.py

Profiles are recorded first: of one network of 500 layers on 300 images, and of twenty networks of 60. What is printed
is the size of the files, and the processor time and largest memory of each command, in a process of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from saformer.analysis import profile
from saformer.neurons import LIF


class Deep(nn.Module):
    """So many linear layers of 32 channels, each with its neurons, on one row of an image repeated T = 4 times."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(32, 32) for _ in range(layers))
        self.neurons = nn.ModuleList(LIF() for _ in range(layers))
        for layer in self.layers:
            nn.init.normal_(layer.weight, 0.12, 0.6)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1).expand(4, -1, -1)
        for layer, neurons in zip(self.layers, self.neurons, strict=True):
            x = neurons(layer(x))
        return x.mean(0)


def recorded(folder: Path, layers: int, images: int, seed: int) -> Path:
    """The saved profile of such a network, with random weights."""
    torch.manual_seed(seed)
    path = folder / f"deep-{layers}-{seed}.json"
    profile(Deep(layers), torch.randn(images, 1, 4, 8).split(64), check_flops=False, name=path.stem).save(path)
    return path


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds of processor time and largest memory in MB of one command."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Record, then report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=500)
    parser.add_argument("--profiles", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deep = recorded(folder, args.layers, 300, 0)
        many = [recorded(folder, 60, 40, seed) for seed in range(1, args.profiles + 1)]
        print(f"profile of {args.layers} layers: {deep.stat().st_size / 1e6:.2f} MB")
        for what, command in (
            ("energy", ["energy", "--from-profile", str(deep)]),
            ("sensitivity", ["sensitivity", "--from-profile", str(deep)]),
            ("report", ["report", "--quick", "--out", str(folder / "one"), str(deep)]),
            (f"report of {args.profiles}", ["report", "--out", str(folder / "many"), *map(str, many)]),
            ("the same, quick", ["report", "--quick", "--out", str(folder / "quick"), *map(str, many)]),
        ):
            seconds, megabytes = measured([sys.executable, "-m", "saformer.cli", *command])
            print(f"{what:<15} {seconds:6.1f} s  {megabytes:6.0f} MB", flush=True)


if __name__ == "__main__":
    main()
