"""Published firing rates instead of data: a Profile from a model's shapes and a table of input rates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from saformer.analysis.profiles import SPIKES_OF, FreeArithmetic, Neurons, Operand, Operation, Profile
from saformer.analysis.profiles.metadata import DataInfo
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.origin import NOTHING_RUN, Origin
from saformer.analysis.profiles.values import EVENTS, ValueClass
from saformer.analysis.recording.beforehand.random_spikes import shapes_of
from saformer.analysis.recording.rates.rates_table import Rates, RatesTable
from saformer.errors import InputError
from saformer.models.config import Model

# A Profile holds integers. Over this many virtual images they carry a rate to about 1e-6 of one element.
IMAGES = 1_000_000
_NAMED = 3  # layers that a message names before it counts the others


@dataclass(frozen=True)
class _Given:
    """The share of nonzeros of an operand and the mean of its integers."""

    rate: float
    mean: float


def _times(profile: Profile, images: int) -> Profile:
    """The profile of that many copies of one image, by adding it up; moments are left empty."""
    power = replace(profile, moments=Moments(0, (), ()))
    result: Profile | None = None
    while images:
        if images & 1:
            result = power if result is None else result + power
        images >>= 1
        if images:
            power = power + power
    assert result is not None  # images > 0
    return result


def _neuron(source: str) -> str | None:
    return source.removeprefix(SPIKES_OF) if source.startswith(SPIKES_OF) else None


def _direct(operation: Operation, operand: int) -> list[str]:
    """What a row may call an operand: the operation for its gate, else the neurons whose spikes it is."""
    names = [operation.name] if operation.operands[operand] is operation.gate else []
    neuron = _neuron(operation.sources[operand])
    return names if neuron is None else names + _neuron_names(neuron)


def _neuron_names(neuron: str) -> list[str]:
    return [neuron, neuron.removesuffix("_lif")]


class _Reader:
    """What the table says of each operand, with what it says in vain."""

    def __init__(self, shapes: Profile, table: RatesTable, uniform: float | None, rate_at: str) -> None:
        self._shapes, self._table, self._uniform, self._rate_at = shapes, table, uniform, rate_at
        self._static = shapes.data.kind == "static"
        self.spiking: dict[str, float] = {}
        self.missing: list[str] = []
        self._pooled: list[tuple[str, str]] = []
        self.given = [self._of(operation) for operation in shapes.operations]

    def check(self) -> None:
        """Complain of rows that name nothing, or neurons that no layer reads, and of operations without a rate.

        Raises:
            InputError: as said.
        """
        unused = self._table.unused
        for neuron, reader in self._pooled:
            if rows := [name for name in _neuron_names(neuron) if name in unused]:
                raise InputError(
                    f"the spikes of {rows[0]} are pooled before {reader} reads them: give the rate of that input, in a "
                    f"row {reader}, or charge the rate of the neurons with --rate-at output"
                )
        if unused:
            raise InputError(
                f"{self._shapes.model.name} has no operation or spiking layer called {_list_of(unused)}"
                f"{' that accumulates' if self._table.quantity.of_operations else ''}: see `saformer flops` for its "
                "names"
            )
        if self.missing:
            raise InputError(
                f"no firing rate is given for {_list_of(list(dict.fromkeys(self.missing)))}: "
                "add rows, or a uniform rate for the rest"
            )

    def _of(self, operation: Operation) -> list[_Given | None]:
        """What is given of each operand of an operation; None where nothing says."""
        found: list[_Given | None] = []
        for i, operand in enumerate(operation.operands):
            gates = operand is operation.gate
            neuron = _neuron(operation.sources[i])
            given = self._found(operation, i)
            if given is None and self._uniform is not None and (gates or neuron is not None):
                rate = 1.0 if operation.first and self._static else self._uniform
                given = _Given(rate, rate)
            if given is not None and neuron is not None:
                self.spiking.setdefault(neuron, given.rate)
            elif given is None and gates:
                named = neuron is None or operation.module
                self.missing.append(operation.name if named else str(neuron).removesuffix("_lif"))
            found.append(given)
        return found

    def _found(self, operation: Operation, i: int) -> _Given | None:
        """What a row says of an operand."""
        table, operand = self._table, operation.operands[i]
        if table.quantity.of_operations:
            value = table.find([operation.name]) if operand is operation.gate else None
            return None if value is None else self._of_accumulates(operation, value)
        value = table.find(_direct(operation, i))
        pooled = operand.neurons if operand.neurons != _neuron(operation.sources[i]) else ""
        if pooled and self._rate_at == "output" and (at_neurons := table.find(_neuron_names(pooled))) is not None:
            self.spiking.setdefault(pooled, at_neurons)
            value = at_neurons if value is None else value
        elif pooled:
            self._pooled.append((pooled, operation.name))
        return None if value is None else _Given(min(value, 1.0), value)

    def _of_accumulates(self, operation: Operation, accumulates: float) -> _Given:
        dense = operation.dense / self._shapes.images
        if accumulates > dense:
            raise InputError(
                f"{operation.name} has {dense:,.0f} operations per image, biases left out, and "
                f"{self._table.quantity} gives it {accumulates:,.0f}: mean_spikes is for inputs above 1"
            )
        return _Given(accumulates / dense, accumulates / dense)


def _with_rates(operation: Operation, given: list[_Given | None]) -> Operation:
    """The operation with the nonzeros that these rates stand for; an operand without a rate counts as full."""
    operands = []
    events = operation.dense
    for x, one in zip(operation.operands, given, strict=True):
        operands.append(_at(x, one or _Given(1.0, 1.0)))
        events = events * operands[-1].nonzero // x.elements
    return replace(
        operation,
        operands=tuple(operands),
        events=events,
        effective=events,
        graded=events if all(x.binary for x in operands) else None,
    )


def _at(x: Operand, given: _Given) -> Operand:
    """The operand at a rate; whole multiples and spikes with a mean above their rate hold that many units."""
    there = _whole(x.at(round(given.rate * x.elements)))
    graded = x.kind is ValueClass.GRADED or (given.mean > 1 and x.kind in EVENTS)
    if not graded or given.mean == given.rate <= 1 or there.values is None:
        return there
    unit, most = there.values.unit or 1.0, max(there.values.levels, ceil(given.mean), 2)
    total = round(given.mean * x.elements)
    values = replace(there.values, unit=unit, levels=most, magnitudes=2, total=total, multiples=True)
    return replace(there, ones=0, values=values)


def _whole(x: Operand) -> Operand:
    return x if x.values is None else replace(x, values=replace(x.values, total=round(x.values.total)))


def _neurons(profile: Profile, rates: dict[str, float]) -> tuple[Neurons, ...]:
    """The spiking layers whose rate an operation shows, the same at every step."""
    steps = profile.model.time_steps or 1
    known = []
    for neuron in profile.neurons:
        if neuron.name in rates:
            spikes = round(rates[neuron.name] * neuron.elements)
            share, rest = divmod(spikes, steps)
            known.append(Neurons(neuron.name, neuron.elements, tuple(share + (t < rest) for t in range(steps))))
    return tuple(known)


def _unknown_pool(entry: FreeArithmetic) -> FreeArithmetic:
    """No rate says what a pool reads: spikes count as full."""
    x = entry.operand
    if x is None:
        return entry
    return replace(entry, operand=_whole(x.at(x.elements)))


def _list_of(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def profile_from_rates(
    model: Any,
    rates: Rates | None = None,
    uniform: float | None = None,
    *,
    shapes: Profile | None = None,
    rate_at: str = "input",
    name: str | None = None,
    run: dict[str, Any] | None = None,
) -> Profile:
    """The profile that a network has at given input firing rates, without data or trained weights.

    The operands of a product inside attention are named after the neurons they come from, with or without `_lif`:
    the rows `block.0.attn.q`, `.k` and `.v` set those of `block.0.attn.qk`, `.kv` and `.qkv`. A row with the name of
    the operation itself sets the operand that gates it. An operand that gates nothing and has no row counts as full.

    A mean above 1 makes spikes whole multiples: `integer-spikes` charges the mean, other accountings every input, since
    the share of nonzeros is not known.

    Args:
        model: one of our own architectures, of which only its shapes matter; any module where `shapes` is given.
        rates: from `read_rates`.
        uniform: the rate of every input that `rates` does not name, between 0 and 1. The first layer of a static
            image reads real values: it counts as full.
        shapes: of the model, see `foreign_shapes_of`.
        rate_at: "output": rows may name neurons whose spikes are pooled before a layer reads them.
        name: where the rates are from, for the record.
        run: settings to keep with the numbers.

    Raises:
        InputError: the network does not spike, a row names nothing in it, or an operation has no rate.
    """
    if rates is None and uniform is None:
        raise InputError("give firing rates, or one rate for all layers")
    if uniform is not None and not 0 <= uniform <= 1:
        raise InputError(f"a firing rate is a number from 0 to 1, got {uniform!r}")
    family = model.config.family if isinstance(model, Model) else ""
    shapes = shapes or shapes_of(model)
    read = _Reader(shapes, RatesTable(rates or Rates(()), family), uniform, rate_at)
    read.check()

    many = _times(shapes, IMAGES)
    operations = tuple(_with_rates(o, found) for o, found in zip(many.operations, read.given, strict=True))
    sums = (IMAGES, *(n for o in operations for n in (*(x.nonzero for x in o.operands), o.events)))
    neurons = _neurons(many, read.spiking)
    sources = [f"rates: {name or 'given'}"] if rates is not None else []
    sources += [f"uniform rate {uniform:g}"] if uniform is not None else []
    return replace(
        many,
        data=DataInfo(", ".join(sources), None, many.images, shapes.data.kind),
        operations=operations,
        neurons=neurons,
        free=tuple(_unknown_pool(entry) for entry in many.free),
        unit="batch",
        moments=Moments.of_unit(sums),  # one, hence no variance
        run={**many.run, **(run or {})},
        notes=tuple(_notes(many, neurons, operations)),
        origin=Origin.RATES,
    )


def _notes(many: Profile, neurons: Sequence[Neurons], operations: Sequence[Operation]) -> list[str]:
    """What belongs to numbers that no run gave."""
    notes = [
        f"{NOTHING_RUN}: inputs have the rates given, and no interval; "
        f"{IMAGES:,} images stand for the integers of a mean image",
        "exact events are estimates: spikes count as spread evenly and independently, padding is ignored, and a factor "
        "of a product that no rate was given for counts as full",
    ]
    if above := [o.name for o in operations if (o.gate.total or 0) > o.gate.elements]:
        notes.append(
            f"means above 1 say nothing of how many inputs are zero: {_list_of(above)} count as full where an "
            "accounting charges nonzeros; integer-spikes charges the means"
        )
    if len(neurons) < len(many.neurons):
        notes.append(
            f"{len(many.neurons) - len(neurons)} of {len(many.neurons)} spiking layers are not listed: "
            "their spikes are pooled or added before an operation reads them"
        )
    return notes
