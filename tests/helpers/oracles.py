"""What tests compare with a network that the published code ran: tests/data/oracles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from saformer.analysis import profile
from saformer.checkpoints import load
from saformer.models import Model

ORACLES = Path(__file__).parents[1] / "data" / "oracles"


class Oracle:
    """One of them by name."""

    def __init__(self, name: str) -> None:
        self.path = next(path for end in (".pth.tar", ".pth") if (path := ORACLES / f"{name}{end}").exists())
        self.expected = json.loads((ORACLES / f"{name}.expected.json").read_text())
        self.classes = json.loads((ORACLES / f"{name}.classes.json").read_text())
        self.x = torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"]).double()

    def load(self, **settings: Any) -> Model:
        """The checkpoint as our model, in float64."""
        return load(self.path, **settings).double()

    def check(self, model: Model, *, products: set[str], reads_otherwise: dict[str, str] | None = None) -> None:
        """Logits to 1e-9; elements, nonzeros, classes and units of inputs, true fan-outs and spikes, all equal.

        Args:
            model: what `load` gave.
            products: names of the products of activations.
            reads_otherwise: layers whose class of values docs/method.md settles after the oracle was made.
        """
        with torch.inference_mode():
            logits = model(self.x)
        wanted = torch.tensor(self.expected["logits"], dtype=torch.float64)
        assert torch.allclose(logits, wanted, rtol=0, atol=1e-9)
        found = profile(model, [self.x[:1], self.x[1:]])
        assert found.images == self.expected["batch"] and found.uncounted == ()
        operations = {operation.name: operation for operation in found.operations}
        assert operations.keys() == self.expected["layers"].keys() | products
        for name, layer in self.expected["layers"].items():
            (operand,) = operations[name].operands
            assert (operand.elements, operand.nonzero) == (layer["numel"], layer["nonzero"]), name
            assert operations[name].events == self.expected["exact_sops"][name], name
            kind, seen = (reads_otherwise or {}).get(name, self.classes[name]["class"]), operand.values
            if name == next(iter(self.expected["layers"])) and self.x.ndim == 4:
                continue  # an image is real whatever its values
            assert seen.kind(operand.nonzero) == kind, name
            if kind in ("spikes", "graded") and name not in (reads_otherwise or {}):
                assert seen.unit == pytest.approx(self.classes[name]["unit"], rel=1e-6), name
        neurons = {neuron.name: neuron for neuron in found.neurons}
        assert neurons.keys() == self.expected["neurons"].keys()
        for name, neuron in self.expected["neurons"].items():
            seen = neurons[name]
            assert (seen.elements, seen.spikes, list(seen.per_step)) == (
                neuron["numel"],
                neuron["spikes"],
                neuron["per_step"],
            ), name
