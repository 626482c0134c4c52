"""A sweep as a table, a row for each value: what `saformer sweep` prints."""

from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.blocks import Line, Report, note
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent, si, significant
from saformer.reports.document.table import Column, Row, Table, energy_cells, energy_columns, hidden, number
from saformer.reports.results.sweep import MEBIBYTE, PARAMETERS, Sweep, sweep_data
from saformer.reports.tables.comparison import origin_notes
from saformer.reports.tables.what_was_run import remarks, what_each_read


def sweep_report(sweep: Sweep, unit: EnergyUnit | None = None) -> Report:
    """A table with a row for each value, and the notes of all of them; energies in `unit`, or that of the largest."""
    first = sweep.points[0].account
    symbol, words = PARAMETERS[sweep.parameter]
    unit = unit or energy_unit(*(point.account.energy_mj for point in sweep.points))
    columns = [
        number(symbol, key=sweep.parameter, write=str),
        number("top-1", key="top1_accuracy", write=_top1),
        number("FLOPs", key="flops_per_image", rank=1),
        number("SOPs", key="sops_per_image"),
        *energy_columns(unit),
        number("time per batch", "ms", key="seconds_per_batch", write=_milliseconds),
        number("memory", "MiB", key="peak_bytes", write=_mebibytes),
        Column("from", key="from", shown=any(point.origin != Origin.MEASURED for point in sweep.points)),
        hidden("trained_at"),
    ]
    rows = []
    for point in sweep.points:
        account = point.account
        rows.append(
            Row(
                [
                    point.value,
                    point.top1,
                    account.flops,
                    account.sops,
                    *energy_cells(unit, account.energy_mj, account.energy_mj_ci95),
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
    table = Table(title, columns, rows, captions)
    read = what_each_read([(f"{symbol} = {point.value}", point.account) for point in sweep.points], unit, steps=False)
    return Report([table, *read, *_notes(sweep)], data=sweep_data(sweep))


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
        for text in remarks(account):
            texts.setdefault(text, []).append(point.value)
    for text, at in texts.items():
        everywhere = len(at) == len(sweep.points)
        found.append(note(text) if everywhere else note(text, about=f"{symbol} = {', '.join(map(str, at))}"))
    return found
