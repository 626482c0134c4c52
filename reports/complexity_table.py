"""Complexity of attentions as tables: formulas beside the published ones, numbers, and measured exponents."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saformer.analysis.complexity.fitting import LEADING_SHARE, TIMES_OVERHEAD, Fit
from saformer.analysis.complexity.formulas import (
    ATTENTION,
    E_AC,
    E_M,
    E_MAC,
    LEFT_OUT,
    PARTS,
    R_O,
    SYNAPTIC,
    Attention,
    H,
    R,
    Sizes,
    picojoules,
)
from saformer.analysis.complexity.orders import order
from saformer.analysis.hardware import Hardware
from saformer.reports.algebra import big_o, formula_text
from saformer.reports.format import NOT_KNOWN, energy_unit, fixed, fixed_decimals, si, significant
from saformer.reports.literature import published_complexity
from saformer.reports.tables import FirstThatFits, hanging, number_column, plain_table, text_column

if TYPE_CHECKING:
    from sympy import Expr

    from saformer.analysis.complexity.measuring import Measurement
    from saformer.analysis.complexity.modules import Difference

DIFFERS = "≠"
_MJ = 1e-9  # of a picojoule
AXES = {"tokens": "N", "dim": "D"}
QUANTITIES = {"time": ("time", "ms", 1e3), "memory": ("peak memory", "MiB", 2.0**-20)}


def published() -> "dict[tuple[str, str], Expr]":
    """The published formulas by attention and quantity: time, space, or a part of the energy."""
    import sympy

    from saformer.analysis.complexity import formulas

    symbols = {name: value for name, value in vars(formulas).items() if isinstance(value, sympy.Symbol)}
    rows = published_complexity().itertuples()
    return {(str(row.attention), str(row.quantity)): sympy.sympify(row.formula, locals=symbols) for row in rows}


def differs(ours: "Expr", theirs: "Expr") -> bool:
    """Not the same formula for one head, with one rate for the inputs of all projections as published."""
    import sympy

    return sympy.expand(ours.subs({H: 1, R_O: R}) - theirs) != 0


def complexity_report(attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware) -> Group:
    """Tables 4 and 5: time, space and energy as formulas beside the published ones, and as numbers."""
    return Group(
        _orders(attentions),
        *_notes(
            [
                "per image and time step; H heads, n aggregated tokens. time: dense operations of the attention "
                "itself; module: with its projections; space: q, k (v) and the attention map.",
                "paper: for one head, restored from its definitions; our copy of the paper has lost these cells.",
                *([_map_alone(attentions)] if _map_alone(attentions) else []),
            ]
        ),
        Text(),
        _energies(attentions, sizes, hardware),
        *_notes(_energy_notes(attentions)),
        Text(),
        _numbers(attentions, sizes, hardware),
        *_notes(
            [
                f"per image, over all T time steps (VSA runs once); every rate is R = {sizes.rate:g}. "
                "Eqs. 18-20: input projections, attention, output projection. Table 5: with scale and softmax.",
                f"{hardware.name}: " + _prices(hardware),
            ]
        ),
    )


def verification(found: "Iterable[tuple[Attention, Sequence[Difference]]]") -> Group:
    """Whether the recorder counts on the real modules what the formulas say."""
    lines, checked = [], []
    for attention, differences in found:
        checked.append(attention)
        for d in differences:
            counts = (NOT_KNOWN if count is None else f"{count:,}" for count in (d.formula, d.recorder))
            lines.append("{}, {}: the formula says {}, the recorder {}".format(attention.title, d.what, *counts))
    if not lines:
        terms = sum(len(a.terms) + len(a.matrices) for a in checked)
        lines = [f"the recorder counts the same on the real modules: {terms} terms of {len(checked)} attentions"]
    return Group(*map(Text, lines))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Group:
    """A titled table whose first columns hold text, and whose others hold numbers."""
    layouts = [_layout(columns, rows, texts, gap) for gap in (2, 1)]
    return Group(Text(title, style="bold"), FirstThatFits(layouts))


def _layout(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, gap: int) -> Table:
    table = plain_table(gap)
    for i, column in enumerate(columns):
        if i < texts:
            text_column(table, column, first=i == 0)
        else:
            number_column(table, column)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _notes(lines: Iterable[str]) -> list[RenderableType]:
    return [Text(line, style="dim") for line in lines]


def _orders(attentions: Sequence[Attention]) -> Group:
    theirs = published()
    rows = []
    for a in attentions:
        cells = []
        for quantity, formula in (("time", a.time(ATTENTION)), ("space", a.space)):
            found = theirs.get((a.key, quantity))
            paper = NOT_KNOWN if found is None else big_o(found)
            if found is not None and differs(order(formula.subs(H, 1)), found):
                paper += f" {DIFFERS}"
            cells += [big_o(order(formula)), paper]
        rows.append((a.title, cells[0], cells[1], big_o(order(a.time())), cells[2], cells[3]))
    columns = ["attention", "time", "time (paper)", "module", "space", "space (paper)"]
    return _table("Time and space (Table 4)", columns, rows, len(columns))


def _map_alone(attentions: Sequence[Attention]) -> str:
    sasa = next((a for a in attentions if a.key.startswith("sasa")), None)
    if sasa is None:
        return ""
    term = next(term for term in sasa.terms if term.name == "qk")
    return f"The attention map of SASA alone takes {big_o(term.count)}."


def _energies(attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware) -> Group:
    import sympy

    theirs = published()
    values = {
        (a.key, part): picojoules(a, sizes, hardware, part) for a in attentions for part in PARTS if a.energy(part)
    }
    unit, factor, decimals = _scale(values.values())
    rows = []
    for a in attentions:
        title = a.title
        for part in PARTS:
            if (a.key, part) not in values:
                continue
            ours, found = a.energy(part), theirs.get((a.key, part))
            paper = NOT_KNOWN if found is None else formula_text(sympy.factor(found))
            if found is not None and differs(ours, found):
                paper += f" {DIFFERS}"
            rows.append(
                (title, part, formula_text(sympy.factor(ours)), paper, _energy(values[a.key, part], factor, decimals))
            )
            title = ""
    return _table("Energy (Table 5)", ["attention", "part", "energy", "paper", unit], rows, 4)


def _energy_notes(attentions: Sequence[Attention]) -> list[str]:
    lines = ["R: nonzero rate of the input, R_Q ... of what gates a product, R_O of the output projection's input."]
    if any(a.key == "ssa" for a in attentions):
        lines.append(
            f"{DIFFERS} SSA: the published modules scale Q K^T V (N D products), the table Q K^T (N^2). Neither is "
            "left once s is folded into the threshold."
        )
    if any(t.part == LEFT_OUT for a in attentions for t in a.terms):
        lines.append(
            f"{LEFT_OUT}: phi(q) and phi(k) add 2 N D real values where n < N; Eqs. 18-20 and Table 5 do not charge "
            "that, and it is in no sum here."
        )
    return lines


def _numbers(attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware) -> Group:
    charged = tuple(part for part in PARTS if part != LEFT_OUT)
    energies = [(picojoules(a, sizes, hardware, *SYNAPTIC), picojoules(a, sizes, hardware)) for a in attentions]
    unit, factor, decimals = _scale(value for pair in energies for value in pair)
    rows = [
        (
            a.title,
            si(a.count(sizes, *SYNAPTIC)),
            *(si(float(a.charged(sizes, kind, *charged))) for kind in (E_MAC, E_AC, E_M)),
            si(a.elements(sizes)),
            *(_energy(value, factor, decimals) for value in pair),
        )
        for a, pair in zip(attentions, energies, strict=True)
    ]
    title = (
        f"N = {sizes.tokens}, D = {sizes.dim}, n = {sizes.aggregated}, H = {sizes.heads}, T = {sizes.time_steps}, "
        f"R = {sizes.rate:g}"
    )
    columns = [
        "attention",
        "FLOPs",
        "MACs",
        "ACs",
        "multiplies",
        "elements",
        f"Eqs. 18-20 ({unit})",
        f"Table 5 ({unit})",
    ]
    return _table(title, columns, rows, 1)


def _scale(values: "Iterable[float | None]") -> tuple[str, float, int]:
    largest = max((value for value in values if value is not None), default=0.0) * _MJ
    unit, factor = energy_unit(largest)
    return unit, factor * _MJ, fixed_decimals(largest * factor) + 2  # a scale or a mask is small beside a projection


def _energy(value: float | None, factor: float, decimals: int) -> str:
    return NOT_KNOWN if value is None else fixed(value * factor, decimals)


def _prices(hardware: Hardware) -> str:
    prices = (("E_MAC", hardware.mac_pj), ("E_AC", hardware.ac_pj), ("E_M", hardware.multiply_pj))
    return ", ".join(f"{name} {'none' if price is None else f'{price:g} pJ'}" for name, price in prices)


# -- measured --------------------------------------------------------------------------------------------------------


def exponent_text(axis: str, fit: Fit) -> str:
    """`N^1.02 [0.98, 1.06]`; no interval with two sizes, `-` with fewer."""
    if fit.measured is None:
        return NOT_KNOWN
    law = fit.measured
    text = f"{AXES[axis]}^{law.exponent:.2f}"
    return text if law.low is None else f"{text} [{law.low:.2f}, {law.high:.2f}]"


def scaling_report(attentions: Sequence[Attention], measurement: "Measurement") -> Group:
    """Measured exponents beside those of the formulas, then what was measured at every size, and what was skipped."""
    parts: list[RenderableType] = [_exponents(attentions, measurement)]
    notes = [
        "formula: the same fit to the formula's own numbers at the same sizes, with its terms of lower order.",
        f"Fitted: sizes at which the leading term is at least {LEADING_SHARE:.0%} of the formula, and the time at "
        f"least {TIMES_OVERHEAD} times that of the same module at N = 1, D = H.",
    ]
    fits = [fit for a in attentions for axis in AXES for fit in _fits(a, axis, measurement).values()]
    if any(not fit.asymptotic and fit.measured for fit in fits):
        notes.append("* fewer than three sizes are such: the three largest were taken.")
    parts += _notes(notes)
    for axis in AXES:
        for quantity in QUANTITIES:
            table = _points(attentions, axis, quantity, measurement)
            if table is not None:
                parts += [Text(), table]
    skipped = [p for p in measurement.points if p.skipped is not None]
    if skipped:
        parts.append(Text())
    for p in skipped:
        parts.append(
            hanging("skipped: ", f"{p.attention.title} at N = {p.sizes.tokens}, D = {p.sizes.dim}: {p.skipped}")
        )
    return Group(*parts)


def _fits(attention: Attention, axis: str, measurement: "Measurement") -> dict[str, Fit]:
    if not measurement.series(attention, axis):
        return {}
    return {"time": measurement.time_fit(attention, axis), "memory": measurement.memory_fit(attention, axis)}


def _exponents(attentions: Sequence[Attention], measurement: "Measurement") -> Group:
    rows = []
    for axis, symbol in AXES.items():
        for quantity, (what, _, _) in QUANTITIES.items():
            label = f"{what} over {symbol}"
            for a in attentions:
                fit = _fits(a, axis, measurement).get(quantity)
                if fit is None:
                    continue
                formula = NOT_KNOWN if fit.formula is None else f"{symbol}^{fit.formula:.2f}"
                sizes = f"{fit.sizes[0]}-{fit.sizes[-1]} ({len(fit.sizes)})" if fit.sizes else NOT_KNOWN
                mark = "" if fit.asymptotic or fit.measured is None else " *"
                order_text = symbol if fit.symbolic == 1 else f"{symbol}^{fit.symbolic}"
                rows.append((label, a.title, order_text, formula, exponent_text(axis, fit) + mark, sizes))
                label = ""
    where = measurement.device if measurement.device != "cpu" else f"{measurement.threads} threads of this CPU"
    columns = ["quantity", "attention", "symbolic", "formula", "measured [95 % interval]", "sizes fitted"]
    return _table(f"Scaling of the real modules, batch 1, float32, on {where}", columns, rows, len(columns))


def _points(attentions: Sequence[Attention], axis: str, quantity: str, measurement: "Measurement") -> Group | None:
    what, unit, factor = QUANTITIES[quantity]
    series = {a.key: {p.size: p for p in measurement.series(a, axis)} for a in attentions}
    sizes = sorted({size for points in series.values() for size in points})
    if not sizes:
        return None
    rows = []
    for size in sizes:
        values = [p.time if quantity == "time" else p.peak for p in (series[a.key][size] for a in attentions)]
        rows.append((str(size), *(NOT_KNOWN if v is None else significant(v * factor) for v in values)))
    first = next(iter(series[attentions[0].key].values())).sizes
    fixed_size = f"D = {first.dim}" if axis == "tokens" else f"N = {first.tokens}"
    title = f"{what.capitalize()} ({unit}) over {AXES[axis]} at {fixed_size}, T = {first.time_steps}, H = {first.heads}"
    return _table(title, [AXES[axis], *(a.title for a in attentions)], rows, 0)
