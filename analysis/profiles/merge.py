"""The sum of two profiles: that of both sets of images together, integer by integer."""

from dataclasses import asdict, replace
from itertools import zip_longest
from typing import Any, TypeVar

from saformer.analysis.profiles.records import SPIKES_OF, Correct, FreeArithmetic, Neurons, RunRecord
from saformer.errors import InputError
from saformer.text import briefly

R = TypeVar("R", bound=RunRecord)

_IMAGES = ("data", "images")  # the one thing that parts differ in
_SAME_RUN = ("dtype", "graded", "confidence")  # settings that decide what the integers mean


def added(ours: R, theirs: R) -> R:
    """See `Profile.__add__`."""
    # T shows in the layers that read spikes, where nobody said, and they may have been silent in one part.
    steps = ours.model.time_steps or theirs.model.time_steps
    first, second = _with_steps(ours, steps), _with_steps(theirs, steps)
    _check_belongs(first, second)
    return _plus(first, second)


def _with_steps(profile: R, steps: int | None) -> R:
    """This profile with T, where it is not known."""
    return profile if profile.model.time_steps else replace(profile, model=replace(profile.model, time_steps=steps))


def _plus(ours: R, theirs: R) -> R:
    """The sum of two that belong together."""
    operations = tuple(
        replace(
            a,
            dense=a.dense + b.dense,
            events=a.events + b.events,
            outputs=a.outputs + b.outputs,
            effective=a.effective + b.effective,
            graded=None if a.graded is None or b.graded is None else a.graded + b.graded,
            operands=tuple(x + y for x, y in zip(a.operands, b.operands, strict=True)),
            executions=a.executions + b.executions,
            first=a.first and b.first,
            summed=a.summed or b.summed,
            constant=a.constant and b.constant,
            sources=tuple(y if y.startswith(SPIKES_OF) else x for x, y in zip(a.sources, b.sources, strict=True)),
        )
        for a, b in zip(ours.operations, theirs.operations, strict=True)
    )
    # What puts out other values than spikes in one part is no layer of neurons, whatever it puts out in the other.
    others = {n.name: n for n in theirs.neurons}
    neurons = tuple(
        Neurons(a.name, a.elements + b.elements, tuple(x + y for x, y in zip(a.per_step, b.per_step, strict=True)))
        for a in ours.neurons
        if (b := others.get(a.name)) is not None
    )
    free: dict[tuple[str, str], FreeArithmetic] = {}
    for entry in (*ours.free, *theirs.free):
        known = free.get((entry.name, entry.op))
        if known is None:
            free[entry.name, entry.op] = entry
            continue
        operand = entry.operand if known.operand is None or entry.operand is None else known.operand + entry.operand
        free[entry.name, entry.op] = replace(
            known,
            elements=known.elements + entry.elements,
            operand=operand,
            foldable=known.foldable and entry.foldable,
        )
    hits = None
    if ours.hits and theirs.hits:
        top5 = None
        if ours.hits.top5 is not None and theirs.hits.top5 is not None:
            top5 = ours.hits.top5 + theirs.hits.top5
        hits = Correct(ours.hits.labelled + theirs.hits.labelled, ours.hits.top1 + theirs.hits.top1, top5)
    return replace(
        ours,
        data=replace(ours.data, images=ours.images + theirs.images),
        operations=operations,
        neurons=neurons,
        free=tuple(free.values()),
        uncounted=tuple(dict.fromkeys((*ours.uncounted, *theirs.uncounted))),
        hits=hits,
        moments=ours.moments + theirs.moments,
        passes=ours.passes + theirs.passes,
        run=_both_runs(ours.run, theirs.run),
        notes=tuple(dict.fromkeys((*ours.notes, *theirs.notes))),
    )


def _check_belongs(ours: RunRecord, theirs: RunRecord) -> None:
    """Raise InputError unless the two are of the same model, data and kind of run; it names what differs."""
    pairs: list[tuple[str, Any, Any]] = []
    for of, mine, its in (
        ("model", asdict(ours.model), asdict(theirs.model)),
        ("data", asdict(ours.data), asdict(theirs.data)),
    ):
        pairs += [(f"{of}.{key}", mine[key], its[key]) for key in mine if (of, key) != _IMAGES]
    pairs += [(f"run.{key}", ours.run.get(key), theirs.run.get(key)) for key in _SAME_RUN]
    pairs.append(("the unit of the variance", ours.unit, theirs.unit))
    for kind, our_names, their_names in (
        ("operation", _shape(ours), _shape(theirs)),
        ("pool", [f"{f.name}, {f.op}" for f in ours.pools], [f"{f.name}, {f.op}" for f in theirs.pools]),
    ):
        pairs += [(f"{kind} {i}", a, b) for i, (a, b) in enumerate(zip_longest(our_names, their_names), 1)]
    steps = {n.name: len(n.per_step) for n in theirs.neurons}
    pairs += [
        (f"the number of time steps of {n.name}", len(n.per_step), steps[n.name])
        for n in ours.neurons
        if n.name in steps
    ]
    pairs.append(("the number of counters", len(ours.moments.sums), len(theirs.moments.sums)))
    # Earlier versions kept the products of all pairs, however many.
    kept = ["pairs" if profile.moments.groups is None else "groups" for profile in (ours, theirs)]
    pairs.append(("what its spread is kept in", kept[0], kept[1]))
    for what, mine, its in pairs:
        if mine != its:
            raise InputError(
                f"the two profiles cannot be added: {what} is {briefly(mine)} in one, {briefly(its)} in the other"
            )


def _shape(profile: RunRecord) -> list[str]:
    return [f"{o.name}, {o.op} of {len(o.operands)}, {o.weights} + {o.bias} weights" for o in profile.operations]


def _both_runs(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """The record of both runs: what differs, such as the device, becomes a list of both values."""
    merged = dict(ours)
    for key, value in theirs.items():
        if key not in ours or ours[key] == value:
            merged[key] = value
            continue
        mine = ours[key] if isinstance(ours[key], list) else [ours[key]]
        merged[key] = [*mine, *(v for v in (value if isinstance(value, list) else [value]) if v not in mine)]
    return merged
