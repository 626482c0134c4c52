"""Complexity of attentions by formula, beside the published ones and as numbers: Tables 4 and 5."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from saformer.analysis.accounting.hardware import Hardware
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
    T,
)
from saformer.analysis.complexity.growth import order
from saformer.reports.document.blocks import Line, Part, Report
from saformer.reports.document.formulas import big_o, formula_text
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit
from saformer.reports.document.table import Cell, Column, Table, TableLayout, number
from saformer.reports.results.complexity import CHARGED, complexity_data, millijoules, published
from saformer.reports.tables.scaling import scaling_report

if TYPE_CHECKING:
    from sympy import Expr

    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.verify import Difference

DIFFERS = "≠"
_SHORT = {"input projections": "projections", "output projection": "output"}
_MORE_DECIMALS = 2  # a scale or a mask is small beside a projection


def complexity_report(
    attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, measurement: "Measurement | None" = None
) -> Report:
    """`complexity_parts`, and all of it as one object for JSON."""
    return Report(
        complexity_parts(attentions, sizes, hardware, measurement),
        complexity_data(attentions, sizes, hardware, measurement),
    )


def complexity_parts(
    attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, measurement: "Measurement | None" = None
) -> list[Part]:
    """Tables 4 and 5: time, space and energy as formulas beside the published ones, as numbers, and as measured.

    Args:
        attentions: which.
        sizes: of the numbers; a measurement has its own.
        hardware: picojoules per operation.
        measurement: adds exponents, and times and peak memory at every size.
    """
    unit = energy_unit(*(millijoules(a, sizes, hardware) for a in attentions))
    parts: list[Part] = [
        _orders(attentions),
        Line(),
        _energies(attentions, sizes, hardware, unit),
        Line(),
        _numbers(attentions, sizes, hardware, unit),
    ]
    return parts if measurement is None else [*parts, Line(), *scaling_report(attentions, measurement).parts]


def verification(found: "Iterable[tuple[Attention, Sequence[Difference]]]") -> Report:
    """Whether the recorder counts on the real modules what the formulas say."""
    lines, checked, named = [], [], []
    for attention, differences in found:
        checked.append(attention)
        for d in differences:
            counts = (NOT_KNOWN if count is None else f"{count:,}" for count in (d.formula, d.recorder))
            text = "{}, {}: the formula says {}, the recorder {}".format(attention.title, d.what, *counts)
            lines.append(Line(text, "warning"))
            named.append({"attention": attention.key, "what": d.what, "formula": d.formula, "recorder": d.recorder})
    terms = sum(len(a.terms) + len(a.matrices) for a in checked)
    if not lines:
        text = f"the recorder counts the same on the real modules: {terms} terms of {len(checked)} attentions"
        lines = [Line(text, "note")]
    return Report(lines, {"verified": {"terms": terms, "differences": named}})


def differs(ours: "Expr", theirs: "Expr") -> bool:
    """Not the same formula for one head, with one rate for the inputs of all projections as published."""
    import sympy

    return sympy.expand(ours.subs({H: 1, R_O: R}) - theirs) != 0


def _beside(ours: "Expr", theirs: "Expr | None", write: "Callable[[Expr], str]") -> Cell:
    """The published formula, marked where ours is another."""
    if theirs is None:
        return Cell(None, NOT_KNOWN)
    return Cell(str(theirs), write(theirs), f" {DIFFERS}" if differs(ours, theirs) else "")


def _orders(attentions: Sequence[Attention]) -> Table:
    def cell(formula: "Expr") -> Cell:
        found = order(formula)
        return Cell(str(found), big_o(found))

    theirs = published()
    rows = [
        [
            Cell(a.key, a.title),
            cell(a.time(ATTENTION)),
            _beside(order(a.time(ATTENTION).subs(H, 1)), theirs.get((a.key, "time")), big_o),
            cell(a.time()),
            cell(a.space),
            _beside(order(a.space.subs(H, 1)), theirs.get((a.key, "space")), big_o),
        ]
        for a in attentions
    ]
    columns = [
        Column("attention"),
        Column("time", key="time_order", formula=True),
        Column("time (paper)", key="time_order_published", formula=True),
        Column("module", key="module_order", formula=True),
        Column("space", key="space_order", formula=True),
        Column("space (paper)", key="space_order_published", formula=True),
    ]
    notes = [
        "per image and time step; H heads, n aggregated tokens. time: dense operations of the attention itself; "
        "module: with its projections; space: q, k (v) and the attention map.",
        "paper: for one head, restored from its definitions; our copy of the paper has lost these cells.",
        *_map_alone(attentions),
        *_over_time(attentions),
    ]
    return Table("Time and space (Table 4)", columns, rows, notes)


def _map_alone(attentions: Sequence[Attention]) -> list[str]:
    sasa = next((a for a in attentions if a.key.startswith("sasa")), None)
    if sasa is None:
        return []
    term = next(term for term in sasa.terms if term.name == "qk")
    return [f"The attention map of SASA alone takes {big_o(term.count)}."]


def _over_time(attentions: Sequence[Attention]) -> list[str]:
    growing = [a.title for a in attentions if a.time().has(T)]
    return [f"T: a step of {', '.join(growing)} attends to other steps; the mean over all steps."] if growing else []


def _energies(attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, unit: EnergyUnit) -> Table:
    import sympy

    def write(formula: "Expr") -> str:
        return formula_text(sympy.factor(formula))

    theirs = published()
    rows, values = [], []
    for a in attentions:
        title = a.title
        for part in PARTS:
            ours = a.energy(part)
            if not ours:
                continue
            values.append(millijoules(a, sizes, hardware, part))
            paper = _beside(ours, theirs.get((a.key, part)), write)
            rows.append(
                [
                    Cell(a.key, title),
                    Cell(part, _SHORT.get(part, part)),
                    Cell(str(ours), write(ours)),
                    paper,
                    values[-1],
                ]
            )
            title = ""
    text = unit.column(values, _MORE_DECIMALS)
    columns = [
        Column("attention"),
        Column("part"),
        Column("energy", key="energy", formula=True),
        Column("paper", key="energy_published", formula=True),
        number(unit.name, key="energy_mj_per_image", write=text),
    ]
    # One blank between columns: room for every formula on one line counts for more than air.
    return Table("Energy (Table 5)", columns, rows, _energy_notes(attentions), [TableLayout(1)])


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


def _numbers(attentions: Sequence[Attention], sizes: Sizes, hardware: Hardware, unit: EnergyUnit) -> Table:
    energies = [(millijoules(a, sizes, hardware, *SYNAPTIC), millijoules(a, sizes, hardware)) for a in attentions]
    text = unit.column((value for pair in energies for value in pair), _MORE_DECIMALS)
    rows = [
        [
            Cell(a.key, a.title),
            a.count(sizes, *SYNAPTIC),
            *(float(a.charged(sizes, kind, *CHARGED)) for kind in (E_MAC, E_AC, E_M)),
            a.elements(sizes),
            *pair,
        ]
        for a, pair in zip(attentions, energies, strict=True)
    ]
    columns = [
        Column("attention"),
        number("FLOPs", key="flops_per_image"),
        number("MACs", key="macs_per_image"),
        number("ACs", key="acs_per_image"),
        number("multiplies", key="multiplies_per_image"),
        number("elements", key="elements_per_image"),
        number("Eqs. 18-20", unit.name, key="energy_mj_per_image", write=text),
        number("Table 5", unit.name, key="energy_mj_table_5_per_image", write=text),
    ]
    title = (
        f"N = {sizes.tokens}, D = {sizes.dim}, n = {sizes.aggregated}, H = {sizes.heads}, T = {sizes.time_steps}, "
        f"R = {sizes.rate:g}"
    )
    notes = [
        f"per image, over all T time steps (VSA runs once); every rate is R = {sizes.rate:g}. "
        "Eqs. 18-20: input projections, attention, output projection. Table 5: with scale and softmax.",
        f"{hardware.name}: " + _prices(hardware),
    ]
    return Table(title, columns, rows, notes)


def _prices(hardware: Hardware) -> str:
    prices = (("E_MAC", hardware.mac_pj), ("E_AC", hardware.ac_pj), ("E_M", hardware.multiply_pj))
    return ", ".join(f"{name} {'none' if price is None else f'{price:g} pJ'}" for name, price in prices)
