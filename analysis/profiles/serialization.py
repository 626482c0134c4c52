"""Profiles as JSON, and back: integers of a file that contradict each other are refused."""

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from math import ceil, inf
from pathlib import Path
from typing import Any, TypeVar

from saformer.analysis.profiles.metadata import SCHEMA, DataInfo, ModelInfo
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.origin import Origin, origin_of_notes
from saformer.analysis.profiles.records import Correct, FreeArithmetic, Neurons, Operand, Operation, RunRecord
from saformer.analysis.profiles.values import Values
from saformer.errors import InputError
from saformer.files import write_text_atomic
from saformer.text import briefly

R = TypeVar("R", bound=RunRecord)

_KIND = "saformer-profile"
_MOST = 2**100  # far beyond any run; its squares and their products are within what a float holds
_LARGEST_FILE = 2**28  # bytes; the profile of a network of a thousand operations has 2**25


def to_json(profile: RunRecord) -> dict[str, Any]:
    """The profile as plain data; `from_json` is the inverse."""
    plain = asdict(profile)
    plain.pop("moments")
    return {
        "kind": _KIND,
        "schema": SCHEMA,
        **plain,
        "moments": {
            "units": profile.moments.units,
            "sums": list(profile.moments.sums),
            # The matrix is symmetric: each row up to the diagonal.
            "gram": [list(row[: i + 1]) for i, row in enumerate(profile.moments.gram)],
        },
    }


def from_json(plain: Any, make: type[R]) -> R:
    """A profile, of the class `make`, from the data of `to_json`.

    Raises:
        InputError: it is not a profile, of another schema, incomplete, or its integers contradict each other.
    """
    if not isinstance(plain, dict) or plain.get("kind") != _KIND:
        raise InputError("this is not a saved profile: it was not written by --save-profile")
    if plain.get("schema") != SCHEMA:
        raise InputError(f"the profile has schema {briefly(plain.get('schema'))}, this version reads schema {SCHEMA}")
    try:
        profile = _parse(plain, make)
    except KeyError as error:
        raise InputError(f"the profile is incomplete: {briefly(error.args[0])} is missing") from None
    except (TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"the profile is damaged: {briefly(str(error), quoted=False)}") from None
    _check(profile)
    return profile


def _check(profile: RunRecord) -> None:
    """Raise InputError where integers contradict each other; it says which."""
    hits, moments, operations = profile.hits, profile.moments, profile.operations
    read = [*(x for o in operations for x in o.operands), *(f.operand for f in profile.pools if f.operand)]
    counters = [nonzero for o in operations for nonzero in (*(x.nonzero for x in o.operands), o.events)]
    pools = [f.operand.nonzero for f in profile.pools if f.operand]
    whole, size = (profile.images, *counters, *pools), len(moments.sums)
    sums = (whole, whole[: len(counters) + 1])  # earlier versions kept no moments of pools
    per_image = profile.unit == "image"
    rows = len(moments.gram) == size and all(len(row) == size for row in moments.gram)
    for what, consistent in (
        ("the number of images", profile.images >= 1),
        ("the sums of its counters", moments.sums in sums),
        ("its unit", profile.unit in ("image", "batch")),
        ("the number of units", moments.units == profile.images if per_image else 1 <= moments.units <= profile.images),
        ("the size of its products", rows),
        ("its products", rows and _possible(moments, per_image)),
        ("elements, nonzeros and ones", all(x.ones <= x.nonzero <= x.elements for x in read)),
        ("events", all(o.operands and o.effective <= o.events <= o.dense for o in operations)),
        ("sources", all(len(o.sources) in (0, len(o.operands)) for o in operations)),
        ("names", _distinct(o.name for o in operations) and _distinct(n.name for n in profile.neurons)),
        ("the kind of data", profile.data.kind in ("static", "events")),
        ("time steps", profile.model.time_steps is None or profile.model.time_steps >= 1),
        ("forward passes", 1 <= profile.passes <= profile.images),
        ("the confidence", 0 < _share(profile.run.get("confidence", 0.95)) < 1),
        ("spikes", all(n.spikes <= n.elements for n in profile.neurons)),
        ("hits", hits is None or hits.top1 <= (hits.labelled if hits.top5 is None else hits.top5)),
        ("labels", hits is None or (hits.top5 or 0) <= hits.labelled <= profile.images),
    ):
        if not consistent:
            raise InputError(f"the profile's integers contradict each other in {what}: it was cut or edited")


def write(profile: RunRecord, path: str | Path) -> None:
    """Write the profile as JSON, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    write_text_atomic(path, json.dumps(to_json(profile), separators=(",", ":")) + "\n")


def read(path: str | Path, make: type[R]) -> R:
    """Read a profile, of the class `make`, that `write` wrote.

    Raises:
        InputError: the file is missing, no JSON, or no sound profile.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"cannot read the profile {path}: it is not a file")
        if found.st_size > _LARGEST_FILE:
            raise InputError(f"cannot read the profile {path}: it is larger than a profile can be")
        plain = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        raise InputError(f"cannot read the profile {path}: {error.strerror or error}") from None
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"profile {path} is not JSON, or was cut short: write it again with --save-profile") from None
    try:
        return from_json(plain, make)
    except InputError as error:
        raise InputError(f"profile {path}: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _distinct(names: Iterable[str]) -> bool:
    listed = list(names)
    return len(set(listed)) == len(listed)


def _possible(moments: Moments, per_image: bool) -> bool:
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


def _share(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _integer(value: Any, most: int = _MOST) -> int:
    """A whole number from 0 to `most`, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected an integer, found {briefly(value)}")
    if not 0 <= value <= most:
        raise ValueError(f"expected a count, found {'a negative number' if value < 0 else 'one beyond any run'}")
    return value


def _typed(value: Any, *types: type) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"found {briefly(value)} where {types[0].__name__} belongs")
    return value


def _list(value: Any, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(convert(item) for item in _typed(value, list, tuple))


def _operand(x: dict[str, Any]) -> Operand:
    values = x.get("values")
    return Operand(
        _integer(x["elements"]),
        _integer(x["nonzero"]),
        _integer(x["ones"]),
        None if values is None else _values(values),
        _typed(x.get("product", ""), str),
        _typed(x.get("broadcast", False), bool),
        _typed(x.get("neurons", ""), str),
    )


def _values(v: dict[str, Any]) -> Values:
    if v["provenance"] not in ("spikes", "none", "real"):
        raise ValueError(f"found {briefly(v['provenance'])} where the provenance of values belongs")
    return Values(
        provenance=v["provenance"],
        linear=_typed(v["linear"], bool),
        unit=None if v["unit"] is None else _positive(v["unit"]),
        levels=_integer(v["levels"]),
        magnitudes=_integer(v["magnitudes"], 2),
        negative=_typed(v["negative"], bool),
        total=_integer(v["total"]),
        multiples=_typed(v["multiples"], bool),
        channels=_list(v["channels"], lambda unit: _positive(unit) if unit else 0.0),
        tolerance=float(_typed(v["tolerance"], float, int)),
        averaged=_typed(v.get("averaged", False), bool),
    )


def _positive(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < inf:
        raise ValueError(f"expected a positive number, found {briefly(value)}")
    return float(value)


def _operation(o: dict[str, Any]) -> Operation:
    return Operation(
        name=_typed(o["name"], str),
        op=_typed(o["op"], str),
        dense=_integer(o["dense"]),
        operands=_list(o["operands"], _operand),
        events=_integer(o["events"]),
        first=_typed(o["first"], bool),
        outputs=_integer(o["outputs"]),
        bias=_integer(o["bias"]),
        inner=_integer(o["inner"]),
        module=_typed(o["module"], bool),
        effective=_integer(o["effective"]),
        graded=None if o["graded"] is None else _integer(o["graded"]),
        sources=_list(o["sources"], lambda source: _typed(source, str)),
        weights=_integer(o.get("weights", 0)),
        executions=_integer(o.get("executions", 0)),
        summed=_typed(o.get("summed", False), bool),
        constant=_typed(o.get("constant", False), bool),
    )


def _without_spikes(operation: Operation) -> Operation:
    real = Values("real", multiples=False)
    operands = tuple(x if x.values is not None else replace(x, values=real) for x in operation.operands)
    return replace(operation, operands=operands)


def _with_products(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Earlier versions named what an operand is the result of, and not whether that was a product of activations, nor
    which operand of a product is broadcast.
    """
    products = {f"result of {o.name}": o.name for o in operations if len(o.operands) > 1}
    return tuple(
        replace(
            o,
            operands=tuple(
                replace(x, product=products.get(source, ""), broadcast=o.op == "product" and x.elements < o.dense)
                if x.values is None
                else x
                for x, source in zip(o.operands, o.sources or [""] * len(o.operands), strict=True)
            ),
        )
        for o in operations
    )


def _neurons(n: dict[str, Any]) -> Neurons:
    return Neurons(_typed(n["name"], str), _integer(n["elements"]), _list(n["per_step"], _integer))


def _free(f: dict[str, Any]) -> FreeArithmetic:
    return FreeArithmetic(
        name=_typed(f["name"], str),
        op=_typed(f["op"], str),
        elements=_integer(f["elements"]),
        operand=None if f["operand"] is None else _operand(f["operand"]),
        foldable=_typed(f["foldable"], bool),
        module=_typed(f["module"], bool),
    )


def _former_passes(plain: dict[str, Any]) -> int:
    """Profiles of earlier versions hold no passes: those that the batch size shows, or one."""
    images, batch_size = _integer(plain["data"]["images"]), plain["run"].get("batch_size")
    known = isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size > 0
    return max(ceil(images / batch_size), 1) if known else 1


def _parse(plain: dict[str, Any], make: type[R]) -> R:
    model, data, hits, moments = plain["model"], plain["data"], plain["hits"], plain["moments"]
    rows = [[_integer(v, _MOST**2) for v in row] for row in moments["gram"]]
    size = len(rows)
    operations, neurons = _list(plain["operations"], _operation), _list(plain["neurons"], _neurons)
    operations = _with_products(operations)
    if not neurons:  # earlier versions did not look at values, and a network without neurons held no spikes for them
        operations = tuple(_without_spikes(operation) for operation in operations)
    gram = tuple(tuple(rows[max(i, j)][min(i, j)] for j in range(size)) for i in range(size))
    notes = _list(plain["notes"], lambda s: _typed(s, str))
    return make(
        model=ModelInfo(
            _typed(model["name"], str),
            _integer(model["parameters"]),
            None if model["time_steps"] is None else _integer(model["time_steps"]),
            _typed(model["checkpoint"], str, type(None)),
            _typed(model["sha256"], str, type(None)),
            _typed(model.get("label"), str, type(None)),
        ),
        data=DataInfo(
            _typed(data["name"], str),
            _typed(data["split"], str, type(None)),
            _integer(data["images"]),
            _typed(data["kind"], str),
        ),
        operations=operations,
        neurons=neurons,
        free=_list(plain["free"], _free),
        uncounted=_list(plain["uncounted"], lambda s: _typed(s, str)),
        hits=None
        if hits is None
        else Correct(
            _integer(hits["labelled"]),
            _integer(hits["top1"]),
            None if hits["top5"] is None else _integer(hits["top5"]),
        ),
        unit=_typed(plain["unit"], str),
        moments=Moments(_integer(moments["units"]), _list(moments["sums"], _integer), gram),
        passes=_integer(plain["passes"]) if "passes" in plain else _former_passes(plain),
        run=_typed(plain["run"], dict),
        notes=notes,
        origin=Origin(plain["origin"]) if "origin" in plain else origin_of_notes(notes),
    )
