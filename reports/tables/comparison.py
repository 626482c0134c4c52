"""Models beside each other as tables: under one accounting, or under several."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isnan

from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit, percent
from saformer.reports.document.table import (
    Cell,
    Column,
    Row,
    Table,
    TableLayout,
    energy_cells,
    energy_columns,
    hidden,
    number,
)
from saformer.reports.results.comparison import ORIGINS, ComparisonRow, by_data
from saformer.reports.tables.accountings import ACCOUNTING_LAYOUTS

# Narrow terminals do without parameters and FLOPs, then without the difference in accuracy.
_LAYOUTS = (TableLayout(2), TableLayout(1), TableLayout(1, rank=1), TableLayout(1, rank=0))


def time_steps_text(value: int | None) -> str:
    """T in full."""
    return NOT_KNOWN if value is None else str(value)


def comparison_table(rows: Sequence[ComparisonRow], unit: EnergyUnit | None = None) -> Table:
    """A row for each model, grouped by data set; the RD columns are Eq. 21 against the reference of the group.

    Energies are in `unit`, or in that of the largest.
    """
    groups = by_data(rows)
    several = len(groups) > 1
    unit = unit or energy_unit(*(row.energy_mj for row in rows))
    columns = [
        Column("model"),
        number("params", key="parameters", rank=2),
        number("T", key="time_steps", write=time_steps_text, common=True),
        number("FLOPs", key="flops_per_image", rank=2),
        number("SOPs", key="sops_per_image"),
        *energy_columns(unit),
        number("RD energy", key="relative_difference_energy", write=_signed),
        number("top-1", key="top1_accuracy", write=lambda value: percent(value, decimals=2)),
        number("RD top-1", key="relative_difference_top1", write=_signed, rank=1),
        Column("from", key="from", shown=any(row.origin != Origin.MEASURED for row in rows), common=True),
        hidden("data"),
    ]
    made: list[Row] = []
    for data, group in groups.items():
        if several:
            made.append(Row([data], "heading"))
        for row in group:
            cells = [
                _name(row, several),
                row.parameters,
                row.time_steps,
                row.flops,
                row.sops,
                *energy_cells(unit, row.energy_mj, row.energy_ci95),
                _relative_energy(row),
                row.top1,
                Cell(row.relative_accuracy, NOT_KNOWN) if row.reference else row.relative_accuracy,
                row.origin,
                row.data,
            ]
            last = several and row is group[-1] and data != list(groups)[-1]
            made.append(Row(cells, rule=last, strong=row.reference))
    title = "Energy per image" if several else f"Energy per image on {rows[0].data}"
    return Table(title, columns, made, _explanations(rows), _LAYOUTS)


def accountings_comparison_table(
    by_accounting: Mapping[str, Sequence[ComparisonRow]], unit: EnergyUnit | None = None
) -> Table:
    """Energies of the same models under several accountings, then Eq. 21 under each; a column for each accounting.

    Published energies have a column of their own: what they were charged by is the paper's affair.

    Args:
        by_accounting: rows of the same models, in the same order, under each accounting.
        unit: of the energies; that of the largest where it is not given.
    """
    first = next(iter(by_accounting.values()))
    energies = [row.energy_mj for rows in by_accounting.values() for row in rows]
    unit = unit or energy_unit(*energies)
    write = unit.column(energies)
    published = any(row.published for row in first)
    groups = by_data(first)
    several = len(groups) > 1
    place = {id(row): i for i, row in enumerate(first)}
    columns = [
        Column("model"),
        hidden("quantity"),
        *(number(name, key=name) for name in by_accounting),
        number("published", key="published", shown=published),
        Column("from", key="from", shown=any(row.origin != Origin.MEASURED for row in first), common=True),
        hidden("data"),
    ]

    def cells(row: ComparisonRow, quantity: str, cell: Callable[[ComparisonRow], Cell]) -> list[object]:
        same = [rows[place[id(row)]] for rows in by_accounting.values()]
        blank = Cell(None, "")
        there = [blank if row.published else cell(one) for one in same]
        return [_name(row, True), quantity, *there, cell(row) if row.published else blank, row.origin, row.data]

    def energy(row: ComparisonRow) -> Cell:
        return Cell(row.energy_mj, write(row.energy_mj))

    made: list[Row] = []
    quantities = (
        ("energy_mj_per_image", f"energy ({unit.name})", energy),
        ("relative_difference_energy", "RD (Eq. 21)", _relative_energy),
    )
    for quantity, title, cell in quantities:
        for data, group in groups.items():
            made.append(Row([f"{title} on {data}" if several else title], "heading"))
            made += [Row(cells(row, quantity, cell), strong=row.reference) for row in group]
        made[-1] = Row(made[-1].cells, rule=quantity != quantities[-1][0], strong=made[-1].strong)
    unseen = {name: [row.name for row in rows if isnan(row.energy_mj)] for name, rows in by_accounting.items()}
    seen_by_some = {row.name for rows in by_accounting.values() for row in rows if not isnan(row.energy_mj)}
    notes = [
        f"{name} (-) knows no operation of {', '.join(missing)}, and charges nothing."
        for name, names in unseen.items()
        if (missing := [one for one in names if one in seen_by_some])
    ]
    captions = [*_explanations(first), *notes]
    return Table("Energy per image under several accountings", columns, made, captions, ACCOUNTING_LAYOUTS)


def _signed(value: float) -> str:
    return percent(value, sign=True)


def _name(row: ComparisonRow, indented: bool) -> Cell:
    return Cell(row.name, f"  {row.name}" if indented else row.name)


def _relative_energy(row: ComparisonRow) -> Cell:
    return Cell(row.relative_difference, NOT_KNOWN if row.reference else _signed(row.relative_difference))


def _explanations(rows: Sequence[ComparisonRow]) -> list[str]:
    """Below the table: what RD is taken against, and where the rows come from."""
    references = [row for row in rows if row.reference]
    several = len({row.name for row in references if not row.published}) > 1
    ours = dict.fromkeys(
        f"{row.name}{' (published)' if row.published else f' on {row.data}' if several else ''}" for row in references
    )
    lines = [f"RD: (M_current - M_ours) / M_current (Eq. 21), positive where ours is lower; ours: {', '.join(ours)}."]
    if len({row.published for row in references}) > 1:
        lines.append("Measured rows are compared with a measured network, published rows with the published one.")
    if any(row.origin == Origin.UNTRAINED for row in rows):
        lines.append("A network of random weights has no accuracy and no RD, on either side.")
    return lines + origin_notes(row.origin for row in rows)


def origin_notes(origins: Iterable[str]) -> list[str]:
    """What the words in the column "from" mean; nothing where everything was measured."""
    used = set(origins)
    return (
        []
        if used <= {Origin.MEASURED}
        else [f"{origin}: {text}." for origin, text in ORIGINS.items() if origin in used]
    )
