"""What the integers of a sound profile have in common; those of a file that was cut or edited seldom have it."""

from collections.abc import Iterable
from itertools import chain
from math import prod
from typing import Any

from saformer.analysis.profiles.groups import GROUPS, Groups
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.records import Operand, Operation, RunRecord
from saformer.errors import InputError

_MOST_LEVELS = 2**17  # multiples of a unit that are told apart (`common_unit`)


def check(profile: RunRecord) -> None:
    """Raise InputError where integers contradict each other; it says which."""
    hits, operations, neurons = profile.hits, profile.operations, profile.neurons
    read = [*(x for o in operations for x in o.operands), *(f.operand for f in profile.pools if f.operand)]
    counts = (
        ("the number of images", profile.images >= 1),
        ("elements, nonzeros and ones", all(x.ones <= x.nonzero <= x.elements for x in read)),
        ("the values of operands", all(map(_values_possible, read))),
        ("events", all(map(_events_possible, operations))),
        ("sources", all(len(o.sources) in (0, len(o.operands)) for o in operations)),
        ("names", _distinct(o.name for o in operations) and _distinct(n.name for n in neurons)),
        ("the kind of data", profile.data.kind in ("static", "events")),
        ("time steps", profile.model.time_steps is None or profile.model.time_steps >= 1),
        ("forward passes", 1 <= profile.passes <= profile.images),
        ("the confidence", 0 < _share(profile.run.get("confidence", 0.95)) < 1),
        ("spikes", all(n.spikes <= n.elements for n in neurons)),
        ("hits", hits is None or hits.top1 <= (hits.labelled if hits.top5 is None else hits.top5)),
        ("labels", hits is None or (hits.top5 or 0) <= hits.labelled <= profile.images * _positions(profile)),
    )
    for what, consistent in chain(counts, _moments(profile)):  # the sums of what has the right size alone
        if not consistent:
            raise InputError(f"the profile's integers contradict each other in {what}: it was cut or edited")


def _positions(profile: RunRecord) -> int:
    """Labels that a sample may have: one, or of tokens one for each of a sequence."""
    shape, whole = profile.run.get("input_shape"), str(profile.run.get("dtype")).startswith("int")
    return shape[0] if whole and isinstance(shape, list) and len(shape) == 1 and type(shape[0]) is int else 1


def _values_possible(x: Operand) -> bool:
    """Each nonzero is a multiple of the unit, by 1 at least and by the largest at most."""
    values = x.values
    if values is None or values.unit is None or values.provenance == "real":  # the recorder does not look at these
        return True
    return values.levels >= 1 and x.nonzero <= values.total <= x.nonzero * values.levels


def _events_possible(o: Operation) -> bool:
    """Nonzeros make the events, at most every dense operation is one, and an event is of so many units at most."""
    levels = prod(_MOST_LEVELS if x.values is None or x.values.unit is None else x.values.levels for x in o.operands)
    return (
        bool(o.operands)
        and o.effective <= o.events <= o.dense
        and (not o.events or all(x.nonzero for x in o.operands))
        and not (o.dense and not (o.outputs and all(x.elements for x in o.operands)))
        and (o.graded is None or o.events <= o.graded <= o.events * levels)
    )


def _moments(profile: RunRecord) -> Iterable[tuple[str, bool]]:
    """What `check` asks of the sums over units."""
    moments, per_image = profile.moments, profile.unit == "image"
    counters = [nonzero for o in profile.operations for nonzero in (*(x.nonzero for x in o.operands), o.events)]
    pools = [f.operand.nonzero for f in profile.pools if f.operand]
    whole, size = (profile.images, *counters, *pools), len(moments.sums)
    yield (
        "the sums of its counters",
        moments.sums in (whole, whole[: len(counters) + 1]),
    )  # no pools in earlier versions
    yield "its unit", profile.unit in ("image", "batch")
    units = moments.units
    yield "the number of units", units == profile.images if per_image else 1 <= units <= profile.images
    if moments.groups is None:
        yield "the size of its products", len(moments.gram) == size and all(len(row) == size for row in moments.gram)
        yield "its products", _products_possible(moments, per_image)
    else:
        groups = moments.groups
        rows = (groups.squares, groups.cross, *(row[1:] for row in groups.rows))
        yield "the size of its groups", all(len(row) == size for row in rows)
        yield "its groups", _groups_possible(groups, moments, per_image)


def _products_possible(moments: Moments, per_image: bool) -> bool:
    """Whether counters can have these sums and products: no variance is negative, no correlation beyond 1."""
    gram, sums, units = moments.gram, moments.sums, moments.units
    diagonal = [gram[i][i] for i in range(len(gram))]
    return (
        all(units * square >= total**2 for square, total in zip(diagonal, sums, strict=True))
        and (not per_image or gram[0] == sums)
        and all(
            v**2 <= a * b for a, row in zip(diagonal, gram, strict=True) for b, v in zip(diagonal, row, strict=True)
        )
    )


def _groups_possible(groups: Groups, moments: Moments, per_image: bool) -> bool:
    """Whether units and counters add up to these sums, with as many groups as there must be."""
    rows, units, sums = groups.rows, moments.units, moments.sums
    return (
        len(rows) == min(units, GROUPS)
        and (units > GROUPS or all(row[0] == 1 for row in rows))
        and all(row[1] == row[0] if per_image else row[0] <= row[1] for row in rows)
        and tuple(map(sum, zip(*rows, strict=True))) == (units, *sums)
        and all(units * square >= total**2 for square, total in zip(groups.squares, sums, strict=True))
        and (not per_image or groups.cross == sums)
        and groups.cross[0] == groups.squares[0]
    )


def _distinct(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) == len(listed)


def _share(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
