"""An Account: one profile seen through one accounting on one hardware. All numbers are per image."""

from dataclasses import asdict, dataclass
from html import escape
from math import isnan
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.profiles.metadata import SCHEMA, DataInfo, ModelInfo
from saformer.analysis.profiles.origin import Origin
from saformer.analysis.profiles.values import ValueClass

if TYPE_CHECKING:
    import pandas

MJ_PER_PJ = 1e-9


def block_of(name: str) -> str:
    """The part of a model that an operation belongs to: the path up to the first number, or its first component."""
    parts = name.partition(":")[0].removesuffix(" (input)").split(".")
    for i, part in enumerate(parts[:-1]):
        if part.isdigit():
            return ".".join(parts[: i + 1])
    return parts[0]


def coverage(operations: int, uncounted: tuple[str, ...]) -> str:
    """What was not counted, in one line: operators by name; or that nothing was left out; or that nothing was there."""
    if uncounted:
        return f"not counted: {', '.join(uncounted)}"
    return "every operation was counted" if operations else "there was no operation to count"


@dataclass(frozen=True)
class Accuracy:
    """Share of images whose label is the first, or among the first five, predictions (0 to 1)."""

    top1: float
    top5: float | None


@dataclass(frozen=True)
class LayerAccount:
    """One synaptic operation, per image over all T steps.

    `flops` are dense multiply-accumulates; `sops` are Eq. 18; `sops_exact` count each nonzero input with
    its true fan-out; `binary` says whether every nonzero of the gating input was 1, `kind` is the class of its values
    (None for what is no operation), `unit` the number of which they are whole multiples, up to `levels` of it.
    `energy_mj` is None where MACs are charged and the hardware has no energy for one.
    """

    name: str
    op: str
    flops: float
    input_elements: float
    input_nonzero: float
    firing_rate: float
    binary: bool
    sops: float
    sops_exact: float
    macs: float
    acs: float
    energy_mj: float | None
    firing_rate_ci95: float | None = None
    kind: ValueClass | None = None
    unit: float | None = None
    levels: int | None = None

    @property
    def block(self) -> str:
        """The part of the model it belongs to, see `block_of`."""
        return block_of(self.name)


@dataclass(frozen=True)
class NeuronAccount:
    """One spiking layer, per image: neurons times T, spikes, and spikes at each of the T steps."""

    name: str
    elements: float
    spikes: float
    firing_rate: float
    per_step: tuple[float, ...]

    @property
    def neurons(self) -> float:
        """How many neurons the layer has: `elements` counts each once for each time step."""
        return self.elements / len(self.per_step) if self.per_step else float("nan")

    @property
    def rate_per_step(self) -> tuple[float, ...]:
        """Share of the neurons that fire at each time step."""
        return tuple(spikes / self.neurons if self.neurons else 0.0 for spikes in self.per_step)


@dataclass(frozen=True)
class Account:
    """Operations and energy per image under one accounting, with what was run and what was not counted.

    The intervals (`energy_mj_ci95`, `firing_rate_ci95`) have the confidence `ci_level`: 0.95, unless a run that looked
    repeatedly had to widen them.
    """

    model: ModelInfo
    data: DataInfo
    accounting: str
    hardware: Hardware
    accuracy: Accuracy | None
    layers: tuple[LayerAccount, ...]
    neurons: tuple[NeuronAccount, ...]
    energy_mj_ci95: float | None
    ci_unit: str | None
    uncounted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ci_level: float | None = None
    origin: Origin = Origin.MEASURED

    @property
    def coverage(self) -> str:
        """What was not counted, in one line."""
        return coverage(len(self.layers), self.uncounted)

    @property
    def flops(self) -> float:
        """Dense multiply-accumulates per image, over all time steps."""
        return sum(layer.flops for layer in self.layers)

    @property
    def macs(self) -> float:
        """Operations charged as multiply-accumulates, per image."""
        return sum(layer.macs for layer in self.layers)

    @property
    def acs(self) -> float:
        """Operations charged as accumulates, per image."""
        return sum(layer.acs for layer in self.layers)

    @property
    def sops(self) -> float:
        """Synaptic operations per image (Eq. 18)."""
        return sum(layer.sops for layer in self.layers)

    @property
    def energy_mj(self) -> float:
        """Energy per image in millijoules (Eqs. 19-20 under the accounting `paper`).

        The sum over the operations that have an energy on this hardware; NaN if there are operations and none has.
        """
        known = [layer.energy_mj for layer in self.layers if layer.energy_mj is not None]
        return sum(known) if known or not self.layers else float("nan")

    @property
    def macs_not_covered(self) -> float:
        """MACs per image that are in no energy, because the hardware has none for a MAC."""
        return sum(layer.macs for layer in self.layers if layer.energy_mj is None)

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per operation, with its block; numbers per image, energies in millijoules."""
        import pandas

        rows = [{"name": layer.name, "block": layer.block, **asdict(layer)} for layer in self.layers]
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        """The account in a notebook: what was run, the total, and a table of operations."""
        error = "" if self.energy_mj_ci95 is None else f" ± {self.energy_mj_ci95:.3g}"
        level = "" if self.ci_level is None else f", {100 * self.ci_level:.4g} % interval"
        lines = [
            f"<b>{escape(self.model.name)}</b> on {escape(self.data.name)}, {self.data.images:,} images, "
            f"T = {self.model.time_steps or 'unknown'}",
            f"<b>{self.energy_mj:.4g}{error} mJ</b> per image "
            f"(accounting {escape(self.accounting)}, on {escape(self.hardware.name)}{level})",
            *(f"note: {escape(note)}" for note in self.notes),
            escape(self.coverage),
        ]
        columns = ["name", "op", "flops", "firing_rate", "binary", "sops", "macs", "acs", "energy_mj"]
        shown = self.to_pandas().reindex(columns=columns)  # an account of no operation has no column at all
        return "<br>".join(lines) + shown.to_html(index=False, float_format=lambda value: f"{value:.4g}")

    def to_json(self) -> dict[str, Any]:
        """The account as the documented JSON object, schema 1: it grows but never renames."""
        return {
            "schema": SCHEMA,
            "model": {
                "name": self.model.name,
                "parameters": self.model.parameters,
                "time_steps": self.model.time_steps,
                "checkpoint": self.model.checkpoint,
                "sha256": self.model.sha256,
            },
            "data": {
                "name": self.data.name,
                "split": self.data.split,
                "images": self.data.images,
                "kind": self.data.kind,
            },
            "accounting": self.accounting,
            "hardware": {
                "name": self.hardware.name,
                "mac_pj": self.hardware.mac_pj,
                "ac_pj": self.hardware.ac_pj,
            },
            "accuracy": None if self.accuracy is None else {"top1": self.accuracy.top1, "top5": self.accuracy.top5},
            "totals": {
                "flops": self.flops,
                "macs": self.macs,
                "acs": self.acs,
                "sops": self.sops,
                "energy_mj": None if isnan(self.energy_mj) else self.energy_mj,
                "energy_mj_ci95": self.energy_mj_ci95,
                "ci_unit": self.ci_unit,
                "ci_level": self.ci_level,
                "macs_not_covered": self.macs_not_covered,
            },
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "flops": layer.flops,
                    "input_elements": layer.input_elements,
                    "input_nonzero": layer.input_nonzero,
                    "firing_rate": layer.firing_rate,
                    "firing_rate_ci95": layer.firing_rate_ci95,
                    "binary": layer.binary,
                    "class": None if layer.kind is None else str(layer.kind),
                    "unit": layer.unit,
                    "levels": layer.levels,
                    "sops": layer.sops,
                    "sops_exact": layer.sops_exact,
                    "macs": layer.macs,
                    "acs": layer.acs,
                    "energy_mj": layer.energy_mj,
                }
                for layer in self.layers
            ],
            "neurons": [
                {
                    "name": neuron.name,
                    "elements": neuron.elements,
                    "spikes": neuron.spikes,
                    "firing_rate": neuron.firing_rate,
                    "per_step": list(neuron.per_step),
                }
                for neuron in self.neurons
            ],
            "uncounted": list(self.uncounted),
            "notes": list(self.notes),
        }


def relative_difference(current: float, ours: float) -> float:
    """Eq. 21: (M_current - M_ours) / M_current. Positive means that ours is lower; NaN when current is 0."""
    return (current - ours) / current if current else float("nan")
