"""NIR graphs named as networks."""

import json

import nir
import numpy as np
import pytest


@pytest.fixture
def graph(tmp_path):
    rng = np.random.default_rng(0)
    net = nir.NIRGraph.from_list(
        nir.Affine(rng.normal(size=(6, 4)).astype(np.float32), np.ones(6, np.float32)),
        nir.LIF(tau=np.full(6, 5e-4), r=np.full(6, 5.0), v_leak=np.zeros(6), v_threshold=np.ones(6)),
        nir.Linear(rng.normal(size=(3, 6)).astype(np.float32)),
        nir.LI(tau=np.full(3, 1e-3), r=np.full(3, 10.0), v_leak=np.zeros(3)),
    )
    nir.write(tmp_path / "graph.nir", net)
    x = (rng.random((20, 7, 4)) < 0.4).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(20) % 3)
    return tmp_path / "graph.nir"


def test_a_graph_is_a_network_like_any_other(saformer, graph):
    x = ("--input", graph.with_name("x.npz"))
    by_name = saformer("energy", graph, *x, "--format", "json")
    account = json.loads(by_name.out)
    assert account["model"]["name"] == "graph" and account["model"]["time_steps"] == 7
    assert account["model"]["parameters"] == 4 * 6 + 6 + 6 * 3
    assert account["totals"]["flops"] == 7 * (4 * 6 + 6 * 3) and not account["uncounted"]
    assert [layer["class"] for layer in account["layers"]] == ["spikes", "spikes"]
    assert not any("untrained" in note for note in account["notes"])
    for option in ("--ckpt", "--model"):
        assert saformer("energy", option, graph, *x, "--format", "json").out == by_name.out
    assert saformer("compare", f"ours={graph}", f"slow={graph}+dt=0.0002", *x).code == 0
    assert saformer("summary", graph, *x).code == 0


def test_what_does_not_go_with_a_graph_is_said(saformer, graph):
    x = ("--input", graph.with_name("x.npz"))
    assert "+dt=0.001" in saformer("energy", f"{graph}+heads=3", *x).complaint
    assert "+dt=0.001" in saformer("energy", f"{graph}+dt=fast", *x).complaint
    assert "leave out --time-axis" in saformer("energy", graph, *x, "--time-axis", 1).complaint
    assert "has 7 steps, not 3" in saformer("energy", graph, *x, "--time-steps", 3).complaint
    assert "reads 4 at each step" in saformer("energy", graph, "--dataset", "digits").complaint
    graph.write_bytes(graph.read_bytes()[:5000])
    assert "cannot be read" in saformer("energy", graph, *x).complaint
