"""What published code computed from a checkpoint and an input, and how a model is held against it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.models import Model

_FOLDER = Path(__file__).parents[1] / "data" / "oracles"


class Oracle:
    """Files of one name in tests/data/oracles."""

    def __init__(self, name: str) -> None:
        self.path = next(path for end in (".pth.tar", ".pth") if (path := _FOLDER / f"{name}{end}").exists())
        self.expected: dict[str, Any] = json.loads((_FOLDER / f"{name}.expected.json").read_text())
        self.classes: dict[str, Any] = json.loads((_FOLDER / f"{name}.classes.json").read_text())
        self.x = torch.from_numpy(np.load(_FOLDER / f"{name}.input.npz")["x"]).double()

    @property
    def logits(self) -> torch.Tensor:
        return torch.tensor(self.expected["logits"], dtype=torch.float64)

    def load(self, **settings: Any) -> Model:
        return saformer.load(self.path, **settings)

    def check(self, model: Model, parameters: int | None = None, classes: Mapping[str, str] | None = None) -> None:
        """Logits to 1e-9; input elements, nonzeros, events, spikes by step and products as they are; classes of values.

        Args:
            model: what `load` gave.
            parameters: where they are not those of the published network.
            classes: of layers that docs/method.md reads otherwise than the oracle does.
        """
        wanted = {path: layer["class"] for path, layer in self.classes.items()} | {**(classes or {})}
        model = model.double()
        with torch.inference_mode():
            assert torch.allclose(model(self.x), self.logits, rtol=0, atol=1e-9)
        found = profile(model, [self.x])
        operations = {operation.name: operation for operation in found.operations}
        for path, layer in self.expected["layers"].items():
            (operand,) = operations[path].operands
            assert (operand.elements, operand.nonzero) == (layer["numel"], layer["nonzero"]), path
            assert operations[path].events == self.expected["exact_sops"][path], path
            assert operations[path].dense == layer["dense_macs_per_image"] * found.images, path
            assert str(operations[path].gate.kind) == wanted[path], path
            if wanted[path] in ("spikes", "graded"):
                assert operand.values.unit == pytest.approx(self.classes[path]["unit"], rel=1e-6), path
        neurons = {layer.name: (layer.elements, layer.spikes, list(layer.per_step)) for layer in found.neurons}
        spikes = {name: (n["numel"], n["spikes"], n["per_step"]) for name, n in self.expected["neurons"].items()}
        assert neurons == spikes
        products = [o for name, o in operations.items() if name not in self.expected["layers"]]
        pairs = sorted(sorted((a.elements, a.nonzero) for a in product.operands) for product in products)
        published = [p for p in self.expected["products"] if p["op"] == "matmul"]
        assert pairs == sorted(sorted((p[side]["numel"], p[side]["nonzero"]) for side in "ab") for p in published)
        assert sorted(product.dense for product in products) == sorted(
            p["dense_per_image"] * found.images for p in published
        )
        assert sum(p.numel() for p in model.parameters()) == (parameters or self.expected["params"])
