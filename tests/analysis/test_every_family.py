"""A network of every family enters what is computed of networks: FLOPs, energy, comparisons, maps and formulas."""

import math
from typing import Any

import pytest
import torch
from torch import nn

import saformer
from saformer.analysis import profile
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.complexity.formulas import SYNAPTIC, Sizes, attentions
from saformer.analysis.diagnostics.attention_maps import inspect_image
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.run import dense_operations
from saformer.attention.registry import ATTENTIONS, MAP_PARTS
from saformer.models import Model
from saformer.models.config import example_input
from saformer.reports.results.comparison import comparison_rows
from tests.helpers.small_networks import SMALL

# Those without an attention.
WITHOUT = {"affspikformer", "spikegpt"}


def network(family: str) -> Model:
    """The small network of a family, whose neurons fire."""
    torch.manual_seed(0)
    name, settings = SMALL[family]
    model = saformer.build(name, **settings)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low, high in ((module.weight, 0.5, 1.5), (module.running_var, 0.1, 0.3), (module.bias, 0, 1)):
                if tensor is not None:
                    tensor.data.uniform_(low, high)
    return model


@pytest.mark.parametrize("family", SMALL)
def test_flops_energy_and_comparison(family: str) -> None:
    model = network(family)
    x = example_input(model, random=True)
    rows = dense_operations(model, x)
    assert sum(row.recorder or 0 for row in rows) > 0
    assert all(row.agrees or row.fvcore == 0 for row in rows)  # fvcore drops what no result reads, and padding="same"
    found = profile(model, [x])
    assert found.uncounted == ()
    assert bool(found.neurons) == model.config.spiking
    assert Profile.from_json(found.to_json()) == found
    for rule in ACCOUNTINGS:
        account = found.account(rule)
        # Spikingformer's script charges no layer that has not the names of its own.
        assert (rule == "spikingformer" or account.energy_mj > 0) and math.isfinite(account.energy_mj), rule
        (row,) = comparison_rows([(model.config.name, account)])
        assert math.isnan(row.energy_mj) if account.sees_nothing else row.energy_mj == account.energy_mj


def own_attentions(model: Model) -> dict[str, Any]:
    classes = {entry.module for entry in ATTENTIONS.values()}
    return {path: module for path, module in model.named_modules() if type(module) in classes}


@pytest.mark.parametrize("family", SMALL)
def test_attention_maps_and_formulas(family: str) -> None:
    model = network(family)
    x = example_input(model, random=True)
    found = own_attentions(model)
    assert bool(found) == (family not in WITHOUT and "attention" in model.config.types())
    mapped = [m for m in model.modules() if all(hasattr(type(m), part) for part in MAP_PARTS)]
    assert bool(mapped) == (family not in WITHOUT and "attention" in model.config.types())
    if not mapped:
        return
    maps = inspect_image(model, x).maps
    assert len(maps) == len(mapped) and all(one.values.isfinite().all() for one in maps)

    sizes: dict[str, Sizes] = {}
    steps = model.config.time_steps
    for path, module in found.items():

        def keep(module: Any, args: tuple[torch.Tensor, ...], path: str = path) -> None:
            layouts = [entry.layout for entry in ATTENTIONS.values() if entry.module is type(module)]
            layout = getattr(module, "kind", layouts[0])
            shape = args[0].shape[2:]
            dim, tokens = (shape[1], shape[0]) if layout == "linear" else (shape[0], math.prod(shape[1:]))
            n = getattr(module, "aggregated", None) or getattr(module, "length", 1)
            sizes[path] = Sizes(tokens, dim, n, steps, heads=getattr(module, "heads", 1))

        module.register_forward_pre_hook(keep)
    operations = profile(model, [x]).operations
    for path, module in found.items():
        inside = {
            o.name.removeprefix(f"{path}.").removesuffix("_linear").removesuffix("_conv"): o.dense
            for o in operations
            if o.name.startswith(f"{path}.")
        }
        formulas = [
            {t.name: steps * t.at(sizes[path].values()) for t in attentions()[key].terms if t.part in SYNAPTIC}
            for key, entry in ATTENTIONS.items()
            if entry.module is type(module)
        ]
        assert inside in formulas, path
