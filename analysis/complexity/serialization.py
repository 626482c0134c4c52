"""A measurement as data for JSON, and back from a file."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from saformer.analysis.accounting.account import SCHEMA
from saformer.analysis.complexity.benchmark import AXES, Measurement, Point
from saformer.analysis.complexity.formulas import Sizes, attentions
from saformer.errors import InputError
from saformer.files import read_text

_HOW = "write one with saformer complexity --measure --json FILE"


def measurement_data(measurement: Measurement) -> dict[str, Any]:
    """Everything that was measured; `read_measurement` reads it under the key `measured` of a JSON object."""
    return {
        "device": measurement.device,
        "threads": measurement.threads,
        "overhead_seconds": dict(measurement.overhead),
        "points": [
            {
                "attention": point.attention.key,
                "over": str(AXES[point.axis]),
                **asdict(point.sizes),
                "fastest_seconds": point.time,
                "seconds": list(point.seconds),
                "peak_bytes": point.peak,
                "skipped": point.skipped,
            }
            for point in measurement.points
        ],
    }


def read_measurement(path: str | Path) -> Measurement:
    """The measurement in a file that `saformer complexity --measure --json FILE` wrote.

    Raises:
        InputError: the file is missing, no JSON, of another schema, without a measurement, or damaged.
    """
    try:
        plain = json.loads(read_text(path, "the measurement"))
    except InputError:
        raise
    except (ValueError, RecursionError):
        raise InputError(f"measurement {path} is not JSON, or was cut short: {_HOW}") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("measured"), dict):
        raise InputError(f"{path} holds no measurement: {_HOW}")
    if plain.get("schema") != SCHEMA:
        raise InputError(f"measurement {path} has schema {plain.get('schema')!r}, this version reads schema {SCHEMA}")
    try:
        return _parse(plain["measured"])
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, InputError) as error:
        what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"measurement {path} is incomplete or damaged ({what}): {_HOW}") from None


def _parse(plain: Mapping[str, Any]) -> Measurement:
    points = tuple(_point(entry) for entry in plain["points"])
    keys = [(p.attention.key, p.axis, p.size) for p in points]
    # What is held must be the same all along a series, or its exponent means nothing.
    held = {(p.axis, *(value for name, value in asdict(p.sizes).items() if name != p.axis)) for p in points}
    if not points or len(set(keys)) < len(keys) or len(held) > len({p.axis for p in points}):
        raise ValueError("no points, one twice, or series in which more than one size varies")
    overhead = {p.attention.key: _positive(plain["overhead_seconds"][p.attention.key]) for p in points}
    return Measurement(points, overhead, _text(plain["device"]), _whole(plain["threads"]))


def _point(plain: Mapping[str, Any]) -> Point:
    axis = {str(symbol): name for name, symbol in AXES.items()}[plain["over"]]
    sizes = Sizes(**{name: plain[name] for name in asdict(Sizes())})
    point = Point(
        attentions()[plain["attention"]],
        axis,
        sizes,
        [_positive(value) for value in plain["seconds"]],
        None if plain["peak_bytes"] is None else _whole(plain["peak_bytes"], 0),
        None if plain["skipped"] is None else _text(plain["skipped"]),
    )
    measured = (bool(point.seconds), point.peak is not None)
    if measured != (point.skipped is None,) * 2 or plain["fastest_seconds"] != point.time:
        raise ValueError(f"{point.attention.title} at N = {sizes.tokens}, D = {sizes.dim} contradicts itself")
    return point


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"a time is a number above 0, found {value!r}")
    return float(value)


def _whole(value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"expected a whole number >= {least}, found {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected a text, found {value!r}")
    return value
