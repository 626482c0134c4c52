"""The energy of each block or operation, and the totals: what `saformer energy` prints."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from saformer.analysis.accounting.account import Account, LayerAccount
from saformer.analysis.accounting.classes import worst_class
from saformer.analysis.profiles import ValueClass
from saformer.reports.document.blocks import Line, Report, note
from saformer.reports.document.numbers import EnergyUnit, energy_unit, level, percent, si
from saformer.reports.document.table import Cell, Column, Role, Row, Table, TableLayout, hidden, number
from saformer.reports.tables.what_was_run import counted, what_was_run

_MEANING = {
    ValueClass.SILENT: "zeros alone",
    ValueClass.SPIKES: "zeros and one value",
    ValueClass.TERNARY: "and its negative",
    ValueClass.GRADED: "whole multiples",
    ValueClass.AVERAGED: "of spikes",
    ValueClass.UNPROVEN: "too few to tell",
    ValueClass.REAL: "anything else",
}
CI_SOURCES = {"image": "variance over images", "batch": "from batch means"}
_LAYOUTS = tuple(TableLayout(gap, bar) for gap, bar in ((2, 12), (2, 6), (1, 6), (2, 0), (1, 0)))


def energy_report(account: Account, layers: bool = False, unit: EnergyUnit | None = None) -> Report:
    """What was run, the energy of each block (with `layers`, of each operation too), and the totals.

    Args:
        account: of one network.
        layers: with a row for each operation.
        unit: of all energies; that of the account's own where it is not given.
    """
    unit = unit or energy_unit(account.energy_mj)
    return Report(
        (
            what_was_run(account, unit=unit),
            Line(),
            energy_table(account, layers, unit),
            Line(),
            _energy_line(account, unit),
            *map(note, account.notes),
            counted(account),
        ),
        account.to_json(),
    )


def energy_table(account: Account, layers: bool = False, unit: EnergyUnit | None = None) -> Table:
    """The energy of each block, or of each operation with its block as a subtotal. Per image.

    Accounting and hardware stand in every row of CSV, so that tables of several accountings can be put together.
    """
    found = blocks(account.layers)
    sums = {name: _sum(members) for name, members in found.items()}
    largest = max((total.energy_mj or 0.0 for total in sums.values()), default=0.0)
    unit = unit or energy_unit(account.energy_mj)
    write = unit.column([largest])
    show_macs = any(layer.macs for layer in account.layers)
    show_acs = any(layer.acs for layer in account.layers) or not show_macs
    what = [Column("operation", key="layer"), hidden("block"), Column("op", rank=3)]
    columns = [
        *(what if layers else [Column("block"), number("ops", key="operations", write=str)]),
        Column("class", common=True),
        hidden("unit"),
        hidden("levels"),
        number("FLOPs", key="flops_per_image"),
        hidden("input_elements_per_image"),
        hidden("input_nonzero_per_image"),
        number("rate", key="firing_rate"),
        hidden("firing_rate_ci95"),
        hidden("input_is_binary"),
        number("SOPs", key="sops_per_image", rank=2),
        hidden("sops_exact_per_image"),
        number("MACs", key="macs_per_image", shown=show_macs),
        number("ACs", key="acs_per_image", shown=show_acs),
        number(unit.name, key="energy_mj_per_image"),
        number("share", data=False, write=percent),
        Column("", bar=True, data=False),
        hidden("accounting"),
        hidden("hardware"),
    ]

    def row(first: Sequence[Any], total: _Sum, role: Role = "", strong: bool = False, rule: bool = False) -> Row:
        energy = float("nan") if total.energy_mj is None else total.energy_mj
        share = energy / account.energy_mj if account.energy_mj else float("nan")
        cells = [
            *first,
            Cell(total.kind, "" if total.kind is None or role == "total" else str(total.kind)),
            total.unit,
            total.levels,
            total.flops,
            total.elements,
            total.nonzero,
            Cell(total.rate, percent(total.rate)),
            total.rate_ci95,
            total.binary,
            total.sops,
            total.sops_exact,
            total.macs,
            total.acs,
            Cell(total.energy_mj, write(total.energy_mj)),
            share,
            None if role == "total" else energy / largest if largest else 0.0,
            account.accounting,
            account.hardware.name,
        ]
        return Row(cells, role, rule, strong)

    rows: list[Row] = []
    several = any(len(members) > 1 for members in found.values())
    for i, (block, members) in enumerate(found.items()):
        last = i == len(found) - 1
        if not layers:
            rows.append(row((block, len(members)), sums[block], rule=last))
        elif len(members) == 1:
            # A block of one operation is its own subtotal.
            only = members[0]
            rows.append(row((only.name, block, only.op), sums[block], strong=True, rule=last))
        else:
            rows.append(row((block, block, ""), sums[block], "subtotal"))
            for j, layer in enumerate(members):
                name = Cell(layer.name, "  " + layer.name.removeprefix(block + "."))
                rows.append(row((name, block, layer.op), _sum([layer]), rule=last and j == len(members) - 1))
    if account.layers:
        first = ("total", "", "") if layers else ("total", len(account.layers))
        rows.append(row(first, _sum(account.layers), "total"))
    caption = [
        f"Per image, over {_steps(account)}. FLOPs: dense multiply-accumulates.",
        "rate: nonzero share of the input; of a block and of the total: SOPs / FLOPs.",
    ]
    if meaning := [f"{kind} ({_MEANING[kind]})" for kind in account.classes if kind in _MEANING]:
        of_several = "; of a block, the worst" if several and len(meaning) > 1 else ""
        caption.append(f"class of the input: {', '.join(meaning)}{of_several}.")
    where = f"{account.model.title} on {account.data.name}"
    title = f"Energy per image of {where}; accounting {account.accounting}, on {account.hardware.name}"
    return Table(title, columns, rows, caption, _LAYOUTS, quiet=True)


def _steps(account: Account) -> str:
    steps = account.model.time_steps
    return "all time steps" if steps is None else f"all T = {steps} time steps"


def _energy_line(account: Account, unit: EnergyUnit) -> Line:
    left_out = f" without {si(account.macs_not_covered)} MACs" if account.macs_not_covered else ""
    text = f"energy {unit.text(account.energy_mj, account.energy_mj_ci95, digits=4)} per image{left_out}"
    if account.energy_mj_ci95 is None:
        return Line(text, "strong")
    source = CI_SOURCES.get(account.ci_unit or "")
    width = level(account.ci_level)
    comment = f"{width} interval" if source is None else f"{width} interval, {source}"
    return Line(text, "strong", after=f" ({comment})")


@dataclass(frozen=True)
class _Sum:
    """What a row of the energy table shows: one operation, a block, or the whole model."""

    flops: float
    elements: float
    nonzero: float
    sops: float
    sops_exact: float
    macs: float
    acs: float
    energy_mj: float | None
    rate: float
    rate_ci95: float | None
    binary: bool
    kind: ValueClass | None
    unit: float | None
    levels: int | None


def _sum(layers: Sequence[LayerAccount]) -> _Sum:
    flops = sum(layer.flops for layer in layers)
    sops = sum(layer.sops for layer in layers)
    single = layers[0] if len(layers) == 1 else None
    # By Eq. 18 an operation's SOPs / FLOPs is its firing rate, so the sums give the rate of a block.
    rate = single.firing_rate if single else sops / flops if flops else float("nan")
    energies = [layer.energy_mj for layer in layers if layer.energy_mj is not None]
    return _Sum(
        flops=flops,
        elements=sum(layer.input_elements for layer in layers),
        nonzero=sum(layer.input_nonzero for layer in layers),
        sops=sops,
        sops_exact=sum(layer.sops_exact for layer in layers),
        macs=sum(layer.macs for layer in layers),
        acs=sum(layer.acs for layer in layers),
        energy_mj=sum(energies) if energies else None,
        rate=rate,
        rate_ci95=single.firing_rate_ci95 if single else None,
        binary=all(layer.binary for layer in layers),
        kind=worst_class(layers),
        unit=single.unit if single else None,
        levels=single.levels if single else None,
    )


def blocks(layers: Iterable[LayerAccount]) -> dict[str, list[LayerAccount]]:
    """The operations of each block, in the order of execution."""
    found: dict[str, list[LayerAccount]] = {}
    for layer in layers:
        found.setdefault(layer.block, []).append(layer)
    return found
