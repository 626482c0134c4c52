"""A network on a data set, as text and as JSON."""

import json
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table

from saformer.reports.format import percent

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model
    from saformer.training import Evaluation


def evaluation_report(found: "Evaluation", model: "Model", data: "Dataset", *, neurons: bool = False) -> RenderableType:
    """Accuracy with its standard error, loss, and on request the firing rate of each layer of neurons."""
    split = f", {data.split} split" if data.split else ""
    error = (found.top1 * (1 - found.top1) / found.images) ** 0.5
    lines = [
        f"{model.config.name}, T = {model.config.time_steps}, on {data.name}{split}: {found.images:,} images",
        f"top-1  {percent(found.top1, decimals=2)} ± {percent(1.96 * error, decimals=2)}  "
        f"({found.right:,} right; 95 % interval over the choice of images)",
    ]
    if found.top5 is not None:
        lines.append(f"top-5  {percent(found.top5, decimals=2)}")
    lines.append(f"loss   {found.loss:.4f} (cross entropy, nats)")
    parts: list[RenderableType] = ["\n".join(lines)]
    if neurons and found.firing_rates:
        table = Table(box=None, pad_edge=False)
        table.add_column("neurons")
        table.add_column("firing rate", justify="right")
        for name, rate in found.firing_rates.items():
            table.add_row(name, percent(rate, decimals=2))
        parts += ["", table]
    return Group(*parts)


def evaluation_json(found: "Evaluation", model: "Model", data: "Dataset") -> str:
    """One object: the model, the data, accuracy as shares from 0 to 1, and firing rates."""
    origin = model.origin
    return (
        json.dumps(
            {
                "schema": 1,
                "model": {
                    "name": model.config.name,
                    "time_steps": model.config.time_steps,
                    "checkpoint": None if origin is None else origin.path.name,
                    "sha256": None if origin is None else origin.sha256,
                },
                "data": {"name": data.name, "split": data.split, "images": found.images, "kind": data.kind},
                "accuracy": {"top1": found.top1, "top5": found.top5},
                "loss": found.loss,
                "neurons": [{"name": name, "firing_rate": rate} for name, rate in found.firing_rates.items()],
            },
            indent=2,
        )
        + "\n"
    )
