"""One network under several accountings, side by side, and why they differ."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from saformer.analysis.account import Account
from saformer.analysis.accountings import summary
from saformer.analysis.differences import differences
from saformer.reports.format import energy, energy_unit, fixed, fixed_decimals, si
from saformer.reports.tables import hanging, number_column, plain_table, text_column, what_was_run

_NAMES = 5  # operations that an explanation names before it stops


def accountings_report(accounts: Sequence[Account], layers: bool = False) -> Group:
    """A column for each accounting, a row for each block (with `layers` each operation), totals, and the reasons.

    Args:
        accounts: of one profile on one hardware; the first is what the others are compared with.
        layers: a row for each operation instead of each block.
    """
    reference = accounts[0]
    unit, factor = energy_unit(max((account.energy_mj or 0.0) for account in accounts))
    cells: dict[str, list[float]] = {}
    for column, account in enumerate(accounts):
        for layer in account.layers:
            key = layer.name if layers else layer.block
            cells.setdefault(key, [0.0] * len(accounts))[column] += (layer.energy_mj or 0.0) * factor
    decimals = fixed_decimals(max((value for row in cells.values() for value in row), default=0.0))
    table = plain_table(gap=2)
    text_column(table, f"energy ({unit})")
    for account in accounts:
        number_column(table, account.accounting)
    for i, (name, values) in enumerate(cells.items()):
        table.add_row(Text(name), *(Text(fixed(v, decimals)) for v in values), end_section=i == len(cells) - 1)
    table.add_row(
        Text("total"), *(Text(fixed((a.energy_mj or 0.0) * factor, decimals)) for a in accounts), style="bold"
    )
    table.add_row(Text("MACs"), *(Text(si(a.macs)) for a in accounts))
    table.add_row(Text("ACs"), *(Text(si(a.acs)) for a in accounts))
    lines: list[RenderableType] = []
    for account in accounts:
        lines += ["", Text(f"{account.accounting}: {summary(account.accounting)}", style="bold")]
        if account is reference:
            continue
        found = differences(account, reference)
        if not found:
            lines.append(Text("  charges this network as paper does", style="dim"))
        for difference in found:
            names = ", ".join(difference.names[:_NAMES])
            if len(difference.names) > _NAMES:
                names += f" and {len(difference.names) - _NAMES} more"
            change = "" if difference.energy_mj is None else f"{_signed(difference.energy_mj)}  "
            lines.append(hanging("  ", f"{change}{difference.reason}: {names}"))
    notes = dict.fromkeys(note for account in accounts for note in account.notes)
    return Group(
        what_was_run(reference, accounting="several, side by side"),
        Text(),
        table,
        *lines,
        Text(),
        *(hanging("note: ", note) for note in notes),
    )


def _signed(millijoules: float) -> str:
    return f"{'+' if millijoules >= 0 else '-'}{energy(abs(millijoules))}"
