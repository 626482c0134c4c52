"""Each kind of file that the program reads: a sound one, ways to spoil it, and a command that reads it."""

import argparse
import io
import json
import os
import pickle
import random
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nir
import numpy as np
import torch
from PIL import Image

import saformer
from saformer.analysis.complexity.benchmark import Measurement, Point
from saformer.analysis.complexity.formulas import Sizes, choose
from saformer.analysis.complexity.serialization import measurement_data
from saformer.analysis.recording.rates.from_rates import profile_from_rates
from saformer.training.metrics import Epoch, metrics_text
from tests.fuzz import mutations as by
from tests.fuzz.children import warm
from tests.fuzz.hdf5 import hdf5
from tests.saformer.data.conftest import CLASSES, aedat2, random_events, write_gesture

ROOT = Path(__file__).parents[2]

#: Outputs that must be there, whole, after status 0, and must not be there otherwise.
OUTPUTS = ("out.json", "out.csv", "out.png", "out.profile.json")
_WRITTEN = 10**9  # when every file was; frames are kept by the time of their recordings
_WRITES = ("--json", "out.json", "--csv", "out.csv")


@dataclass(frozen=True)
class Kind:
    """Files of a kind.

    Args:
        files: by their path in the folder of a case; the first of them is spoilt, or any that `spoilt` names.
        command: run in that folder.
        mutation: of a file.
        spoilt: endings of the names of files that are spoilt.
        names_outputs: the file says what is written.
        remade: what is spoilt is made anew, so that the table is that of the sound file.
    """

    files: dict[str, bytes]
    command: Sequence[str]
    mutation: by.Mutation
    spoilt: tuple[str, ...] = ("",)
    names_outputs: bool = False
    remade: bool = False

    def write(self, folder: Path, chance: random.Random) -> None:
        """Lay the files into a folder, one of them spoilt."""
        wanted = [name for name in self.files if name.endswith(self.spoilt)]
        chosen = chance.choice(wanted)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.mutation(content, chance) if name == chosen else content)
            os.utime(path, (_WRITTEN, _WRITTEN))


def _saved(content: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _tree(folder: Path, keep: tuple[str, ...] = ("",)) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name.endswith(keep)
    }


def _frames(folder: Path, recordings: dict[str, bytes], command: Sequence[str]) -> dict[str, bytes]:
    """The recordings, and what a command keeps of them."""
    Kind({**recordings}, command, lambda content, chance: content).write(folder, random.Random(0))
    assert (said := warm(command, folder)) is None, said
    return {**recordings, **{f"cache/{name}": data for name, data in _tree(folder / "cache").items()}}


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _profile(folder: Path) -> bytes:
    """Of a network at a rate of 0.2, without its checksum: nobody would get past that."""
    path = folder / "p.json"
    profile_from_rates(saformer.build("saformer-1-16"), None, 0.2).save(path)
    plain = json.loads(path.read_text())
    del plain["checksum"]
    return json.dumps(plain).encode()


def _graph(folder: Path) -> bytes:
    """Two layers and a layer of neurons, as HDF5."""
    nodes = (
        nir.Affine(np.ones((3, 2), np.float32), np.zeros(3, np.float32)),
        nir.IF(r=np.ones(3), v_threshold=np.ones(3)),
        nir.Linear(np.ones((1, 3), np.float32)),
    )
    nir.write(folder / "g.nir", nir.NIRGraph.from_list(*nodes))
    return (folder / "g.nir").read_bytes()


def _measurement() -> bytes:
    sizes = Sizes(tokens=64, dim=32, rate=0.15, heads=2)
    points = tuple(
        Point(attention, axis, replace(sizes, **{axis: size}), [1e-3 * size, 2.0], 1024 * size)
        for attention in choose("vsa,sasa")
        for axis in ("tokens", "dim")
        for size in (64, 128)
    )
    measured = measurement_data(Measurement(points, {"vsa": 1e-5, "sasa": 2e-5}, "cpu", 2))
    return json.dumps({"schema": 1, "measured": measured}).encode()


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds; what they need is made in an empty folder."""
    rng = np.random.default_rng(0)
    oracle = (ROOT / "tests" / "data" / "oracles" / "sdt_2_64_cifar.pth.tar").read_bytes()
    content = torch.load(io.BytesIO(oracle), weights_only=False)
    args = argparse.Namespace(model="sdt", depth=2, dim=64, size=(2, 32), name="x")
    network = saformer.build("sdt-1-16")
    saformer.save(network, folder / "own.safetensors", training={"dataset": "cifar10"})
    own = (folder / "own.safetensors").read_bytes()
    x = rng.normal(size=(2, 3, 32, 32)).astype(np.float32)
    batch = {
        b"batch_label": b"x",
        b"labels": [3, 1],
        b"data": rng.integers(0, 256, (2, 3072), dtype=np.uint8),
        b"filenames": [b"a.png", b"b.png"],
    }
    python = pickle.dumps(batch, 2)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in (("readme.html", b"hello"), ("test_batch", python)):
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    write_gesture(folder / "gesture")
    gesture = {name: data for name, data in _tree(folder / "gesture").items() if "user01" not in name}
    dvs = {f"{name}/cifar10_{name}_{i}.aedat": aedat2(*random_events(rng, 40)) for name in CLASSES for i in range(2)}
    t, px, py, p = random_events(rng, 40)
    jelly = {f"events_np/{name}/{i}.npz": _npz(t=t, x=px, y=py, p=p) for name in CLASSES for i in range(2)}
    profile = _profile(folder)
    images = {f"val/n{i}/{i}.png": _png(i) for i in range(2)}
    rates = b"layer,input_firing_rate\nblock.*,0.2\npatch_embed.*,0.1\nhead,0.3\n"
    hardware = (ROOT / "analysis" / "accounting" / "hardware_tables" / "loihi.toml").read_bytes()
    recipe = (ROOT / "saformer" / "training" / "recipes" / "cifar10.toml").read_bytes()
    epochs = metrics_text([Epoch(i, 2, 2 / i, 0.1 * i, 2.1, 0.2, 0.01, 3.0, {"lif": 0.2}) for i in (1, 2)]).encode()
    on = ("energy", "--model", "saformer-1-16", "--time-steps", "1", "--limit", "2")
    events = (*on, "--image-size", "16", "--cache-dir", "cache", "--data-dir", ".", *_WRITES)
    return {
        "checkpoint": Kind({"c.pth": oracle}, ("flops", "c.pth", "--format", "json"), by.torch_zip),
        "checkpoint-args": Kind(
            {"c.pth": _saved({**content, "args": args}), "x.npz": _npz(x=x)},
            ("energy", "c.pth", "--input", "x.npz", *_WRITES),
            by.torch_zip,
            (".pth",),
        ),
        "checkpoint-legacy": Kind(
            {"c.pth": _saved({**content, "args": args}, _use_new_zipfile_serialization=False)},
            ("flops", "c.pth", "--format", "json"),
            by.some_of(by.pickled, by.some_bytes),
        ),
        "checkpoint-own": Kind({"c.safetensors": own}, ("flops", "c.safetensors", "--format", "json"), by.safetensors),
        "npz": Kind({"x.npz": _npz(x=x, y=np.array([1, 2]))}, (*on, "--input", "x.npz", *_WRITES), by.npz),
        "cifar-pickle": Kind(
            {"test_batch": python}, (*on, "--dataset", "cifar10", "--data-dir", ".", *_WRITES), by.pickled
        ),
        "cifar-archive": Kind(
            {"cifar-10-python.tar.gz": packed.getvalue()},
            (*on, "--dataset", "cifar10", "--data-dir", ".", *_WRITES),
            by.tar(by.pickled),
        ),
        "cifar-binary": Kind(
            {"test_batch.bin": rng.integers(0, 10, 2 * 3073, dtype=np.uint8).tobytes()},
            (*on, "--dataset", "cifar10", "--data-dir", ".", *_WRITES),
            by.some_bytes,
        ),
        "aedat-2": Kind(dvs, (*events, "--dataset", "cifar10dvs", "--split", "train"), by.some_bytes),
        "frame-cache": Kind(
            _frames(folder / "frames", dvs, (*events, "--dataset", "cifar10dvs", "--split", "train")),
            (*events, "--dataset", "cifar10dvs", "--split", "train"),
            by.frames,
            (".npy", ".json"),
            remade=True,
        ),
        "aedat-3": Kind(gesture, (*events, "--dataset", "dvs128gesture"), by.some_bytes, (".aedat",)),
        "gesture-lists": Kind(gesture, (*events, "--dataset", "dvs128gesture"), by.text, (".csv", ".txt")),
        "events-npz": Kind(jelly, (*events, "--dataset", "cifar10dvs", "--split", "train"), by.npz),
        "images": Kind(
            images,
            (*on, "--dataset", "imagefolder", "--split", "val", "--data-dir", ".", "--image-size", "32", *_WRITES),
            by.some_bytes,
        ),
        "picture": Kind(
            {"a.png": _png(5)},
            ("attention", "digits/saformer", "--image", "a.png", "--json", "out.json"),
            by.some_bytes,
        ),
        "nir": Kind(
            {"g.nir": _graph(folder), "x.npz": _npz(x=rng.random((2, 3, 2), np.float32))},
            ("energy", "g.nir", "--input", "x.npz", *_WRITES),
            by.some_of(by.some_bytes, hdf5, hdf5),
            (".nir",),
        ),
        "rates": Kind({"r.csv": rates}, ("energy", "--model", "saformer-1-16", "--rates", "r.csv", *_WRITES), by.text),
        "hardware": Kind({"h.toml": hardware}, ("hardware", "h.toml"), by.text),
        "hardware-energy": Kind(
            {"h.toml": hardware, "r.csv": rates},
            ("energy", "--model", "saformer-1-16", "--rates", "r.csv", "--hardware", "h.toml", *_WRITES),
            by.text,
            (".toml",),
        ),
        # The data are missing: what is wrong with a recipe must be said, and a sound one must not be trained for hours.
        "recipe": Kind(
            {"r.toml": recipe}, ("train", "--recipe", "r.toml", "--data-dir", "absent", "--out", "run"), by.text
        ),
        "config": Kind(
            {
                "c.toml": b'[energy]\nmodel = "saformer-1-16"\nuniform-rate = 0.2\n'
                b'accounting = "exact"\nset = ["aggregated=2"]\n'
            },
            ("energy", "--config", "c.toml", *_WRITES),
            by.text,
        ),
        "paper": Kind(
            {
                "p.toml": b'[networks.a]\nsource = "p.json"\nlabel = "A"\n\n[[output]]\nfile = "out.csv"\n'
                b'command = "compare"\nnetworks = ["a"]\n\n[[output]]\nfile = "out.json"\ncommand = "energy"\n',
                "p.json": profile,
            },
            ("figures", "p.toml"),
            by.text,
            (".toml",),
            names_outputs=True,
        ),
        "metrics": Kind({"run/metrics.csv": epochs}, ("plot", "run", "--out", "out.png"), by.text),
        "profile": Kind({"p.json": profile}, ("energy", "p.json", *_WRITES), by.json_text),
        "measurement": Kind({"m.json": _measurement()}, ("complexity", "--measured", "m.json"), by.json_text),
    }
