"""An Account: one profile seen through one accounting on one hardware. All numbers are per image."""

from dataclasses import asdict, dataclass
from html import escape
from math import isnan
from typing import TYPE_CHECKING, Any

from saformer.analysis.accounting.classes import RealValues, class_shares, real_values
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rows import LayerAccount, NeuronAccount, none_known
from saformer.analysis.profiles.metadata import SCHEMA, DataInfo, ModelInfo, StepsFrom
from saformer.analysis.profiles.origin import Origin
from saformer.analysis.profiles.values import ValueClass

if TYPE_CHECKING:
    import pandas

MJ_PER_PJ = 1e-9


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
class Account:
    """Operations and energy per image under one accounting, with what was run and what was not counted.

    The intervals (`energy_mj_ci95`, `firing_rate_ci95`) have the confidence `ci_level`: 0.95, unless a run that looked
    repeatedly had to widen them. `steps_from` says where T was read, `taken_for` in words what the input is taken for;
    `input_shape` is of one image or recording, without the batch; each is empty where that is not known.
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
    steps_from: StepsFrom | None = None
    taken_for: str = ""
    input_shape: tuple[int, ...] | None = None
    num_classes: int | None = None

    @property
    def classes(self) -> dict[ValueClass, float]:
        """Share of the dense operations by the class of what gates them; those that are 0 left out."""
        return class_shares(self.layers)

    @property
    def real_values(self) -> RealValues | None:
        """What real operands beyond the first layer cost; None where that is no more than 1 % of the energy."""
        return real_values(self.layers, self.energy_mj, self.hardware.ac_pj * MJ_PER_PJ)

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
    def sees_nothing(self) -> bool:
        """The accounting knows none of the operations, see `rows.none_known`."""
        return none_known(self.layers)

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
            f"<b>{escape(self.model.title)}</b> on {escape(self.data.name)}, {self.data.images:,} images, "
            f"T = {self.model.time_steps or 'unknown'}",
            f"<b>{self.energy_mj:.4g}{error} mJ</b> per image "
            f"(accounting {escape(self.accounting)}, on {escape(self.hardware.name)}{level})",
            *(f"note: {escape(note)}" for note in self.notes),
            escape(self.coverage),
        ]
        columns = ["name", "op", "flops", "firing_rate", "kind", "sops", "macs", "acs", "energy_mj"]
        shown = self.to_pandas().reindex(columns=columns)  # an account of no operation has no column at all
        return "<br>".join(lines) + shown.to_html(index=False, float_format=lambda value: f"{value:.4g}")

    def to_json(self) -> dict[str, Any]:
        """The account as the documented JSON object, schema 1: it grows but never renames."""
        real = self.real_values
        return {
            "schema": SCHEMA,
            "model": {
                "name": self.model.name,
                "label": self.model.label,
                "parameters": self.model.parameters,
                "time_steps": self.model.time_steps,
                "time_steps_from": None if self.steps_from is None else str(self.steps_from),
                "checkpoint": self.model.checkpoint,
                "sha256": self.model.sha256,
                "classes": self.num_classes,
            },
            "data": {
                "name": self.data.name,
                "split": self.data.split,
                "images": self.data.images,
                "kind": self.data.kind,
                "taken_for": self.taken_for,
                "shape": None if self.input_shape is None else list(self.input_shape),
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
                "classes": {str(kind): share for kind, share in self.classes.items()},
                "real_values": None if real is None else {**asdict(real), "names": list(real.names)},
            },
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "first": layer.first,
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
