"""A table before a format is chosen: columns, rows and notes.

Columns say how their values read; with rows and notes a table has every format:

    speed = Table("Time of one forward pass", [Column("attention"), Column("time", "ms", write=significant)], rows)
    emit(Report([speed]), format)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, si

Role = Literal["", "heading", "subtotal", "total", "sum"]


class Align(StrEnum):
    """How a column is set."""

    left = "left"
    right = "right"
    decimal = "decimal"  # decimal points above each other


@dataclass(frozen=True)
class Cell:
    """A value that is shown in its own way.

    Args:
        value: the number, name or truth value itself, for CSV and JSON.
        text: what a reader sees.
        after: text behind the column's alignment, such as an error bar or a mark.
        link: the heading of a section that says more, where the format has links.
        shares: parts of a whole by name, where the format can draw them as one bar.
    """

    value: Any
    text: str
    after: str = ""
    link: str = ""
    shares: Sequence[tuple[str, float]] = ()


def plain(value: Any) -> str:
    """A value as it is: whole numbers in full, other numbers with four digits, `-` for what is not known."""
    if value is None or value != value:
        return NOT_KNOWN
    return f"{value:.4g}" if isinstance(value, float) and not value.is_integer() else str(value)


def count(value: Any) -> str:
    """A whole number in full, with commas between thousands; `-` for what is not known."""
    return NOT_KNOWN if value is None else f"{value:,}"


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        title: its header for readers.
        unit: of the numbers that readers see; stands in the header, in brackets.
        key: its header in CSV and its name in JSON, with the unit in it (`energy_mj_per_image`); made from title and
            unit where it is not given.
        align: left for names, right for numbers.
        write: makes the text of a value that is no `Cell`.
        shown: False for a column of CSV and JSON alone.
        data: False for a column that only readers need: what follows from other columns.
        bar: a bar for a share from 0 to 1, where the output can show it.
        formula: its texts are formulas, which LaTeX sets as mathematics.
        series: one of a run of alike columns (steps in time), which may continue on a further line.
        rank: columns of the highest rank are the first to go where terminal or page are narrow; it is said which.
        common: where the page is narrow and all rows say the same, a note below the table says it instead.
    """

    title: str
    unit: str = ""
    key: str = ""
    align: Align = Align.left
    write: Callable[[Any], str] = plain
    shown: bool = True
    data: bool = True
    bar: bool = False
    formula: bool = False
    series: bool = False
    rank: int = 0
    common: bool = False

    @property
    def header(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def name(self) -> str:
        """The header in CSV and JSON."""
        return self.key or re.sub(r"\W+", "_", f"{self.title} {self.unit}".strip().lower()).strip("_")


def number(title: str, unit: str = "", key: str = "", write: Callable[[Any], str] = si, **more: Any) -> Column:
    """A column of numbers, set to the right."""
    return Column(title, unit, key, **{"align": Align.right, "write": write, **more})


def hidden(key: str) -> Column:
    """A column that is in CSV and JSON alone."""
    return Column(key, key=key, shown=False)


def energy_columns(unit: EnergyUnit) -> list[Column]:
    """The energy per image with its error bar, and for CSV and JSON the error bar by itself."""
    return [
        number("energy", unit.name, key="energy_mj_per_image", align=Align.decimal),
        hidden("energy_mj_ci95"),
    ]


def energy_cells(unit: EnergyUnit, mj: float, half_width_mj: float | None, digits: int = 3) -> list[Any]:
    """The cells of `energy_columns`."""
    value, error = unit.interval(mj, half_width_mj, digits)
    return [Cell(mj, value, f" ± {error}" if error else ""), half_width_mj]


@dataclass(frozen=True)
class Row:
    """Cells, and what kind of row they are. Sums and headings are for readers: CSV and JSON leave them out."""

    cells: Sequence[Any]
    role: Role = ""
    rule: bool = False  # a line below
    strong: bool = False
    warning: bool = False


@dataclass(frozen=True)
class TableLayout:
    """One way of drawing a table on a terminal.

    Args:
        gap: blanks between columns.
        bar: width of a bar; 0 for none.
        fold: columns of a series on a line; 0 for all.
        rank: columns of a higher rank are left out.
        hyphens: headers of numbers are broken behind their hyphens.
    """

    gap: int
    bar: int = 0
    fold: int = 0
    rank: int = 9
    hyphens: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows.

    Args:
        title: a caption; on a terminal left out if `quiet`, because what is printed above says it.
        columns: at least one.
        rows: of values, of `Cell`s, or `Row`s.
        notes: what explains the columns.
        layouts: for terminals, from wide to narrow.
        cards: on a narrow page each row is a card, with the headers beside its cells.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row | Sequence[Any]]
    notes: Sequence[str] = ()
    layouts: Sequence[TableLayout] = (TableLayout(2), TableLayout(1))
    quiet: bool = False
    cards: bool = False

    @property
    def every_row(self) -> list[Row]:
        """The rows, each as a `Row`."""
        rows = [row if isinstance(row, Row) else Row(row) for row in self.rows]
        for row in rows:
            if len(row.cells) != len(self.columns) and row.role != "heading":
                raise ValueError(f"{len(row.cells)} cells in a table of {len(self.columns)} columns")
        return rows

    def cell(self, column: int, value: Any) -> Cell:
        """What stands in that column for a value."""
        return value if isinstance(value, Cell) else Cell(value, self.columns[column].write(value))
