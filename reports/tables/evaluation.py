"""A network on a data set: accuracy, loss and firing rates."""

from math import isnan, log
from typing import TYPE_CHECKING

from saformer.analysis.statistics.shares import wilson
from saformer.reports.document.blocks import Line, Part, Report
from saformer.reports.document.numbers import NOT_KNOWN, percent
from saformer.reports.document.table import Column, Table, number

if TYPE_CHECKING:
    from saformer.analysis.profiles import ModelInfo
    from saformer.data.dataset import Dataset
    from saformer.training import Evaluation


def evaluation_report(found: "Evaluation", model: "ModelInfo", data: "Dataset", *, neurons: bool = False) -> Report:
    """Accuracy with its 95 % interval, loss, and on request the firing rate of each layer of neurons.

    Of tokens, accuracy and loss are those of the positions, and the loss is given in bits per character, too.

    As JSON one object: the model, the data, accuracy as shares from 0 to 1, and firing rates.
    """
    split = f", {data.split} split" if data.split else ""
    low, high = wilson(found.top1, found.labelled)
    title = f"{model.title}, T = {model.time_steps or NOT_KNOWN}, on {data.name}{split}: {found.images:,} {data.unit}"
    tokens = data.kind == "tokens"
    right = f"{found.right:,} right" + (f" of {found.labelled:,} positions" if tokens else "")
    choice = "if positions were independent" if tokens else "over the choice of images"
    between = f"{percent(low, decimals=2)} to {percent(high, decimals=2)}, {right}; 95 % interval {choice}"
    rows = [["top-1", percent(found.top1, decimals=2), between]]
    if found.top5 is not None:
        rows.append(["top-5", percent(found.top5, decimals=2), ""])
    if not isnan(found.loss):
        rows.append(["loss", f"{found.loss:.4f}", "cross entropy, nats"])
    bits = found.loss / log(2) if tokens and not isnan(found.loss) else None
    if bits is not None:
        rows.append(["bits per character", f"{bits:.4f}", "the loss / ln 2; of text a character is a byte"])
    parts: list[Part] = [Table(title, [Column("measure"), number("value", write=str), Column("remark")], rows)]
    if neurons and found.firing_rates:
        columns = [Column("spiking layer", key="layer"), number("rate", key="firing_rate", write=_hundredths)]
        rates = [[name, rate] for name, rate in found.firing_rates.items()]
        parts += [Line(), Table("Firing rates", columns, rates, quiet=True)]
    document = {
        "schema": 1,
        "model": {
            "name": model.name,
            "label": model.label,
            "time_steps": model.time_steps,
            "checkpoint": model.checkpoint,
            "sha256": model.sha256,
        },
        "data": {"name": data.name, "split": data.split, "images": found.images, "kind": data.kind},
        **({"labelled": found.labelled, "bits_per_character": bits} if tokens else {}),
        "accuracy": {"top1": found.top1, "top5": found.top5},
        "loss": None if isnan(found.loss) else found.loss,
        "neurons": [{"name": name, "firing_rate": rate} for name, rate in found.firing_rates.items()],
    }
    return Report(parts, document)


def _hundredths(rate: float) -> str:
    return percent(rate, decimals=2)
