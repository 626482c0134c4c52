"""A sweep as a table, a row for each value: what `saformer sweep` prints."""

from collections.abc import Sequence

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.blocks import Line, Report, note
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent, si, significant
from saformer.reports.document.table import Cell, Column, Row, Table, energy_cells, energy_columns, hidden, number
from saformer.reports.results.sweep import MEBIBYTE, PARAMETERS, Sweep, SweepPoint, sweep_data
from saformer.reports.tables.comparison import origin_notes
from saformer.reports.tables.what_was_run import remarks, what_each_read, what_was_read


def sweep_report(sweep: Sweep, unit: EnergyUnit | None = None) -> Report:
    """A table with a row for each value, and the notes of all of them; energies in `unit`, or that of the largest."""
    first, curves = sweep.points[0].account, sweep.curves
    several = len(curves) > 1
    symbol, words = PARAMETERS[sweep.parameter]
    unit = unit or energy_unit(*(point.account.energy_mj for point in sweep.points))
    columns = [
        Column("network", shown=several),
        number(symbol, key=sweep.parameter, write=str),
        number("top-1", key="top1_accuracy", write=_top1),
        number("FLOPs", key="flops_per_image", rank=1),
        number("SOPs", key="sops_per_image"),
        *energy_columns(unit),
        number("time per batch", "ms", key="seconds_per_batch", write=_milliseconds),
        number("memory", "MiB", key="peak_bytes", write=_mebibytes),
        Column("from", key="from", shown=any(point.origin != Origin.MEASURED for point in sweep.points), common=True),
        hidden("trained_at"),
    ]
    rows = [
        Row(
            _cells(name, point, unit, first=point is curve[0]),
            strong=point.value == point.trained_at,
            rule=point is curve[-1] and curve is not list(curves.values())[-1],
        )
        for name, curve in curves.items()
        for point in curve
    ]
    images = f"{si(sweep.batch)} images on {sweep.device}"
    captions = [
        f"Per image, over all time steps; accounting {first.accounting} on {first.hardware.name}.",
        f"time per batch: fastest forward pass over {images}; memory: live memory that it adds at its peak.",
        *origin_notes(point.origin for point in sweep.points),
    ]
    who = ", ".join(curves)
    title = f"{who} on {first.data.name}, {first.data.images:,} images, over {words} {symbol}"
    table = Table(title, columns, rows, captions)
    read: list[tuple[str, Account]] = []
    for name, curve in curves.items():
        alike = len({tuple(what_was_read(point.account, unit, steps=False)) for point in curve}) == 1
        read += [(name, curve[0].account)] if alike else [(_at(sweep, [point]), point.account) for point in curve]
    return Report([table, *what_each_read(read, unit, steps=False), *_notes(sweep)], data=sweep_data(sweep))


def _cells(name: str, point: SweepPoint, unit: EnergyUnit, first: bool) -> list[object]:
    """A row; the name stands in the first one of a network."""
    account = point.account
    return [
        Cell(name, name if first else ""),
        point.value,
        point.top1,
        account.flops,
        account.sops,
        *energy_cells(unit, account.energy_mj, account.energy_mj_ci95),
        point.seconds,
        point.peak_bytes,
        point.origin,
        point.trained_at,
    ]


def _top1(share: float | None) -> str:
    return percent(share, decimals=2)


def _milliseconds(seconds: float) -> str:
    return significant(1000 * seconds)


def _mebibytes(count: int) -> str:
    return significant(count / MEBIBYTE)


def _at(sweep: Sweep, points: Sequence[SweepPoint]) -> str:
    """Where some points lie: `T = 1, 2`; of several networks by name, `Ours at T = 1, 2`."""
    said = []
    for name, curve in sweep.curves.items():
        if values := [str(point.value) for point in curve if any(point is one for one in points)]:
            at = "" if len(values) == len(curve) > 1 else f"{sweep.symbol} = {', '.join(values)}"
            said.append(at if len(sweep.curves) == 1 else f"{name} at {at}" if at else name)
    return "; ".join(said)


def _notes(sweep: Sweep) -> list[Line]:
    """Where a checkpoint was trained at another value; what holds of all points, once; what holds of some."""
    symbol, found = sweep.symbol, []
    elsewhere: dict[int, list[SweepPoint]] = {}
    for point in sweep.points:
        if point.trained_at is not None and point.trained_at != point.value:
            elsewhere.setdefault(point.trained_at, []).append(point)
    for trained_at, points in elsewhere.items():
        values = ", ".join(dict.fromkeys(str(point.value) for point in points))
        text = (
            f"trained at {symbol} = {trained_at} and run at {symbol} = {values} without training anew: "
            "weights and BatchNorm statistics are those of the training"
        )
        who = dict.fromkeys(point.network for point in points)
        found.append(note(text, about="" if len(who) == len(sweep.curves) else ", ".join(who)))
    texts: dict[str, list[SweepPoint]] = {}
    for point in sweep.points:
        for text in remarks(point.account):
            texts.setdefault(text, []).append(point)
    for text, at in texts.items():
        found.append(note(text) if len(at) == len(sweep.points) else note(text, about=_at(sweep, at)))
    return found
