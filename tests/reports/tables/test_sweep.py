from collections.abc import Callable
from dataclasses import replace

import pytest

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles.origin import UNTRAINED_NOTE, Origin
from saformer.reports.document.blocks import Part, Report
from saformer.reports.results.sweep import Sweep, SweepPoint
from saformer.reports.tables.sweep import sweep_report

Golden = Callable[[Report | Part, str], None]


def sweep_of(account: Account, parameter: str = "time_steps", **changes: object) -> Sweep:
    points = []
    for value in (1, 4):
        layers = tuple(replace(layer, energy_mj=value * (layer.energy_mj or 0.0) / 4) for layer in account.layers)
        there = replace(account, layers=layers, **changes)
        points.append(SweepPoint(value, there, 0.0125 * value, value * 3 * 2**20, trained_at=4))
    return Sweep(parameter, points, 64, "a CPU with 2 threads")


def test_time_steps(account: Account, matches_golden: Golden) -> None:
    matches_golden(sweep_report(sweep_of(account)), "sweep_time_steps")


def test_random_weights_are_marked(account: Account, matches_golden: Golden) -> None:
    sweep = sweep_of(account, "aggregated", notes=(UNTRAINED_NOTE,), origin=Origin.UNTRAINED, accuracy=None)
    points = [replace(point, trained_at=None) for point in sweep.points]
    matches_golden(sweep_report(replace(sweep, points=points)), "sweep_untrained")


def test_the_object_holds_every_point(account: Account) -> None:
    sweep = sweep_of(account)
    found = sweep_report(sweep).data
    assert found is not None
    assert (found["schema"], found["parameter"], found["accounting"]) == (1, "time_steps", "paper")
    for point, one in zip(sweep.points, found["points"], strict=True):
        assert (one["value"], one["trained_at"]) == (point.value, 4)
        assert one["totals"]["energy_mj"] == pytest.approx(point.account.energy_mj)
        assert (one["seconds_per_batch"], one["peak_bytes"]) == (point.seconds, point.peak_bytes)
        assert "layers" not in one
