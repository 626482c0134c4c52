"""The fuzzer itself: its mutations never fail on a sound file, and change it; `make fuzz` runs the program on them."""

import io
import json
import pickle
import random
import tarfile

import h5py
import numpy as np
import pytest
import torch

import saformer
from tests.fuzz import mutations as by
from tests.fuzz.hdf5 import hdf5


def _buffer(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _graph(buffer) -> None:
    with h5py.File(buffer, "w") as file:
        file["node/weight"], file["node/type"] = np.ones((3, 2)), "Linear"


def _archive(buffer) -> None:
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("a")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"K\x01.."))


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("sound") / "m.safetensors"
    saformer.save(saformer.build("sdt-1-16"), path)
    return {
        "torch_zip": _buffer(lambda buffer: torch.save({"state_dict": {"a": torch.ones(2)}}, buffer)),
        "pickled": pickle.dumps({"a": [1, (2, 3)], "b": {4, 5}}, 2),
        "npz": _buffer(lambda buffer: np.savez(buffer, x=np.ones((2, 3)))),
        "tar": _buffer(_archive),
        "safetensors": path.read_bytes(),
        "json_text": json.dumps({"a": [1, 2.5, {"b": None}], "c": "text"}).encode(),
        "text": b"[a]\nb = 1\nc = 'x'\n",
        "some_bytes": bytes(range(100)),
        "hdf5": _buffer(_graph),
        "frames": _buffer(lambda buffer: np.save(buffer, np.ones((2, 3)))),
    }


@pytest.mark.parametrize(
    "name", ["torch_zip", "pickled", "npz", "tar", "safetensors", "json_text", "text", "some_bytes", "frames", "hdf5"]
)
def test_every_file_can_be_spoilt_in_the_same_way_again(sound, name) -> None:
    mutation = {"tar": by.tar(by.pickled), "hdf5": hdf5}.get(name) or getattr(by, name)
    spoilt = [mutation(sound[name], random.Random(seed)) for seed in range(50)]
    assert len(set(spoilt)) > 25
    if name not in ("torch_zip", "npz", "tar", "hdf5"):  # which hold the time
        assert spoilt[:5] == [mutation(sound[name], random.Random(seed)) for seed in range(5)]
