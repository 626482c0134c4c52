"""What is measured while a network learns: steps, epochs, firing rates, and the table of them. Needs no torch."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from saformer.errors import InputError
from saformer.files import read_text

#: Below this rate a layer of neurons is called silent, above the other saturated: it tells images hardly apart.
SILENT, SATURATED = 0.001, 0.95

_RATE = "firing_rate."


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step.

    Args:
        epoch: from 1.
        epochs: in all.
        step: from 1, over the whole run.
        steps: in all.
        loss: mean over the images of this epoch so far.
        accuracy: share of them that were classified correctly, as augmented and before the step they led to.
        learning_rate: of this step.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    learning_rate: float


@dataclass(frozen=True)
class Epoch:
    """One epoch of a run.

    Args:
        epoch: from 1.
        epochs: in all.
        loss: mean over the training images.
        accuracy: share of them that were classified correctly, as augmented and while the weights changed.
        test_loss: mean cross entropy over the test images, after the epoch.
        test_accuracy: share of the test images, after the epoch.
        learning_rate: of its last step.
        seconds: it took, the test included.
        firing_rates: spikes per neuron and step on the test images, by layer of neurons.
    """

    epoch: int
    epochs: int
    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float
    learning_rate: float
    seconds: float
    firing_rates: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Every field, ready for JSON, with the layers as a list: their order is that of the network."""
        return {**asdict(self), "firing_rates": list(self.firing_rates.items())}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Epoch":
        """Inverse of `to_dict`."""
        return cls(**{**stored, "firing_rates": dict(stored["firing_rates"])})


_COLUMNS = [entry for entry in fields(Epoch) if entry.name != "firing_rates"]


def extreme_layers(rates: Mapping[str, float]) -> set[str]:
    """Layers of neurons that are silent or saturated."""
    return {name for name, rate in rates.items() if not SILENT <= rate <= SATURATED}


def extremes_text(rates: Mapping[str, float]) -> str:
    """One line that names the silent and the saturated layers among these, or nothing."""
    silent = [name for name, rate in rates.items() if rate < SILENT]
    saturated = [name for name, rate in rates.items() if rate > SATURATED]
    parts = []
    if silent:
        parts.append(f"silent (firing rate below {SILENT:.1%}): {', '.join(silent)}")
    if saturated:
        parts.append(f"saturated (firing rate above {SATURATED:.0%}): {', '.join(saturated)}")
    return "; ".join(parts)


def metrics_text(history: Iterable[Epoch]) -> str:
    """The epochs as CSV: a column for each number, and `firing_rate.LAYER` for each layer of neurons."""
    rows = list(history)
    layers = list(dict.fromkeys(name for epoch in rows for name in epoch.firing_rates))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*(entry.name for entry in _COLUMNS), *(_RATE + name for name in layers)])
    for epoch in rows:
        rates = [epoch.firing_rates.get(name, "") for name in layers]
        writer.writerow([*(getattr(epoch, entry.name) for entry in _COLUMNS), *rates])
    return text.getvalue()


def read_metrics(path: str | Path) -> tuple[Epoch, ...]:
    """The epochs in a file that `metrics_text` filled.

    Raises:
        InputError: the file cannot be read, or is none of these.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise InputError(f"{path} is not a table of epochs: {error}") from None
    epochs = []
    for line, row in enumerate(rows, start=2):
        try:
            values: dict[str, Any] = {entry.name: _NUMBER[entry.name](row[entry.name]) for entry in _COLUMNS}
            rates = {
                name.removeprefix(_RATE): float(value)
                for name, value in row.items()
                if name and name.startswith(_RATE) and value
            }
        except (KeyError, TypeError, ValueError) as error:
            what = f"the column {error} is missing" if isinstance(error, KeyError) else str(error)
            raise InputError(f"{path}, line {line}: {what}; a run writes it anew after each epoch") from None
        epochs.append(Epoch(**values, firing_rates=rates))
    return tuple(epochs)


_NUMBER = {entry.name: int if entry.name in ("epoch", "epochs") else float for entry in _COLUMNS}
