"""One network under several accountings, side by side, and why they differ."""

import math
from collections.abc import Sequence

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.explain import differences
from saformer.analysis.accounting.rules import summary
from saformer.reports.document.blocks import Line, Part, Report, note
from saformer.reports.document.numbers import EnergyUnit, energy_unit, si
from saformer.reports.document.table import Cell, Column, Row, Table, TableLayout, number
from saformer.reports.results.accounts import accounts_data
from saformer.reports.tables.what_was_run import what_was_run

#: Of tables with a column for each accounting.
ACCOUNTING_LAYOUTS = tuple(TableLayout(gap, hyphens=hyphens) for hyphens in (False, True) for gap in (2, 1))
_NAMES = 5  # operations that an explanation names before it stops


def accountings_report(accounts: Sequence[Account], layers: bool = False, unit: EnergyUnit | None = None) -> Report:
    """A column for each accounting, a row for each block (with `layers` each operation), totals, and the reasons.

    Args:
        accounts: of one profile on one hardware; the first is what the others are compared with.
        layers: a row for each operation instead of each block.
        unit: of all energies; chosen here where it is not given.
    """
    reference = accounts[0]
    unit = unit or energy_unit(*(account.energy_mj for account in accounts))
    lines: list[Line] = []
    for account in accounts:
        lines += [Line(), Line(f"{account.accounting}: {summary(account.accounting)}", "strong")]
        if account is reference:
            continue
        if account.sees_nothing:
            continue  # as a note says
        found = differences(account, reference)
        if not found:
            lines.append(Line("charges this network as paper does", "dim", label="  "))
        for difference in found:
            names = ", ".join(difference.names[:_NAMES])
            if len(difference.names) > _NAMES:
                names += f" and {len(difference.names) - _NAMES} more"
            change = "" if difference.energy_mj is None else f"{_signed(unit, difference.energy_mj)}  "
            lines.append(Line(f"{change}{difference.reason}: {names}", label="  "))
    notes = dict.fromkeys(text for account in accounts for text in account.notes)
    facts = what_was_run(reference, accounting="several, side by side", unit=unit)
    parts: list[Part] = [facts, Line(), accountings_table(accounts, layers, unit), *lines, Line(), *map(note, notes)]
    return Report(parts, accounts_data(accounts))


def accountings_table(accounts: Sequence[Account], layers: bool = False, unit: EnergyUnit | None = None) -> Table:
    """The energies alone: a column for each accounting, a row for each block or operation."""
    unit = unit or energy_unit(*(account.energy_mj for account in accounts))
    cells: dict[str, list[float]] = {}
    nothing = [math.nan if account.sees_nothing else 0.0 for account in accounts]  # a dash
    for i, account in enumerate(accounts):
        for layer in account.layers:
            key = layer.name if layers else layer.block
            cells.setdefault(key, list(nothing))[i] += layer.energy_mj or 0.0
    write = unit.column(value for row in cells.values() for value in row)
    columns = [
        Column(f"energy ({unit.name})", key="layer" if layers else "block"),
        *(number(account.accounting, key=f"{account.accounting}_mj_per_image", write=write) for account in accounts),
    ]
    rows = [Row([name, *values], rule=i == len(cells) - 1) for i, (name, values) in enumerate(cells.items())]
    rows += [
        Row(["total", *(math.nan if a.sees_nothing else a.energy_mj or 0.0 for a in accounts)], "total"),
        Row(["MACs", *(Cell(account.macs, si(account.macs)) for account in accounts)], "sum"),
        Row(["ACs", *(Cell(account.acs, si(account.acs)) for account in accounts)], "sum"),
    ]
    where = f"{accounts[0].model.title} on {accounts[0].data.name}"
    return Table(
        f"Energy per image of {where} under several accountings", columns, rows, (), ACCOUNTING_LAYOUTS, quiet=True
    )


def _signed(unit: EnergyUnit, millijoules: float) -> str:
    return f"{'+' if millijoules >= 0 else '-'}{unit.text(abs(millijoules))}"
