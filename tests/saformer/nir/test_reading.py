"""Files of NIR graphs: read within bounds, and refused in one line where they are damaged."""

import builtins
import random
import zlib

import h5py
import nir
import numpy as np
import pytest
import torch

from saformer.analysis import profile
from saformer.errors import InputError
from saformer.nir.network import network_from
from saformer.nir.reading import is_hdf5, read_graph


@pytest.fixture
def graph():
    return nir.NIRGraph.from_list(
        nir.Affine(np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], np.float32), np.zeros(3, np.float32)),
        nir.IF(r=np.ones(3), v_threshold=np.ones(3)),
        nir.Linear(np.array([[1.0, 1.0, 0.0]], np.float32)),
    )


@pytest.fixture
def file(graph, tmp_path):
    nir.write(tmp_path / "g.nir", graph)
    return tmp_path / "g.nir"


def complaint(path):
    with pytest.raises(InputError) as raised:
        read_graph(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_graph_is_read_run_and_counted_exactly(file):
    assert is_hdf5(file)
    network = network_from(read_graph(file))
    found = profile(network, [torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])], kind="events")
    first, second = found.operations
    assert (first.name, first.dense, first.events, first.effective) == ("affine", 2 * 6, 6, 2 + 2)
    # Neuron 0 fires at the first step, 1 at the second; the third holds 1, then 2, and fires at the second.
    (neurons,) = found.neurons
    assert (neurons.name, neurons.elements, neurons.per_step) == ("if", 6, (1, 2))
    assert (second.name, second.dense, second.events, second.effective) == ("linear", 2 * 3, 3, 2)
    assert found.model.time_steps == 2 and not found.uncounted
    assert network(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])).tolist() == [[1.0]]


def test_what_is_no_graph_is_refused(tmp_path):
    assert "there is no such file" in complaint(tmp_path / "missing.nir")
    (tmp_path / "text.nir").write_text("hello")
    assert "HDF5" in complaint(tmp_path / "text.nir") and not is_hdf5(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["weights"] = np.ones(3)
    assert "without the group `node`" in complaint(tmp_path / "other.h5")
    nir.write(tmp_path / "one.nir", nir.Linear(np.ones((2, 2))))
    assert "single Linear" in complaint(tmp_path / "one.nir")


def test_what_leads_out_of_the_file_is_refused(file):
    with h5py.File(file, "a") as held:
        held["node/nodes/affine/more"] = h5py.ExternalLink("/etc/passwd", "/")
    assert "link to elsewhere" in complaint(file)
    with h5py.File(file, "a") as held:
        del held["node/nodes/affine/more"]
        held.create_dataset("node/more", (4,), "i1", external=[("/etc/hostname", 0, 4)])
    assert "another file" in complaint(file)


def test_what_unpacks_to_too_much_is_not_read(file):
    with h5py.File(file, "a") as held:
        held.create_dataset("node/nodes/affine/huge", (2**34,), "i1", chunks=(2**20,), compression="gzip")
    assert file.stat().st_size < 2**20
    assert "claims 17,179,869,184 bytes" in complaint(file)


def test_zeros_that_are_packed_well_are_not_unpacked_without_end(file):
    packed = zlib.compress(bytes(2**24), 9)
    with h5py.File(file, "a") as held:
        made = held.create_dataset("node/more", (2**27,), "i1", chunks=(2**24,), compression="gzip")
        for begin in range(0, 2**27, 2**24):
            made.id.write_direct_chunk((begin,), packed)
    assert file.stat().st_size < 2**18
    assert "it unpacks to more than" in complaint(file)


def test_a_group_that_holds_itself_ends(file):
    with h5py.File(file, "a") as held:
        held["node/nodes/self"] = held["node"]
    assert "deep" in complaint(file)


def test_unknown_and_incomplete_nodes_are_refused(file):
    with h5py.File(file, "a") as held:
        del held["node/nodes/affine/weight"]
    assert "cannot be read" in complaint(file)
    with h5py.File(file, "a") as held:
        del held["node/nodes/affine/type"]
        held["node/nodes/affine/type"] = "Surprise"
    assert "cannot be read" in complaint(file)


def test_damaged_files_are_refused_or_read_but_nothing_else(file):
    whole, chance = file.read_bytes(), random.Random(0)
    for attempt in range(32):
        damaged = bytearray(whole[: chance.randrange(64, len(whole))] if attempt % 2 else whole)
        for _ in range(attempt % 8):
            damaged[chance.randrange(8, len(damaged))] = chance.randrange(256)
        file.write_bytes(damaged)
        try:
            network_from(read_graph(file))
        except InputError as error:
            assert "\n" not in str(error)


def test_without_nir_it_is_said_how_to_install_it(file, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name == "nir":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'saformer[nir]'" in complaint(file)


@pytest.mark.parametrize("shape", [np.ones((3, 2)), "xyz", np.nan * np.ones(2), np.ones((1,) * 32)])
def test_an_input_whose_shape_is_no_list_of_sizes(file, shape):
    with h5py.File(file, "a") as held:
        del held["node/nodes/input/shape"]
        held["node/nodes/input/shape"] = shape
    with pytest.raises(InputError):
        network_from(read_graph(file))
