"""Plain data to the records of a profile: every value is of its type, every count a whole number from 0 on."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, inf
from typing import Any, TypeVar

from saformer.analysis.profiles.groups import Groups
from saformer.analysis.profiles.metadata import DataInfo, ModelInfo
from saformer.analysis.profiles.moments import Moments
from saformer.analysis.profiles.origin import Origin, origin_of_notes
from saformer.analysis.profiles.records import Correct, FreeArithmetic, Neurons, Operand, Operation, RunRecord
from saformer.analysis.profiles.values import Values
from saformer.text import briefly

R = TypeVar("R", bound=RunRecord)

_LONGEST = 10_000
_DEEPEST, _MOST_SETTINGS = 10, 10_000  # tables in tables, and values in all, that a run was told
_MOST = 2**100  # far beyond any run; its squares and their products are within what a float holds


def parsed(plain: dict[str, Any], make: type[R]) -> R:
    """The profile, of the class `make`, whose integers nobody has compared yet.

    Raises:
        KeyError: something is missing.
        TypeError, ValueError, IndexError, AttributeError: something is of another type, or no count.
    """
    model, data, hits, moments = plain["model"], plain["data"], plain["hits"], plain["moments"]
    operations, neurons = _list(plain["operations"], _operation), _list(plain["neurons"], _neurons)
    operations = _with_products(operations)
    if not neurons:  # earlier versions did not look at values, and a network without neurons held no spikes for them
        operations = tuple(_without_spikes(operation) for operation in operations)
    notes = _list(plain["notes"], _text)
    return make(
        model=ModelInfo(
            _text(model["name"]),
            _integer(model["parameters"]),
            None if model["time_steps"] is None else _integer(model["time_steps"]),
            _text(model["checkpoint"], type(None)),
            _text(model["sha256"], type(None)),
            _text(model.get("label"), type(None)),
        ),
        data=DataInfo(
            _text(data["name"]),
            _text(data["split"], type(None)),
            _integer(data["images"]),
            _text(data["kind"]),
        ),
        operations=operations,
        neurons=neurons,
        free=_list(plain["free"], _free),
        uncounted=_list(plain["uncounted"], _text),
        hits=None
        if hits is None
        else Correct(
            _integer(hits["labelled"]),
            _integer(hits["top1"]),
            None if hits["top5"] is None else _integer(hits["top5"]),
        ),
        unit=_text(plain["unit"]),
        moments=_moments(moments),
        passes=_integer(plain["passes"]) if "passes" in plain else _former_passes(plain),
        run=_run(plain["run"]),
        notes=notes,
        origin=Origin(plain["origin"]) if "origin" in plain else origin_of_notes(notes),
    )


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


def _text(value: Any, *types: type) -> Any:
    """A name or a note, or ValueError: no module has a path of thousands of characters."""
    text = _typed(value, str, *types)
    if text is not None and len(text) > _LONGEST:
        raise ValueError(f"found a text of {len(text):,} characters, {briefly(text)}")
    return text


def _list(value: Any, convert: Callable[[Any], Any]) -> tuple[Any, ...]:
    return tuple(convert(item) for item in _typed(value, list, tuple))


def _operand(x: dict[str, Any]) -> Operand:
    values = x.get("values")
    return Operand(
        _integer(x["elements"]),
        _integer(x["nonzero"]),
        _integer(x["ones"]),
        None if values is None else _values(values),
        _text(x.get("product", "")),
        _typed(x.get("broadcast", False), bool),
        _text(x.get("neurons", "")),
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
        tolerance=_not_negative(v["tolerance"]),
        averaged=_typed(v.get("averaged", False), bool),
    )


def _positive(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < inf:
        raise ValueError(f"expected a positive number, found {briefly(value)}")
    return float(value)


def _not_negative(value: Any) -> float:
    return _positive(value) if _typed(value, float, int) else 0.0


def _operation(o: dict[str, Any]) -> Operation:
    return Operation(
        name=_text(o["name"]),
        op=_text(o["op"]),
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
        sources=_list(o["sources"], _text),
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
    return Neurons(_text(n["name"]), _integer(n["elements"]), _list(n["per_step"], _integer))


def _free(f: dict[str, Any]) -> FreeArithmetic:
    return FreeArithmetic(
        name=_text(f["name"]),
        op=_text(f["op"]),
        elements=_integer(f["elements"]),
        operand=None if f["operand"] is None else _operand(f["operand"]),
        foldable=_typed(f["foldable"], bool),
        module=_typed(f["module"], bool),
    )


def _run(value: Any) -> dict[str, Any]:
    """What the run was told, and the number of classes: a caller may have added to it, as much as a page can show."""
    run: dict[str, Any] = _typed(value, dict)
    if run.get("classes") is not None:
        _integer(run["classes"])
    left = [(run, 0)]
    for found, depth in left:
        if isinstance(found, str):
            _text(found)
        elif isinstance(found, dict | list):
            inside = [*map(_text, found), *found.values()] if isinstance(found, dict) else found
            if depth == _DEEPEST or len(left) + len(inside) > _MOST_SETTINGS:
                raise ValueError("found more settings of the run than a page can show")
            left += ((each, depth + 1) for each in inside)
    return run


def _former_passes(plain: dict[str, Any]) -> int:
    """Profiles of earlier versions hold no passes: those that the batch size shows, or one."""
    images, batch_size = _integer(plain["data"]["images"]), plain["run"].get("batch_size")
    known = isinstance(batch_size, int) and not isinstance(batch_size, bool) and batch_size > 0
    return max(ceil(images / batch_size), 1) if known else 1


def _moments(m: dict[str, Any]) -> Moments:
    units, sums = _integer(m["units"]), _list(m["sums"], _integer)
    if "groups" in m:
        squares, cross = (_list(m[key], lambda v: _integer(v, _MOST**2)) for key in ("squares", "cross"))
        return Moments(units, sums, (), Groups(squares, cross, _list(m["groups"], lambda row: _list(row, _integer))))
    rows = [[_integer(v, _MOST**2) for v in row] for row in m["gram"]]
    size = range(len(rows))
    return Moments(units, sums, tuple(tuple(rows[max(i, j)][min(i, j)] for j in size) for i in size))
