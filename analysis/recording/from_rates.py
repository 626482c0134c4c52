"""Published firing rates instead of data: a Profile from a model's shapes and a table of input rates."""

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from saformer.analysis.profiles import SPIKES_OF, FreeArithmetic, Neurons, Operand, Operation, Profile
from saformer.analysis.profiles.metadata import DataInfo
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.origin import NOTHING_RUN, Origin
from saformer.errors import InputError
from saformer.models.config import BaseConfig, Model
from saformer.neurons import LIF

# A Profile holds integers. Over this many virtual images they carry a rate to about 1e-6 of one element.
IMAGES = 1_000_000
_COLUMNS = ("layer", "input_firing_rate")
_NAMED = 3  # layers that a message names before it counts the others

# Names that authors published rates under, and have since changed in their code.
_RENAMED = {
    "spikingformer": (
        (re.compile(r"^patch_embed\.proj_conv(\d)$"), r"patch_embed.proj\1_conv"),
        (re.compile(r"^patch_embed\.rpe_conv$"), "patch_embed.proj4_conv"),
        (re.compile(r"\.mlp\.fc(\d)_conv$"), r".mlp.mlp\1_conv"),
    )
}

Rates = Sequence[tuple[str, float]]


def read_rates(path: str | Path) -> list[tuple[str, float]]:
    """Layers, or patterns of layers, with their input firing rates, from a CSV file.

    The columns `layer` (a path, or a glob such as `block.*.attn.q_conv`) and `input_firing_rate` (0 to 1) are read;
    others may stand beside them.

    Raises:
        InputError: the file cannot be read, lacks a column, is empty, names a layer twice, or holds something that
            is no rate.
    """
    rates: dict[str, float] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for column in _COLUMNS:
                if column not in (reader.fieldnames or ()):
                    raise InputError(f"rates {path}: there is no column {column!r} in the first line")
            for row in reader:
                layer, text = ((row[column] or "").strip() for column in _COLUMNS)
                where = f"rates {path}, line {reader.line_num}"
                if extra := row.get(None):
                    raise InputError(f"{where}: {len(extra)} more fields than the first line names: quote the commas")
                if not layer:
                    raise InputError(f"{where}: the layer has no name")
                if layer in rates:
                    raise InputError(f"{where}: layer {layer} has a rate already")
                rates[layer] = _rate(text, where)
    except OSError as error:
        raise InputError(f"cannot read the rates {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"rates {path}: this is not a CSV file ({error})") from None
    if not rates:
        raise InputError(f"rates {path}: there is no layer in the file")
    return list(rates.items())


def _rate(text: str, where: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not 0 <= rate <= 1:
        raise InputError(f"{where}: a firing rate is a number from 0 to 1, found {text!r}")
    return rate


class _Table:
    """Rates by name: the name itself before a pattern, a later pattern before an earlier one; remembers what was used.

    `renamed` maps a layer's former names to the present ones.
    """

    def __init__(self, rates: Rates, family: str) -> None:
        self._given = dict(rates)
        self._exact: dict[str, tuple[str, float]] = {}
        self._patterns: list[tuple[str, str, float]] = []
        for name, rate in rates:
            present = name
            for former, now in _RENAMED.get(family, ()):
                present = former.sub(now, present)
            if any(sign in name for sign in "*?["):
                self._patterns.append((name, present, rate))
            else:
                # The present name wins if a file has both.
                self._exact.setdefault(present, (name, rate))
                self._exact[name] = (name, rate)
        self._used: set[str] = set()

    def find(self, names: Sequence[str]) -> float | None:
        """The rate of what goes by any of these names, or None."""
        found = [self._exact[name] for name in names if name in self._exact]
        found += [
            (given, rate)
            for given, present, rate in reversed(self._patterns)
            if any(fnmatchcase(name, pattern) for name in names for pattern in (present, given))
        ]
        if not found:
            return None
        self._used.add(found[0][0])
        return found[0][1]

    @property
    def unused(self) -> list[str]:
        """Rows that no name matched."""
        return [name for name in self._given if name not in self._used]


@contextmanager
def _random_spikes(model: Model, generator: torch.Generator) -> Iterator[None]:
    """Every neuron fires at random, whatever it gets: what follows sees spikes, sums of spikes or means as in use."""

    def drive(_: torch.nn.Module, args: tuple[Tensor, ...]) -> Tensor:
        current = torch.bernoulli(args[0], p=0.5, generator=generator)
        # Far beyond any threshold; the neurons without a current stay at rest.
        return current.masked_fill_(current != 0, 1e6)

    hooks = [m.register_forward_pre_hook(drive) for m in model.modules() if isinstance(m, LIF)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _kind(config: BaseConfig) -> str:
    """What the input counts as: events, or values that are read as they are."""
    return "events" if config.input_kind == "events" else "static"


def _shapes(model: Model) -> Profile:
    """The profile of one image of noise with neurons that fire at random.

    Dense operations and elements are those of any image; where each operand comes from, and whether it holds values
    other than 0 and 1, is that of the architecture and of no trained weight.
    """
    from saformer.analysis.recording.run import profile

    config = model.config
    generator = torch.Generator().manual_seed(0)
    shape = (1, *config.input_shape)
    if config.input_kind == "events":
        image = torch.poisson(torch.full(shape, 2.0), generator=generator)
    elif config.input_kind == "tokens":
        image = torch.randint(0, config.num_classes, shape, generator=generator)
    else:
        image = torch.randn(shape, generator=generator)
    with _random_spikes(model, generator):
        return profile(model, [image], kind=_kind(config), check_flops=False)


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


def _names(operation: Operation, operand: int) -> list[str]:
    """What a row may call an operand: the operation for its gate, else the neurons that it comes from."""
    names = [operation.name] if operation.operands[operand] is operation.gate else []
    neuron = _neuron(operation.sources[operand])
    if neuron is not None:
        names += [neuron, neuron.removesuffix("_lif")]
    return names


def _operand_rates(operation: Operation, table: _Table, uniform: float | None, static: bool) -> list[float | None]:
    """The rate of each operand; None where nothing says."""
    rates: list[float | None] = []
    for i, operand in enumerate(operation.operands):
        found = table.find(_names(operation, i))
        if found is not None:
            rates.append(found)
        elif uniform is None or (operand is not operation.gate and _neuron(operation.sources[i]) is None):
            rates.append(None)
        else:
            rates.append(1.0 if operation.first and static else uniform)
    return rates


def _with_rates(operation: Operation, rates: list[float | None]) -> Operation:
    """The operation with the nonzeros that these rates stand for; an operand without a rate counts as full."""
    operands = []
    events = operation.dense
    for x, rate in zip(operation.operands, rates, strict=True):
        nonzero = round((1.0 if rate is None else rate) * x.elements)
        operands.append(_whole(x.at(nonzero)))
        events = events * nonzero // x.elements
    return replace(
        operation,
        operands=tuple(operands),
        events=events,
        effective=events,
        graded=events if all(x.binary for x in operands) else None,
    )


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
    model: Model,
    rates: Rates | None = None,
    uniform: float | None = None,
    *,
    name: str | None = None,
    run: dict[str, Any] | None = None,
) -> Profile:
    """The profile that a network has at given input firing rates, without data or trained weights.

    The operands of a product inside attention are named after the neurons they come from, with or without `_lif`:
    the rows `block.0.attn.q`, `.k` and `.v` set those of `block.0.attn.qk`, `.kv` and `.qkv`. A row with the name of
    the operation itself sets the operand that gates it. An operand that gates nothing and has no row counts as full.

    Args:
        model: one of our own architectures; only its shapes matter.
        rates: from `read_rates`.
        uniform: the rate of every input that `rates` does not name, between 0 and 1. The first layer of a static
            image reads real values: it counts as full.
        name: where the rates are from, for the record.
        run: settings to keep with the numbers.

    Raises:
        InputError: the network does not spike, a row names nothing in it, or an operation has no rate.
    """
    config = model.config
    if rates is None and uniform is None:
        raise InputError("give firing rates, or one rate for all layers")
    if uniform is not None and not 0 <= uniform <= 1:
        raise InputError(f"a firing rate is a number from 0 to 1, got {uniform!r}")
    if not any(isinstance(module, LIF) for module in model.modules()):
        raise InputError(f"{config.name} has no spiking neurons: no firing rates apply to it")
    table = _Table(rates or (), config.family)
    shapes = _shapes(model)
    operand_rates = [_operand_rates(o, table, uniform, _kind(config) == "static") for o in shapes.operations]
    if table.unused:
        raise InputError(
            f"{config.name} has no operation or spiking layer called {_list_of(table.unused)}: "
            "see `saformer flops` for its names"
        )
    missing: list[str] = []
    spiking: dict[str, float] = {}
    for operation, found in zip(shapes.operations, operand_rates, strict=True):
        for i, (operand, rate) in enumerate(zip(operation.operands, found, strict=True)):
            neuron = _neuron(operation.sources[i])
            if rate is not None and neuron is not None:
                spiking.setdefault(neuron, rate)
            elif rate is None and operand is operation.gate:
                missing.append(operation.name if neuron is None or operation.module else neuron.removesuffix("_lif"))
    if missing:
        raise InputError(
            f"no firing rate is given for {_list_of(list(dict.fromkeys(missing)))}: "
            "add rows, or a uniform rate for the rest"
        )

    many = _times(shapes, IMAGES)
    operations = tuple(_with_rates(o, found) for o, found in zip(many.operations, operand_rates, strict=True))
    sums = (IMAGES, *(n for o in operations for n in (*(x.nonzero for x in o.operands), o.events)))
    neurons = _neurons(many, spiking)
    sources = [f"rates: {name or 'given'}"] if rates is not None else []
    sources += [f"uniform rate {uniform:g}"] if uniform is not None else []
    notes = [
        f"{NOTHING_RUN}: inputs have the rates given, and no interval; "
        f"{IMAGES:,} images stand for the integers of a mean image",
        "exact events are estimates: spikes count as spread evenly and independently, padding is ignored, and a factor "
        "of a product that no rate was given for counts as full",
    ]
    if len(neurons) < len(many.neurons):
        notes.append(
            f"{len(many.neurons) - len(neurons)} of {len(many.neurons)} spiking layers are not listed: "
            "their spikes are pooled or added before an operation reads them"
        )
    return replace(
        many,
        data=DataInfo(", ".join(sources), None, IMAGES, _kind(config)),
        operations=operations,
        neurons=neurons,
        free=tuple(_unknown_pool(entry) for entry in many.free),
        unit="batch",
        # One unit, hence no variance.
        moments=Moments(1, sums, tuple(tuple(a * b for b in sums) for a in sums)),
        run={**many.run, **(run or {})},
        notes=tuple(notes),
        origin=Origin.RATES,
    )
