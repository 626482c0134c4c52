"""Models beside each other as tables: under one accounting, or under several."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from saformer.analysis.provenance import MEASURED
from saformer.reports.comparison import ORIGINS, ComparisonRow, by_data
from saformer.reports.format import (
    NOT_KNOWN,
    align_decimal_points,
    energy_unit,
    fixed,
    fixed_decimals,
    interval,
    percent,
    si,
)
from saformer.reports.tables import FirstThatFits, number_column, plain_table, text_column

# Gap between columns, and whether there is room for parameters and FLOPs.
_LAYOUTS = ((2, True), (1, True), (1, False))


def comparison_table(rows: Sequence[ComparisonRow]) -> Group:
    """A row for each model, grouped by data set; the RD columns are Eq. 21 against the reference of the group."""
    groups = by_data(rows)
    title = f"Energy per image on {rows[0].data}" if len(groups) == 1 else "Energy per image"
    return Group(
        Text(title, style="bold"),
        FirstThatFits([_comparison_table(groups, *layout) for layout in _LAYOUTS]),
        *_explanations(groups),
    )


def accountings_comparison_table(by_accounting: Mapping[str, Sequence[ComparisonRow]]) -> Group:
    """Energies of the same models under several accountings, and Eq. 21 under each; a column for each accounting.

    Published energies have a column of their own: what they were charged by is the paper's affair.

    Args:
        by_accounting: rows of the same models, in the same order, under each accounting.
    """
    groups = by_data(next(iter(by_accounting.values())))
    return Group(
        Text("Energy per image under several accountings", style="bold"),
        FirstThatFits([_accountings_table(by_accounting, gap) for gap in (2, 1)]),
        *_explanations(groups),
    )


def _accountings_table(by_accounting: Mapping[str, Sequence[ComparisonRow]], gap: int) -> Table:
    rows = list(zip(*by_accounting.values(), strict=True))
    energies = [row.energy_mj for same in rows for row in same if row.energy_mj == row.energy_mj]
    unit, factor = energy_unit(max(energies, default=0.0))
    decimals = fixed_decimals(max(energies, default=0.0) * factor)
    published = any(same[0].published for same in rows)
    several = len({same[0].data for same in rows}) > 1
    table = plain_table(gap)
    text_column(table, f"energy ({unit})")
    for header in (*by_accounting, *(["published"] if published else []), "from"):
        number_column(table, header)

    def add(write: Callable[[ComparisonRow], str]) -> None:
        for data, group in groupby(sorted(rows, key=lambda same: order[same[0].data]), key=lambda same: same[0].data):
            if several:
                table.add_row(Text(data, style="italic"))
            for same in group:
                row = same[0]
                cells = [""] * len(same) if row.published else [write(one) for one in same]
                if published:
                    cells.append(write(row) if row.published else "")
                name = f"  {row.name}" if several else row.name
                table.add_row(*map(Text, (name, *cells, row.origin)), style="bold" if row.reference else None)

    order = {data: i for i, data in enumerate(dict.fromkeys(same[0].data for same in rows))}
    add(lambda row: fixed(row.energy_mj * factor, decimals))
    table.add_section()
    table.add_row(Text("RD (Eq. 21)", style="bold"))
    add(_relative_energy)
    return table


def _relative_energy(row: ComparisonRow) -> str:
    return NOT_KNOWN if row.reference else percent(row.relative_difference, sign=True)


def _explanations(groups: Mapping[str, Sequence[ComparisonRow]]) -> list[RenderableType]:
    """Below the table: what RD is taken against, and where the rows come from."""
    rows = [row for group in groups.values() for row in group]
    references = [row for row in rows if row.reference]
    several = len({row.name for row in references if not row.published}) > 1
    ours = dict.fromkeys(
        f"{row.name}{' (published)' if row.published else f' on {row.data}' if several else ''}" for row in references
    )
    lines = [f"RD: (M_current - M_ours) / M_current (Eq. 21), positive where ours is lower; ours: {', '.join(ours)}."]
    if len({row.published for row in references}) > 1:
        lines.append("Measured rows are compared with a measured network, published rows with the published one.")
    used = dict.fromkeys(row.origin for row in rows)
    if list(used) != [MEASURED]:
        lines += [f"{origin}: {ORIGINS[origin]}." for origin in ORIGINS if origin in used]
    return [Text(line, style="dim") for line in lines]


def _comparison_table(groups: Mapping[str, Sequence[ComparisonRow]], gap: int, wide: bool) -> Table:
    rows = [row for group in groups.values() for row in group]
    several = len(groups) > 1
    table = plain_table(gap)
    text_column(table, "model")
    for header in ("params", "T", "FLOPs", "SOPs") if wide else ("T", "SOPs"):
        number_column(table, header)
    # Padded here, so that the decimal points of 0.49 and 22.6 stand above each other.
    unit, factor = energy_unit(max((row.energy_mj for row in rows if row.energy_mj == row.energy_mj), default=0.0))
    table.add_column(f"energy ({unit})", no_wrap=True)
    for header in ("RD energy", "top-1", "RD top-1"):
        number_column(table, header)
    if show_origin := any(row.origin != MEASURED for row in rows):
        text_column(table, "from", first=False)
    written = [interval(row.energy_mj * factor, (row.energy_ci95 or math.nan) * factor, digits=3) for row in rows]
    values = dict(zip(map(id, rows), align_decimal_points([value for value, _ in written]), strict=True))
    widths = dict(zip(map(id, rows), (half_width for _, half_width in written), strict=True))
    for i, (data, group) in enumerate(groups.items()):
        if several:
            if i:
                table.add_section()
            table.add_row(Text(data, style="italic"))
        for row in group:
            value, half_width = values[id(row)], widths[id(row)]
            cells = [
                f"  {row.name}" if several else row.name,
                *([si(row.parameters)] if wide else []),
                NOT_KNOWN if row.time_steps is None else str(row.time_steps),
                *([si(row.flops)] if wide else []),
                si(row.sops),
                f"{value} ± {half_width}" if half_width else value,
                _relative_energy(row),
                percent(row.top1, decimals=2),
                NOT_KNOWN if row.reference else percent(row.relative_accuracy, sign=True),
                *([row.origin] if show_origin else []),
            ]
            table.add_row(*map(Text, cells), style="bold" if row.reference else None)
    return table
