"""SEW 7B-Net against the published code."""

import json
from pathlib import Path

import numpy as np
import torch

from saformer.analysis import profile
from saformer.checkpoints import load

ORACLE = Path(__file__).resolve().parents[3] / "data" / "oracles" / "sew_7b_20_gesture_add"


def test_the_oracle_is_read_by_itself_and_gives_its_logits_and_integers():
    expected = json.loads(ORACLE.with_name(f"{ORACLE.name}.expected.json").read_text())
    x = torch.from_numpy(np.load(ORACLE.with_name(f"{ORACLE.name}.input.npz"))["x"]).double()
    model = load(ORACLE.with_name(f"{ORACLE.name}.pth.tar")).double()
    assert (model.config.widths, model.config.image_size, model.config.time_steps) == ((20,) * 7, 128, 4)
    with torch.inference_mode():
        logits = model(x)
    assert torch.allclose(logits, torch.tensor(expected["logits"], dtype=torch.float64), rtol=0, atol=1e-9)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["params"]

    found = profile(model, [x])
    operations = {operation.name: operation for operation in found.operations}
    assert operations.keys() == expected["layers"].keys() and found.uncounted == ()
    for path, layer in expected["layers"].items():
        (operand,) = operations[path].operands
        assert (operand.elements, operand.nonzero) == (layer["numel"], layer["nonzero"])
        assert operand.binary == layer["binary"] and operations[path].events == expected["exact_sops"][path]
        assert operations[path].dense == layer["dense_macs_per_image"] * expected["batch"]
    neurons = {neuron.name: neuron for neuron in found.neurons}
    assert {
        path: (neuron["numel"], neuron["spikes"], neuron["per_step"]) for path, neuron in expected["neurons"].items()
    } == {path: (neuron.elements, neuron.spikes, list(neuron.per_step)) for path, neuron in neurons.items()}
