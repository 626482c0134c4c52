"""Optional: what reading and writing memory costs beside the arithmetic, after Lemaire et al. (ICONIP 2022).

Every layer has memories of its own: one for weights, one for membranes, and a queue of spikes at its input. An access
to a larger memory costs more. A pure function from a Profile: nothing is run again.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

from saformer.analysis.accounting.account import MJ_PER_PJ
from saformer.analysis.accounting.energy import without
from saformer.analysis.accounting.rows import block_of
from saformer.analysis.profiles import Neurons, Operand, Operation, Profile
from saformer.analysis.profiles.values import SPIKES
from saformer.errors import InputError
from saformer.text import nearest


@dataclass(frozen=True)
class MemoryModel:
    """What accesses and addresses cost.

    Args:
        name: what `--memory` calls it.
        title: what it is.
        source: where the formulas and numbers were published.
        word_bytes: bytes of one word: one access reads or writes one.
        fifo_messages: spikes that the queue at a layer's input holds.
        points: size of a memory in bytes and picojoules of one access, by rising size.
        add_pj: one addition of addressing.
        multiply_pj: one multiplication of addressing.
    """

    name: str
    title: str
    source: str
    word_bytes: int
    fifo_messages: int
    points: tuple[tuple[float, float], ...]
    add_pj: float
    multiply_pj: float

    def access_pj(self, words: float) -> float:
        """One access to a memory of so many words: linear between the points, and flat beyond the largest."""
        size = words * self.word_bytes
        for (small, low), (large, high) in pairwise(self.points):
            if size <= large:
                return low + (high - low) * (max(size, small) - small) / (large - small)
        return self.points[-1][1]

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What stands behind the numbers, a sentence each."""
        costs = ", ".join(f"{_bytes(size)} {pj:g} pJ" for size, pj in self.points if size)
        return (
            f"one access moves {8 * self.word_bytes} bits; it costs by the size of the memory: {costs}, linear in "
            "between and flat above",
            "each layer has its own on-chip memories, for weights and for membranes, just large enough; nothing is "
            "cached, shared or fetched from outside the chip",
            f"spikes wait in a queue of {self.fifo_messages:,} messages before each layer: written once, read by each "
            "layer that needs them",
            "an input of spikes, of one height or both signs of it, is handled spike by spike: each event reads a "
            "weight, and reads and writes a membrane; any other input is handled densely, at every step",
            "neurons read and write their membrane once per step; leak and reset need no further access",
            f"addresses are computed with integer additions ({self.add_pj:g} pJ) and multiplications "
            f"({self.multiply_pj:g} pJ)",
            "attention products are not in the paper: here each spike of the gating factor reads its partners of the "
            "other factor, and each pair that meets reads and writes a sum (a mask only writes)",
            "BatchNorm (folded), pools, shortcuts, scaling and softmax access no memory here, so the total is a lower "
            "bound under these assumptions; it has no error bar",
        )


@dataclass(frozen=True)
class MemoryRow:
    """Accesses and their energy of one operation or spiking layer, per image over all time steps.

    `input_reads` are words of input: spikes, and for a product the other factor. `output_writes` are spikes that
    neurons put out, and results of what is handled densely. `address_macs` are a multiplication and an addition each.
    """

    name: str
    op: str
    weight_reads: float = 0.0
    input_reads: float = 0.0
    output_writes: float = 0.0
    membrane_reads: float = 0.0
    membrane_writes: float = 0.0
    address_acs: float = 0.0
    address_macs: float = 0.0
    weights_mj: float = 0.0
    inputs_mj: float = 0.0  # inputs read and outputs written
    membranes_mj: float = 0.0
    addressing_mj: float = 0.0

    @property
    def total_mj(self) -> float:
        """Energy of all accesses and addresses of the row in millijoules."""
        return self.weights_mj + self.inputs_mj + self.membranes_mj + self.addressing_mj

    @property
    def block(self) -> str:
        """The part of the model it belongs to, see `block_of`."""
        return block_of(self.name)


@dataclass(frozen=True)
class MemoryEnergy:
    """What memory costs beside the arithmetic, per image."""

    model: MemoryModel
    rows: tuple[MemoryRow, ...]

    @property
    def total_mj(self) -> float:
        """Energy of all accesses and addresses in millijoules."""
        return self.sum("total_mj")

    def sum(self, what: str) -> float:
        """One field of a row, over all rows."""
        return sum(getattr(row, what) for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """The object `memory` of the JSON output."""
        numbers = [key for key, value in asdict(MemoryRow("", "")).items() if isinstance(value, float)]
        return {
            "model": self.model.name,
            "source": self.model.source,
            "totals": {key: self.sum(key) for key in (*numbers, "total_mj")},
            "layers": [{**asdict(row), "total_mj": row.total_mj} for row in self.rows],
            "assumptions": list(self.model.assumptions),
        }


def memory_model_names() -> list[str]:
    """Names of the memory models that ship with the package."""
    folder = resources.files("saformer.analysis.accounting").joinpath("memory_models")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_memory_model(name: str) -> MemoryModel:
    """The shipped memory model of that name.

    Raises:
        InputError: there is none.
    """
    if name not in memory_model_names():
        known = memory_model_names()
        raise InputError(f"unknown memory model {name!r}{nearest(name, known)}: choose one of {', '.join(known)}")
    file = resources.files("saformer.analysis.accounting").joinpath("memory_models", f"{name}.toml")
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    return MemoryModel(
        name=table["name"],
        title=table["title"],
        source=table["source"],
        word_bytes=table["word_bytes"],
        fifo_messages=table["fifo_messages"],
        points=tuple((float(size), float(pj)) for size, pj in table["access_pj"]),
        add_pj=float(table["address_pj"]["add"]),
        multiply_pj=float(table["address_pj"]["multiply"]),
    )


def memory_energy(
    profile: Profile,
    model: str | MemoryModel = "lemaire",
    first_layer_once: bool = False,
    leave_out: Sequence[str] = (),
) -> MemoryEnergy:
    """What memory costs for one image of a profile.

    Args:
        profile: the recorded integers.
        model: a memory model, or the name of one.
        first_layer_once: the first layer of a static image runs for one step instead of T.
        leave_out: patterns of names of operations that are left out, as of `account_for`.

    Raises:
        InputError: unknown model; a pattern that matches nothing; a profile of an earlier version, which lacks the
            number of weights.
    """
    costs = model if isinstance(model, MemoryModel) else load_memory_model(model)
    profile, _ = without(profile, leave_out)
    events = profile.data.kind == "events"
    # What one memory holds belongs to one image at one step.
    steps = profile.model.time_steps or 1
    held = profile.images * steps
    rows = []
    for operation in profile.operations:
        # Event frames are messages from the sensor, even where two events of a pixel share a frame.
        spikes = events if operation.first else operation.gate.kind in SPIKES
        once = operation.first and first_layer_once and not events
        times = operation.one_step(profile.images, profile.model.time_steps or 1) if once else 1.0
        charge = (_spike_by_spike if spikes else _dense) if len(operation.operands) == 1 else None
        if charge is not None:
            row = charge(operation, costs, held)
        else:
            row = _product(operation, costs, held) if spikes else _dense_product(operation, costs, held)
        rows.append(_scaled(row, times / profile.images))
    rows += [
        _scaled(_neurons(neurons, costs, profile.images * max(len(neurons.per_step), 1)), 1 / profile.images)
        for neurons in profile.neurons
    ]
    return MemoryEnergy(costs, tuple(rows))


Access = tuple[float, float]  # how often, and the words of the memory


def _row(
    costs: MemoryModel,
    item: Operation | Neurons,
    weights: Access = (0, 0),
    inputs: Sequence[Access] = (),
    outputs: Access = (0, 0),
    membrane_reads: Access = (0, 0),
    membrane_writes: Access = (0, 0),
    acs: float = 0,
    macs: float = 0,
) -> MemoryRow:
    def pj(*accesses: Access) -> float:
        return sum(count * costs.access_pj(words) for count, words in accesses) * MJ_PER_PJ

    return MemoryRow(
        name=item.name,
        op=item.op if isinstance(item, Operation) else "neurons",
        weight_reads=weights[0],
        input_reads=sum(count for count, _ in inputs),
        output_writes=outputs[0],
        membrane_reads=membrane_reads[0],
        membrane_writes=membrane_writes[0],
        address_acs=acs,
        address_macs=macs,
        weights_mj=pj(weights),
        inputs_mj=pj(*inputs, outputs),
        membranes_mj=pj(membrane_reads, membrane_writes),
        addressing_mj=(acs * costs.add_pj + macs * (costs.multiply_pj + costs.add_pj)) * MJ_PER_PJ,
    )


def _scaled(row: MemoryRow, factor: float) -> MemoryRow:
    scaled: dict[str, Any] = {k: v if isinstance(v, str) else v * factor for k, v in asdict(row).items()}
    return MemoryRow(**scaled)


def _parameters(operation: Operation) -> int:
    """Words of the memory that holds its weights and bias."""
    if not operation.weights and operation.dense:
        raise InputError(
            f"the profile does not hold the number of weights of {operation.name}: an earlier version recorded it, "
            "record it again for --memory"
        )
    return operation.weights + operation.bias


def _bias_reads(operation: Operation) -> int:
    return operation.outputs if operation.bias else 0


def _is_convolution(operation: Operation) -> bool:
    return operation.op.startswith("conv")


def _spike_by_spike(operation: Operation, costs: MemoryModel, held: int) -> MemoryRow:
    """Eqs. 5, 7-10, 14-17 of the paper, with counted events for its spikes times Cout Hk Wk (or Nout)."""
    spikes, events = operation.gate.nonzero, operation.events
    membranes = operation.outputs / held
    return _row(
        costs,
        operation,
        weights=(events + _bias_reads(operation), _parameters(operation)),
        inputs=[(spikes, costs.fifo_messages)],
        membrane_reads=(events, membranes),
        membrane_writes=(events, membranes),
        acs=events,
        # Where in the output a spike starts to act: a row and a column.
        macs=2 * spikes if _is_convolution(operation) else 0,
    )


def _dense(operation: Operation, costs: MemoryModel, held: int) -> MemoryRow:
    """Eqs. 3, 4, 6, 11 and 12 of the paper: the layer of a network without spikes.

    Of the addresses of a convolution the Cout Hk Wk per image and step are left out: a profile holds no kernel size,
    and next to one address for each input and output they do not matter.
    """
    x = operation.gate
    return _row(
        costs,
        operation,
        weights=(operation.dense + _bias_reads(operation), _parameters(operation)),
        inputs=[(operation.dense if _is_convolution(operation) else x.elements, x.elements / held)],
        outputs=(operation.outputs, operation.outputs / held),
        acs=x.elements + operation.outputs,
    )


def _others(operation: Operation) -> list[Operand]:
    """The factors of a product that do not gate it."""
    gate = operation.gate
    return [x for x in operation.operands if x is not gate] or [gate]


def _product(operation: Operation, costs: MemoryModel, held: int) -> MemoryRow:
    """A product gated by spikes, in the manner of a layer whose weights are the other factor."""
    results = operation.outputs / held
    sums = operation.op == "matmul"  # a mask has one pair for each result: there is nothing to add to
    return _row(
        costs,
        operation,
        inputs=[
            (operation.gate.nonzero, costs.fifo_messages),
            *((operation.sops, other.elements / held) for other in _others(operation)),
        ],
        membrane_reads=(operation.events if sums else 0, results),
        membrane_writes=(operation.events, results),
        acs=operation.sops,
    )


def _dense_product(operation: Operation, costs: MemoryModel, held: int) -> MemoryRow:
    """A product of real values: both factors are read for every multiplication."""
    return _row(
        costs,
        operation,
        inputs=[(operation.dense, x.elements / held) for x in operation.operands],
        outputs=(operation.outputs, operation.outputs / held),
        acs=sum(x.elements for x in operation.operands) + operation.outputs,
    )


def _neurons(neurons: Neurons, costs: MemoryModel, held: int) -> MemoryRow:
    """The second terms of Eqs. 9, 10, 14 and 15, and Eq. 13."""
    membranes = (neurons.elements, neurons.elements / held)
    return _row(
        costs,
        neurons,
        outputs=(neurons.spikes, costs.fifo_messages),
        membrane_reads=membranes,
        membrane_writes=membranes,
    )


def _bytes(size: float) -> str:
    return f"{size / 2**20:g} MB" if size >= 2**20 else f"{size / 2**10:g} kB"
