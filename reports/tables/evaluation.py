"""A network on a data set: accuracy, loss and firing rates."""

from typing import TYPE_CHECKING

from saformer.analysis.statistics.shares import wilson
from saformer.reports.document.blocks import Line, Part, Report
from saformer.reports.document.numbers import percent
from saformer.reports.document.table import Column, Table, number

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset
    from saformer.models import Model
    from saformer.training import Evaluation


def evaluation_report(found: "Evaluation", model: "Model", data: "Dataset", *, neurons: bool = False) -> Report:
    """Accuracy with its 95 % interval, loss, and on request the firing rate of each layer of neurons.

    As JSON one object: the model, the data, accuracy as shares from 0 to 1, and firing rates.
    """
    split = f", {data.split} split" if data.split else ""
    low, high = wilson(found.right / found.images, found.images)
    title = f"{model.config.name}, T = {model.config.time_steps}, on {data.name}{split}: {found.images:,} images"
    between = f"{percent(low, decimals=2)} to {percent(high, decimals=2)}, {found.right:,} right"
    rows = [["top-1", percent(found.top1, decimals=2), f"{between}; 95 % interval over the choice of images"]]
    if found.top5 is not None:
        rows.append(["top-5", percent(found.top5, decimals=2), ""])
    rows.append(["loss", f"{found.loss:.4f}", "cross entropy, nats"])
    parts: list[Part] = [Table(title, [Column("measure"), number("value", write=str), Column("remark")], rows)]
    if neurons and found.firing_rates:
        columns = [Column("spiking layer", key="layer"), number("rate", key="firing_rate", write=_hundredths)]
        rates = [[name, rate] for name, rate in found.firing_rates.items()]
        parts += [Line(), Table("Firing rates", columns, rates, quiet=True)]
    origin = model.origin
    document = {
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
    }
    return Report(parts, document)


def _hundredths(rate: float) -> str:
    return percent(rate, decimals=2)
