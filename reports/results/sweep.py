"""One setting of a network at several values, as records: the paper's Figures 5 (over T) and 6 (over n)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from saformer.analysis.accounting.account import SCHEMA, Account
from saformer.analysis.profiles.origin import MEASURED, UNTRAINED, provenance
from saformer.reports.document.blocks import Line, Report, note
from saformer.reports.document.numbers import energy_unit, interval, percent, si, significant
from saformer.reports.document.table import Align, Cell, Column, Row, Table, hidden, number
from saformer.reports.tables.comparison import origin_notes

# Setting -> its symbol, and what it is called.
PARAMETERS = {
    "time_steps": ("T", "time steps"),
    "aggregated": ("n", "aggregated tokens"),
}
MEBIBYTE = 2**20


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep.

    Args:
        value: of the setting.
        account: what was recorded and charged there.
        seconds: of one forward pass over a batch.
        peak_bytes: live memory that this pass adds at its peak.
        trained_at: the value that the checkpoint was trained with; None if it is not known, or nothing was trained.
    """

    value: int
    account: Account
    seconds: float
    peak_bytes: int
    trained_at: int | None = None

    @property
    def origin(self) -> str:
        """Where its energy and accuracy come from."""
        return provenance(self.account)

    @property
    def top1(self) -> float | None:
        """Accuracy, 0 to 1."""
        return None if self.account.accuracy is None else self.account.accuracy.top1


@dataclass(frozen=True)
class Sweep:
    """All points of a sweep, and how they were made.

    Args:
        parameter: a key of `PARAMETERS`.
        points: one for each value, in the order asked for.
        batch: images in a forward pass that was timed.
        device: where it ran, in words.
    """

    parameter: str
    points: Sequence[SweepPoint]
    batch: int
    device: str

    @property
    def symbol(self) -> str:
        """T or n."""
        return PARAMETERS[self.parameter][0]


def sweep_report(sweep: Sweep) -> Report:
    """A table with a row for each value, and the notes of all of them."""
    first = sweep.points[0].account
    symbol, words = PARAMETERS[sweep.parameter]
    known = [point.account.energy_mj for point in sweep.points if not isnan(point.account.energy_mj)]
    unit, factor = energy_unit(max(known, default=0.0))
    columns = [
        number(symbol, key=sweep.parameter, write=str),
        number("top-1", key="top1_accuracy", write=_top1),
        number("FLOPs", key="flops_per_image", rank=1),
        number("SOPs", key="sops_per_image"),
        number("energy", unit, key="energy_mj_per_image", align=Align.decimal),
        hidden("energy_mj_ci95"),
        number("time per batch", "ms", key="seconds_per_batch", write=_milliseconds),
        number("memory", "MiB", key="peak_bytes", write=_mebibytes),
        Column("from", key="from", shown=any(point.origin != MEASURED for point in sweep.points)),
        hidden("trained_at"),
    ]
    rows = []
    for point in sweep.points:
        account = point.account
        half_width = None if account.energy_mj_ci95 is None else account.energy_mj_ci95 * factor
        value, error = interval(account.energy_mj * factor, half_width, digits=3)
        rows.append(
            Row(
                [
                    point.value,
                    point.top1,
                    account.flops,
                    account.sops,
                    Cell(account.energy_mj, value, f" ± {error}" if error else ""),
                    account.energy_mj_ci95,
                    point.seconds,
                    point.peak_bytes,
                    point.origin,
                    point.trained_at,
                ],
                strong=point.value == point.trained_at,
            )
        )
    images = f"{si(sweep.batch)} images on {sweep.device}"
    captions = [
        f"Per image, over all time steps; accounting {first.accounting} on {first.hardware.name}.",
        f"time per batch: fastest forward pass over {images}; memory: live memory that it adds at its peak.",
        *origin_notes(point.origin for point in sweep.points),
    ]
    title = f"{first.model.name} on {first.data.name}, {first.data.images:,} images, over {words} {symbol}"
    return Report([Table(title, columns, rows, captions), *_notes(sweep)], data=_object(sweep))


def _top1(share: float | None) -> str:
    return percent(share, decimals=2)


def _milliseconds(seconds: float) -> str:
    return significant(1000 * seconds)


def _mebibytes(count: int) -> str:
    return significant(count / MEBIBYTE)


def _notes(sweep: Sweep) -> list[Line]:
    """Where a checkpoint was trained at another value; what holds of all points, once; what holds of some."""
    symbol = sweep.symbol
    found = []
    elsewhere: dict[int, list[str]] = {}
    for point in sweep.points:
        if point.trained_at is not None and point.trained_at != point.value:
            elsewhere.setdefault(point.trained_at, []).append(str(point.value))
    for trained_at, values in elsewhere.items():
        found.append(
            note(
                f"trained at {symbol} = {trained_at} and run at {symbol} = {', '.join(values)} without training anew: "
                "weights and BatchNorm statistics are those of the training"
            )
        )
    texts: dict[str, list[int]] = {}
    for point in sweep.points:
        account = point.account
        for text in [*account.notes, *(f"not counted: {item}" for item in account.uncounted)]:
            texts.setdefault(text, []).append(point.value)
    for text, at in texts.items():
        everywhere = len(at) == len(sweep.points)
        found.append(note(text) if everywhere else note(text, about=f"{symbol} = {', '.join(map(str, at))}"))
    return found


def _object(sweep: Sweep) -> dict[str, Any]:
    """The JSON object of a sweep; each point holds the object of its account without the layers."""
    points = []
    for point in sweep.points:
        account = point.account.to_json()
        points.append(
            {
                "value": point.value,
                "trained_at": point.trained_at,
                "origin": point.origin,
                **{key: account[key] for key in ("model", "data", "accuracy", "totals", "notes")},
                "seconds_per_batch": point.seconds,
                "peak_bytes": point.peak_bytes,
            }
        )
    first = sweep.points[0].account.to_json()
    return {
        "schema": SCHEMA,
        "parameter": sweep.parameter,
        "accounting": first["accounting"],
        "hardware": first["hardware"],
        "batch_size": sweep.batch,
        "device": sweep.device,
        "points": points,
    }


def untrained(sweep: Sweep) -> bool:
    """Some point is of random weights."""
    return any(point.origin == UNTRAINED for point in sweep.points)
