"""Commands that are killed while they write: each output is as it was before, or whole and new."""

import argparse
import collections
import io
import json
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import safetensors
import torch
from PIL import Image

from tests.fuzz.children import WALL, Child, start

_NETWORK = ["saformer-1-16", "--time-steps", "1"]
#: Commands, and what they write.
COMMANDS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "energy": (
        [
            *("energy", *_NETWORK, "--dataset", "digits", "--limit", "8"),
            *("--json", "o.json", "--csv", "o.csv", "--plot", "o.png", "--save-profile", "p.json"),
        ],
        ("o.json", "o.csv", "o.png", "p.json"),
    ),
    "train": (
        [
            *("train", "--dataset", "digits", "--model", *_NETWORK, "--out", "run"),
            *("--epochs", "1", "--checkpoint-steps", "1", "--batch-size", "512"),
        ],
        ("run/best.safetensors", "run/metrics.csv", "run/recipe.toml", "run/last-*.safetensors"),
    ),
    "complexity": (["complexity", "--json", "o.json"], ["o.json"]),
}


def whole(path: Path) -> bool:
    """Whether a file can be read to its end."""
    content = path.read_bytes()
    try:
        match path.suffix:
            case ".json":
                json.loads(content)
            case ".csv" | ".toml":
                return content.endswith(b"\n")
            case ".png":
                Image.open(io.BytesIO(content)).load()
            case ".safetensors":
                with safetensors.safe_open(str(path), framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118
                        file.get_tensor(name)
    except Exception:
        return False
    return True


def _until_writing(child: Child, chance: random.Random) -> None:
    """Wait until the command has begun to write one of its files, or ends, and a moment more."""
    files = chance.randrange(1, 5)
    seen: set[str] = set()
    end = time.monotonic() + WALL
    while time.monotonic() < end and not child.ended():
        seen |= {str(path) for path in child.folder.rglob(".*.*") if path.is_file()}
        if len(seen) >= files:
            time.sleep(chance.choice((0, 0, 0.001, 0.005)))
            return


def kill_many(options: argparse.Namespace) -> int:
    """Kill commands at moments by chance; the number of outputs that were lost."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="kills-") as work:
        return _kill_many(options, Path(work))


def _kill_many(options: argparse.Namespace, work: Path) -> int:
    chance = random.Random(f"kills {options.seed}")
    lengths, before = {}, {}
    for name, (command, outputs) in COMMANDS.items():
        for _ in range(2):  # the first time it imports
            folder = work / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            started = time.monotonic()
            ended = start(command, folder).wait()
            lengths[name] = time.monotonic() - started
            assert ended is not None and ended.status == 0, (name, ended)
        before[name] = {path: path.read_bytes() for pattern in outputs for path in folder.glob(pattern)}
        assert all(whole(path) for path in before[name])
    lost, tally, midway = 0, collections.Counter[str](), 0
    for case in range(options.kills):
        name = list(COMMANDS)[case % len(COMMANDS)]
        command, outputs = COMMANDS[name]
        folder = work / f"kill{case}"
        folder.mkdir()
        old = chance.random() < 0.5 and name != "train"
        if old:  # outputs of an earlier run, to be overwritten
            for path in before[name]:
                (folder / path.name).write_bytes(b'{"old": 1}\n')
        child = start(command, folder)
        if chance.random() < 0.4:
            time.sleep(lengths[name] * chance.random())
        else:
            _until_writing(child, chance)
        child.kill(chance.choice((signal.SIGKILL, signal.SIGTERM)))
        ended = child.wait()
        assert ended is not None
        tally[f"{name} {ended.status}"] += 1
        midway += any(folder.rglob(".*.*.*"))
        for pattern in outputs:
            for path in folder.glob(pattern):
                if not (whole(path) or (old and path.read_bytes() == b'{"old": 1}\n')):
                    lost += 1
                    print(f"kill {case}: {name} left {path.name} in part", flush=True)
        if name == "train" and case % 10 == 1:  # it goes on from what is there
            again = start(command, folder).wait()
            if again is None or again.status != 0:
                lost += 1
                print(f"kill {case}: the run does not go on: {again and again.err[-300:]}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    summary = {"seed": options.seed, "kills": options.kills, "lost": lost, "amid_writing": midway, "ended": dict(tally)}
    print(json.dumps(summary))
    if options.results:
        with open(options.results, "a") as file:
            file.write(json.dumps(summary) + "\n")
    return lost
