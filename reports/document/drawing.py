"""A figure as drawn: its SVG, and each value in it with its place, so that a page can say them."""

from collections.abc import Sequence
from dataclasses import dataclass

from saformer.reports.document.table import Align, Column, Table

_MOST_COLUMNS = 16
#: Prefix of the groups in the SVG that keep their colours on any page: maps, their scales, text upon them.
KEPT = "kept-"


@dataclass(frozen=True)
class Mark:
    """A value that a figure shows.

    Args:
        panel: the title of its axes; empty where there is none.
        name: what it is of.
        quantity: what it is, with the unit.
        value: as text.
        box: left, top, right and bottom, as shares of the figure's width and height from its upper left corner.
    """

    panel: str
    name: str
    quantity: str
    value: str
    box: tuple[float, float, float, float]

    @property
    def text(self) -> str:
        """The value with all that it needs to be understood alone."""
        return f"{self.name}: {self.value}, {self.quantity}" if self.quantity else f"{self.name}: {self.value}"


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, and the values in it."""

    svg: bytes
    marks: Sequence[Mark] = ()

    def table(self, title: str) -> Table | None:
        """The values as a table, a column for each quantity; None where the figure has none that can be read off."""
        if not self.marks:
            return None
        quantities = list(dict.fromkeys(mark.quantity for mark in self.marks))
        several = len({mark.panel for mark in self.marks}) > 1
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for mark in self.marks:
            known = cells.setdefault((mark.panel if several else "", mark.name), {})
            known[mark.quantity] = f"{known[mark.quantity]}; {mark.value}" if mark.quantity in known else mark.value
        panel = [Column("panel")] if several else []
        if len(quantities) > _MOST_COLUMNS:
            rows = [[*key[: len(panel)], key[1], q, v] for key, found in cells.items() for q, v in found.items()]
            return Table(title, [*panel, Column("of"), Column("quantity"), Column("value", align=Align.right)], rows)
        columns = [*panel, Column("of"), *(Column(quantity or "value", align=Align.right) for quantity in quantities)]
        return Table(
            title,
            columns,
            [[*key[: len(panel)], key[1], *(found.get(q) for q in quantities)] for key, found in cells.items()],
        )
