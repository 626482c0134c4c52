"""Rows of an account: what one operation is charged, and what one layer of neurons fires, per image."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.analysis.profiles.values import SPIKES, ValueClass


def block_of(name: str) -> str:
    """The part of a model that an operation belongs to: the path up to the first number, or its first component."""
    parts = name.partition(":")[0].removesuffix(" (input)").split(".")
    for i, part in enumerate(parts[:-1]):
        if part.isdigit():
            return ".".join(parts[: i + 1])
    return parts[0]


@dataclass(frozen=True)
class LayerAccount:
    """One synaptic operation, per image over all T steps.

    `flops` are dense multiply-accumulates; `sops` are Eq. 18; `sops_exact` count each nonzero input with
    its true fan-out; `binary` says whether every nonzero of the gating input was 1, `kind` is the class of its values
    (None for what is no operation), `unit` the number of which they are whole multiples, up to `levels` of it.
    `first` says whether it reads the network's input itself. `energy_mj` is None where MACs are charged and the
    hardware has no energy for one.
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
    first: bool = False

    @property
    def block(self) -> str:
        """The part of the model it belongs to, see `block_of`."""
        return block_of(self.name)

    @property
    def spikes(self) -> bool:
        """What gates it is spikes: one value beside zero, both signs of it, or nothing."""
        return self.binary if self.kind is None else self.kind in SPIKES


def none_known(layers: Sequence[LayerAccount]) -> bool:
    """An accounting charged none of them, though some read more than zeros: its rule knows none."""
    return any(layer.sops for layer in layers) and not any(layer.macs or layer.acs for layer in layers)


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

    def rates_over(self, spans: Sequence[tuple[int, int]]) -> list[float | None]:
        """The same over spans of steps, (first, last) counted from 1; None where the layer has no such step."""
        parts = [self.per_step[first - 1 : last] for first, last in spans]
        return [sum(part) / (self.neurons * len(part) or 1.0) if part else None for part in parts]
