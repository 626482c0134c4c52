"""Is a network spike-driven? Every input that is no spikes, where it comes from, and what the equations leave out."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Unpack

from saformer.analysis.accounting.account import MJ_PER_PJ, LayerAccount, coverage
from saformer.analysis.accounting.classes import gate_class
from saformer.analysis.accounting.energy import Choices, without
from saformer.analysis.accounting.hardware import DEFAULT_HARDWARE, Hardware, load_hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.profiles import FreeArithmetic, Operation, Profile, ValueClass
from saformer.analysis.profiles.chains import Chain, chains_of
from saformer.analysis.profiles.records import RESULT_OF
from saformer.analysis.profiles.values import EVENTS, SPIKES


@dataclass(frozen=True)
class NotBinary:
    """An operation whose gating input is no spikes: whole multiples, averages, or real values.

    Args:
        name: of the operation.
        op: what it is.
        source: the operation whose result the input is.
        cause: the same in words.
        firing_rate: nonzero share of the input.
        shares: of the energy, under each accounting.
        kind: the class of the values of the input.
        unit: of which they are whole multiples; None where they are none.
        levels: the largest multiple; None where there is no unit.
        charged: "MACs", "ACs", both or nothing, under each accounting.
    """

    name: str
    op: str
    source: str
    cause: str
    firing_rate: float
    shares: dict[str, float]
    kind: ValueClass
    unit: float | None
    levels: int | None
    charged: dict[str, str]


@dataclass(frozen=True)
class LeftOut:
    """Arithmetic that Eqs. 18-20 do not charge, summed over the network.

    Args:
        what: which arithmetic.
        places: in how many modules.
        elements: results per image (of pools and means: elements read).
        cost: what one element is taken to cost, in words.
        energy_mj: per image; None if the hardware lacks the energy for it.
    """

    what: str
    places: int
    elements: float
    cost: str
    energy_mj: float | None


@dataclass(frozen=True)
class Audit:
    """The verdict on a network, with the operations and the arithmetic behind it; energies in millijoules per image."""

    spike_driven: bool
    verdict: str
    operations: int
    not_binary: tuple[NotBinary, ...]
    left_out: tuple[LeftOut, ...]
    energy_mj: float
    uncounted: tuple[str, ...]
    ternary: tuple[str, ...] = ()
    chains: tuple[Chain, ...] = ()

    @property
    def coverage(self) -> str:
        """What was not counted, in one line."""
        return coverage(self.operations, self.uncounted)

    def to_json(self) -> dict[str, Any]:
        """The audit as plain data."""
        plain = asdict(self)
        for item in plain["not_binary"]:
            item["class"] = str(item.pop("kind"))
        return {"schema": 1, **plain}


def audit(profile: Profile, hardware: str | Hardware = DEFAULT_HARDWARE, **choices: Unpack[Choices]) -> Audit:
    """Audit a profile.

    A network is spike-driven where every operation has an input of spikes: of one value beside zero, of both signs of
    it, or silent. A static image is real-valued, and Eq. 19 charges its first layer MACs; so operations that read a
    static image itself do not count against a network.

    Args:
        profile: the recorded integers.
        hardware: for the costs, a table or the name or path of one.
        choices: what the accountings leave open, as of `account_for`.
    """
    table = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    static = profile.data.kind == "static"
    accounts = {name: profile.account(name, table, **choices) for name in ACCOUNTINGS}
    rows = {name: {row.name: row for row in account.layers} for name, account in accounts.items()}
    profile, _ = without(profile, choices.get("leave_out", ()))
    total, dense = len(profile.operations), sum(o.dense for o in profile.operations)
    found = []
    for operation in profile.operations:
        if any(x.kind in SPIKES for x in operation.operands):
            continue
        gate, kind = operation.gate, gate_class(operation, static)
        charges = {name: of.get(operation.name) for name, of in rows.items()}
        shares = {
            name: (row.energy_mj or 0.0) / accounts[name].energy_mj if row and accounts[name].energy_mj else 0.0
            for name, row in charges.items()
        }
        source = _source(operation)
        found.append(
            NotBinary(
                operation.name,
                operation.op,
                source,
                _cause(source, profile.data.kind, kind),
                gate.firing_rate,
                shares,
                kind,
                gate.unit,
                gate.levels,
                {name: _charged(row) for name, row in charges.items()},
            )
        )
    image = {o.name for o in profile.operations if static and o.first}
    offending = [item for item in found if item.name not in image]
    readers = sum(item.name in image for item in found)
    read = {x.kind for o in profile.operations for x in o.operands} & {*EVENTS} - {ValueClass.SILENT}
    spikes = bool(profile.neurons) or bool(read)
    if not spikes:
        verdict = "not spike-driven: the network has no spiking neurons"
    elif not offending:
        exception = {0: "", 1: ", except the first, which reads the image"}.get(
            readers, f", except the {readers} that read the image"
        )
        verdict = f"spike-driven: every operation has an input of spikes{exception}"
    else:
        by_name = {o.name: o.dense for o in profile.operations}
        share = sum(by_name[item.name] for item in offending) / dense if dense else 0.0
        verdict = (
            f"not spike-driven: {len(offending)} of {total} operations, {share:.1%} of the dense "
            "multiply-accumulates, have an input that is not spikes"
        )
    return Audit(
        spike_driven=spikes and not offending,
        verdict=verdict,
        operations=total,
        not_binary=tuple(found),
        left_out=tuple(_left_out(profile, table)),
        energy_mj=accounts["paper"].energy_mj,
        uncounted=profile.uncounted,
        ternary=tuple(o.name for o in profile.operations if o.gate.kind is ValueClass.TERNARY),
        chains=tuple(chains_of(profile)),
    )


def _charged(row: LayerAccount | None) -> str:
    kinds = [] if row is None else [kind for kind, count in (("MACs", row.macs), ("ACs", row.acs)) if count]
    return " and ".join(kinds) or "nothing"


def _source(operation: Operation) -> str:
    if operation.gating < len(operation.sources):
        return operation.sources[operation.gating]
    return operation.sources[0] if operation.sources else "unknown"


def _cause(source: str, data: str, kind: ValueClass) -> str:
    """In words, what made the values."""
    op, _, where = source.partition(" in ")
    where = f" ({where})" if where else ""
    if source == "the input":
        return "the event frame holds counts" if data == "events" else "the image itself"
    what = "real values" if kind is ValueClass.REAL else "spikes"
    if op in ("add", "add_"):
        return f"a shortcut that added {what}{where}"
    if "avg_pool" in op or op in ("mean", "sum"):
        return f"averaging or summing of {what}{where}"
    if source.startswith(RESULT_OF):
        return f"{source}, no neuron between"
    return f"{op}{where}"


# What one element costs: words, and picojoules of a hardware table (None where it has no such energy).
_Cost = tuple[str, Callable[[Hardware], float | None]]
_ADD: _Cost = ("1 AC", lambda h: h.ac_pj)
_SCALE: _Cost = ("1 multiplication", lambda h: h.multiply_pj if h.multiply_pj is not None else h.mac_pj)
_NORM: _Cost = ("1 MAC", lambda h: h.mac_pj)
_NEURON: _Cost = (
    "1 MAC to charge and leak, 1 AC to compare",
    lambda h: None if h.mac_pj is None else h.mac_pj + h.ac_pj,
)


def _kind(entry: FreeArithmetic) -> tuple[str, _Cost] | None:
    """What a piece of free arithmetic is, and its cost; None for what costs nothing on spikes or is folded."""
    op = entry.op.rstrip("_")
    if "batch_norm" in op:
        return None if entry.foldable else ("BatchNorm that cannot be folded", _NORM)
    if "max_pool" in op:
        binary = entry.operand is not None and entry.operand.binary
        return None if binary else ("max pooling of membranes", _ADD)
    if "avg_pool" in op or op == "mean":
        return "averaging", _ADD
    if op in ("add", "sub", "sum"):
        return "shortcuts and sums", _ADD
    if op in ("mul", "div"):
        return "scaling", _SCALE
    if op in ("where", "masked_fill"):
        return None  # one value or the other: nothing is computed
    if op.startswith(("logical_", "bitwise_")):
        return "logic on spikes", _ADD
    return f"{op}", _NORM


def _left_out(profile: Profile, hardware: Hardware) -> list[LeftOut]:
    groups: defaultdict[str, tuple[_Cost, list[tuple[str, int]]]] = defaultdict(lambda: (_ADD, []))
    for entry in profile.free:
        kind = _kind(entry)
        if kind is not None:
            what, cost = kind
            elements = entry.operand.elements if entry.operand is not None else entry.elements
            groups[what] = (cost, [*groups[what][1], (entry.name, elements)])
    if profile.neurons:
        groups["neuron updates"] = (_NEURON, [(neuron.name, neuron.elements) for neuron in profile.neurons])
    result = []
    for what, ((words, picojoules), members) in groups.items():
        per_image = sum(count for _, count in members) / profile.images
        each = picojoules(hardware)
        energy = None if each is None else per_image * each * MJ_PER_PJ
        result.append(LeftOut(what, len({name for name, _ in members}), per_image, words, energy))
    return sorted(result, key=lambda item: -(item.energy_mj or 0.0))
