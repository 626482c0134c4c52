"""What published code computed from a checkpoint and an input (tests/data/oracles), and a model held against it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.analysis.profiles import Operation
from saformer.models import Model

ORACLES = Path(__file__).parents[1] / "data" / "oracles"


class Oracle:
    """The files of one name."""

    def __init__(self, name: str) -> None:
        self.path = next(path for end in (".pth.tar", ".pth") if (path := ORACLES / f"{name}{end}").exists())
        self.expected: dict[str, Any] = json.loads((ORACLES / f"{name}.expected.json").read_text())
        self.classes: dict[str, Any] = json.loads((ORACLES / f"{name}.classes.json").read_text())
        self.x = torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"]).double()

    def load(self, **settings: Any) -> Model:
        """The checkpoint as our model, in float64."""
        return saformer.load(self.path, **settings).double()

    def check(
        self, model: Model, products: set[str] | None = None, reads_otherwise: Mapping[str, str] | None = None
    ) -> None:
        """Logits to 1e-9; elements, nonzeros, classes and units of inputs, fan-outs, products and spikes, all equal.

        Args:
            model: what `load` gave.
            products: names of the products of activations; None where the oracle has the matrix products, by size, and
                the parameters are those of the published code.
            reads_otherwise: layers whose class of values docs/method.md settled after the oracle was made.
        """
        otherwise = dict(reads_otherwise or {})
        with torch.inference_mode():
            wanted = torch.tensor(self.expected["logits"], dtype=torch.float64)
            assert torch.allclose(model(self.x), wanted, rtol=0, atol=1e-9)
        found = profile(model, [self.x[:1], self.x[1:]])
        assert found.images == self.expected["batch"] and found.uncounted == ()
        operations = {operation.name: operation for operation in found.operations}
        for name, layer in self.expected["layers"].items():
            (operand,) = operations[name].operands
            assert (operand.elements, operand.nonzero) == (layer["numel"], layer["nonzero"]), name
            assert operations[name].events == self.expected["exact_sops"][name], name
            assert operations[name].dense == layer["dense_macs_per_image"] * found.images, name
            kind = otherwise.get(name, self.classes[name]["class"])
            assert str(operations[name].gate.kind) == kind, name
            image = operations[name].first and self.x.ndim == 4  # which is real whatever its values
            if kind in ("spikes", "graded") and name not in otherwise and not image:
                assert operand.values.unit == pytest.approx(self.classes[name]["unit"], rel=1e-6), name
        spikes = {name: (n["numel"], n["spikes"], n["per_step"]) for name, n in self.expected["neurons"].items()}
        assert {n.name: (n.elements, n.spikes, list(n.per_step)) for n in found.neurons} == spikes
        others = {name: o for name, o in operations.items() if name not in self.expected["layers"]}
        if products is not None:
            assert others.keys() == products
        else:
            self._check_products(list(others.values()), found.images)
            assert sum(parameter.numel() for parameter in model.parameters()) == self.expected["params"]

    def _check_products(self, products: list[Operation], images: int) -> None:
        published = [p for p in self.expected["products"] if p["op"] == "matmul"]
        pairs = sorted(sorted((a.elements, a.nonzero) for a in product.operands) for product in products)
        assert pairs == sorted(sorted((p[side]["numel"], p[side]["nonzero"]) for side in "ab") for p in published)
        dense = sorted(product.dense for product in products)
        assert dense == sorted(p["dense_per_image"] * images for p in published)
