"""Every convention that the options of the commands can reach, on one profile: which of them gives a stated energy?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from saformer.analysis.accounting.hardware import Hardware, load_hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS, DEFAULT_ACCOUNTING, Accounting, Context, Item
from saformer.analysis.profiles import Operation, Profile
from saformer.analysis.profiles.values import EVENTS

# Prices in print: 45 nm CMOS, and one price for every synaptic operation, MACs left out.
_PRICES = ("45nm-fp32", "77fj")


@dataclass(frozen=True)
class Convention:
    """One way of charging a profile.

    Args:
        options: of the commands that reach it, but those that are the default.
        energy_mj: per image.
        unusual: how many options that takes.
    """

    options: tuple[str, ...]
    energy_mj: float
    unusual: int


def conventions(profile: Profile) -> Iterator[Convention]:
    """Accountings, first layer, whole multiples, rates at neurons, one mean rate, parts left out and prices, combined.

    Plugins' accountings are among them. What an option does not change is not counted twice: of equal energies the one
    with the fewest options is yielded, and the simplest come first.
    """
    found: dict[float, Convention] = {}
    for convention in sorted(_all(profile), key=lambda one: one.unusual):
        found.setdefault(float(f"{convention.energy_mj:.12g}"), convention)
    yield from found.values()


def combinations(profile: Profile) -> int:
    """How many combinations of options `conventions` looks at."""
    return sum(1 for _ in _all(profile))


def _all(profile: Profile) -> Iterator[Convention]:
    static = profile.data.kind == "static"
    first_layers = ("repeat", "once") if static else ("repeat", "mac")
    mean = _mean_rate(profile)
    profiles: list[tuple[tuple[str, ...], Profile]] = [((), profile)]
    if mean is not None:
        profiles.append(((f"--uniform-rate {mean:.6g}",), _at(profile, mean)))
    prices = [load_hardware(name) for name in _PRICES]
    for (said, one), name, first_layer, graded, rate_at in product(
        profiles, ACCOUNTINGS, first_layers, (None, "rate", "unroll", "mac"), ("input", "output")
    ):
        context = Context(
            static=static,
            time_steps=one.model.time_steps or 1,
            first_layer=first_layer,
            graded=graded,
            rate_at=rate_at,
            passes=one.passes,
            images=one.images,
            operations={operation.name: operation for operation in one.operations},
            neurons={layer.name: layer for layer in one.neurons},
        )
        options = (
            *said,
            *((f"--accounting {name}",) if name != DEFAULT_ACCOUNTING else ()),
            *((f"--first-layer {first_layer}",) if first_layer != "repeat" else ()),
            *((f"--graded {graded}",) if graded is not None else ()),
            *((f"--rate-at {rate_at}",) if rate_at != "input" else ()),
        )
        yield from _priced(one, ACCOUNTINGS[name], context, options, prices)


def _priced(
    profile: Profile, charge: Accounting, context: Context, options: tuple[str, ...], prices: Sequence[Hardware]
) -> Iterator[Convention]:
    """The same charges with first layer and classifier left out or not, at each price."""
    operations = [charge(operation, context) for operation in profile.operations]
    others: list[Item] = [*profile.free, *profile.neurons]
    beside = [charge(item, context) for item in others]
    parts = _parts(profile.operations)
    for chosen in product((False, True), repeat=len(parts)):
        left = {i for (_, i), leave in zip(parts, chosen, strict=True) if leave}
        kept = [charged for i, charged in enumerate(operations) if i not in left] + beside
        macs, acs = sum(c.macs for c in kept), sum(c.acs for c in kept)
        leave_out = tuple(f"--leave-out {name}" for (name, _), leave in zip(parts, chosen, strict=True) if leave)
        for price in prices:
            hardware = () if price.name == _PRICES[0] else (f"--hardware {price.name}",)
            said = (*options, *leave_out, *hardware)
            energy = (acs * price.ac_pj + macs * (price.mac_pj or 0.0)) / profile.images * 1e-9
            yield Convention(said, energy, len(said))


def _parts(operations: Sequence[Operation]) -> list[tuple[str, int]]:
    """What papers leave out: the layer that reads the input, and the classifier, which is the last one with weights."""
    first = [(o.name, i) for i, o in enumerate(operations) if o.first][:1]
    last = [(o.name, i) for i, o in enumerate(operations) if o.weights and not o.first][-1:]
    return [*first, *last]


def _mean_rate(profile: Profile) -> float | None:
    """The mean of the layers' rates, the layer that reads an image left out; None without a layer that reads events."""
    rates = [o.gate.firing_rate for o in profile.operations if not o.first and o.gate.kind in EVENTS]
    return sum(rates) / len(rates) if rates else None


def _at(profile: Profile, rate: float) -> Profile:
    """The profile with one rate for whatever an operation but the first reads."""

    def changed(operation: Operation) -> Operation:
        if operation.first:
            return operation
        operands = tuple(x.at(round(rate * x.elements)) for x in operation.operands)
        share = rate / operation.gate.firing_rate if operation.gate.firing_rate else 0.0
        events = round(operation.events * share)
        return replace(operation, operands=operands, events=events, effective=operation.effective * share)

    return replace(profile, operations=tuple(changed(operation) for operation in profile.operations), neurons=())
