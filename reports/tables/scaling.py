"""Scaling of the real modules: measured exponents beside those of the formulas, times and peak memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from saformer.analysis.complexity.fitting import LEADING_SHARE, TIMES_OVERHEAD, Fit
from saformer.analysis.complexity.formulas import Attention
from saformer.reports.document.blocks import Line, Part, Report, note
from saformer.reports.document.numbers import NOT_KNOWN, significant
from saformer.reports.document.table import Cell, Column, Table, hidden, number
from saformer.reports.results.complexity import AXES, QUANTITIES, fits

if TYPE_CHECKING:
    from saformer.analysis.complexity.benchmark import Measurement, Point


def exponent_text(axis: str, fit: Fit) -> str:
    """`N^1.02 [0.98, 1.06]`; no interval with two sizes, `-` with fewer."""
    if fit.measured is None:
        return NOT_KNOWN
    law = fit.measured
    text = f"{AXES[axis]}^{law.exponent:.2f}"
    return text if law.low is None else f"{text} [{law.low:.2f}, {law.high:.2f}]"


def scaling_report(attentions: Sequence[Attention], measurement: "Measurement") -> Report:
    """Measured exponents beside those of the formulas, then what was measured at every size, and what was skipped."""
    parts: list[Part] = [_exponents(attentions, measurement)]
    for axis in AXES:
        series = {a: {p.size: p for p in measurement.series(a, axis)} for a in attentions}
        measured = {a: points for a, points in series.items() if points}
        if measured:
            parts += [part for quantity in QUANTITIES for part in (Line(), _points(axis, quantity, measured))]
    skipped = [
        note(p.skipped, about=f"skipped: {p.attention.title} at N = {p.sizes.tokens}, D = {p.sizes.dim}")
        for p in measurement.points
        if p.skipped is not None and p.attention in attentions
    ]
    return Report([*parts, *([Line()] if skipped else []), *skipped])


def _exponents(attentions: Sequence[Attention], measurement: "Measurement") -> Table:
    rows = []
    starred = False
    for axis, symbol in AXES.items():
        for quantity, (what, *_) in QUANTITIES.items():
            name = label = f"{what} over {symbol}"
            for a in attentions:
                fit = fits(a, axis, measurement).get(quantity)
                if fit is None:
                    continue
                law = fit.measured
                star = law is not None and not fit.asymptotic
                starred = starred or star
                rows.append(
                    [
                        Cell(name, label),
                        Cell(a.key, a.title),
                        Cell(fit.symbolic, symbol if fit.symbolic == 1 else f"{symbol}^{fit.symbolic}"),
                        Cell(fit.formula, NOT_KNOWN if fit.formula is None else f"{symbol}^{fit.formula:.2f}"),
                        Cell(law and law.exponent, exponent_text(axis, fit), " *" if star else ""),
                        law and law.low,
                        law and law.high,
                        f"{fit.sizes[0]}-{fit.sizes[-1]} ({len(fit.sizes)})" if fit.sizes else None,
                        fit.asymptotic,
                    ]
                )
                label = ""
    columns = [
        Column("quantity"),
        Column("attention"),
        Column("symbolic", key="exponent_symbolic"),
        Column("formula", key="exponent_formula"),
        Column("measured [95 % interval]", key="exponent_measured"),
        hidden("exponent_measured_low"),
        hidden("exponent_measured_high"),
        Column("sizes fitted"),
        hidden("asymptotic"),
    ]
    notes = [
        "formula: the same fit to the formula's own numbers at the same sizes, with its terms of lower order.",
        f"Fitted: sizes at which the leading term is at least {LEADING_SHARE:.0%} of the formula, and the time at "
        f"least {TIMES_OVERHEAD} times that of the same module at N = 1, D = H.",
        *(["* fewer than three sizes are such: the three largest were taken."] if starred else []),
    ]
    threads = f"{measurement.threads} thread{'s' * (measurement.threads > 1)} of a CPU"
    where = threads if measurement.device == "cpu" else measurement.device
    return Table(f"Scaling of the real modules, batch 1, float32, on {where}", columns, rows, notes)


def _points(axis: str, quantity: str, series: "Mapping[Attention, Mapping[int, Point]]") -> Table:
    what, unit, factor, plain_unit = QUANTITIES[quantity]

    def write(value: float | None) -> str:
        return NOT_KNOWN if value is None else significant(value * factor)

    rows = []
    for size in sorted({size for points in series.values() for size in points}):
        here = [points.get(size) for points in series.values()]
        rows.append([size, *(None if p is None else p.time if quantity == "time" else p.peak for p in here)])
    columns = [
        number(AXES[axis], key=axis, write=str),
        *(number(a.title, key=f"{a.key.replace('-', '_')}_{plain_unit}", write=write) for a in series),
    ]
    first = next(p for points in series.values() for p in points.values()).sizes
    fixed_size = f"D = {first.dim}" if axis == "tokens" else f"N = {first.tokens}"
    title = f"{what.capitalize()} ({unit}) over {AXES[axis]} at {fixed_size}, T = {first.time_steps}, H = {first.heads}"
    return Table(title, columns, rows)
