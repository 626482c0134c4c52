"""A measurement is read as it was written, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from saformer.analysis.complexity.benchmark import Measurement, Point
from saformer.analysis.complexity.formulas import Sizes, choose
from saformer.analysis.complexity.serialization import measurement_data, read_measurement
from saformer.errors import InputError


@pytest.fixture
def measurement() -> Measurement:
    sizes = Sizes(tokens=64, dim=32, rate=0.15, heads=2)
    vsa, sasa = choose("vsa,sasa")
    points = [
        Point(a, axis, replace(sizes, **{axis: size}), [1e-3 / 3 * size, 2.0], 1024 * size)
        for a in (sasa, vsa)
        for axis in ("tokens", "dim")
        for size in (64, 128)
    ]
    points[-1] = Point(vsa, "dim", points[-1].sizes, skipped="out of memory")
    return Measurement(tuple(points), {"vsa": 1e-5 / 3, "sasa": 2e-5}, "cpu", 2)


@pytest.fixture
def document(measurement: Measurement) -> dict:
    return {"schema": 1, "measured": measurement_data(measurement)}


def _read(path: Path, document: object) -> Measurement:
    path.write_text(json.dumps(document))
    return read_measurement(path)


def test_what_is_read_is_what_was_measured(measurement: Measurement, document: dict, tmp_path: Path) -> None:
    found = _read(tmp_path / "scaling.json", document)
    assert found == measurement
    assert [a.key for a in found.attentions] == ["vsa", "sasa"]
    sasa = found.attentions[1]
    assert found.time_fit(sasa, "tokens") == measurement.time_fit(sasa, "tokens")


def test_files_that_are_no_measurement(tmp_path: Path) -> None:
    path = tmp_path / "scaling.json"
    with pytest.raises(InputError, match=r"cannot read the measurement .*scaling\.json: there is no such file"):
        read_measurement(path)
    with pytest.raises(InputError, match="it is a folder"):
        read_measurement(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="it is no text"):
        read_measurement(path)
    for text in (b"{", b"[" * 100_000):
        path.write_bytes(text)
        with pytest.raises(InputError, match="is not JSON, or was cut short: write one with"):
            read_measurement(path)
    for plain in ([], {"schema": 1}, {"schema": 1, "measured": 3}, {"kind": "profile"}):
        with pytest.raises(InputError, match="holds no measurement: write one with"):
            _read(path, plain)


def test_another_schema(document: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has schema 2, this version reads schema 1"):
        _read(tmp_path / "scaling.json", {**document, "schema": 2})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("points",), []),
        (("points",), None),
        (("points",), [3]),
        (("points", 1), "first"),  # the same point twice
        (("points", 0, "attention"), "softmax"),
        (("points", 0, "over"), "T"),
        (("points", 0, "heads"), 4),  # other heads than the rest of its series
        (("points", 0, "heads"), 5),  # which do not divide D
        (("points", 0, "tokens"), "64"),
        (("points", 0, "rate"), "high"),
        (("points", 0, "seconds"), [1.0]),  # the fastest is another
        (("points", 0, "seconds"), [-1.0]),
        (("points", 0, "seconds"), [10**400]),
        (("points", 0, "seconds"), []),
        (("points", 0, "seconds"), None),
        (("points", 0, "fastest_seconds"), 1),
        (("points", 0, "peak_bytes"), None),
        (("points", 0, "peak_bytes"), 1.5),
        (("points", 0, "skipped"), "out of memory"),
        (("points", 0, "skipped"), 3),
        (("points", -1, "peak_bytes"), 3),
        (("points", -1, "skipped"), None),
        (("overhead_seconds",), {"vsa": 1.0}),
        (("overhead_seconds", "vsa"), float("nan")),
        (("overhead_seconds", "vsa"), True),
        (("threads",), 0),
        (("device",), None),
    ],
)
def test_damage_is_noticed(document: dict, tmp_path: Path, place: tuple, value: object) -> None:
    inner = document["measured"]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = inner[0] if value == "first" else value
    path = tmp_path / "scaling.json"
    with pytest.raises(InputError, match="is incomplete or damaged") as caught:
        _read(path, document)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
