"""Reports on a terminal: a `Renderable` is what rich prints.

A table chooses its layout when it is drawn, because only then is the width known: wide terminals get bars and air,
narrow ones every number. All text is passed as `Text`, never as markup: a model or a file may have square brackets in
its name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table as RichTable
from rich.text import Text

from saformer.reports.document.blocks import Facts, Heading, Line, Part, Picture, Report, Verbatim
from saformer.reports.document.numbers import align_decimal_points
from saformer.reports.document.table import Align, Cell, Column, Row, Table, TableLayout
from saformer.text import encodable, printable

_STYLES = {"strong": "bold", "dim": "dim", "warning": "bold yellow"}
# A column of names may shrink to the first before its names are folded so often that a list reads better; one that
# needs no more than the second does not shrink at all.
_NARROWEST_NAME, _SHORT_NAME = 12, 12
_PROSE = 3  # blanks in a text from which on it is no name


@dataclass(frozen=True)
class Renderable:
    """A report, or a part of one, as something that rich prints, without blanks at the ends of lines."""

    record: Report | Part

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        renderer = _Renderer(options.encoding)
        renderables: Iterable[RenderableType]
        match self.record:
            case Report():
                renderables = map(Renderable, self.record.parts)
            case Table():
                renderables = renderer.table(self.record, console, options)
            case Line():
                renderables = [renderer.line(self.record)]
            case Facts():
                renderables = [renderer.facts(self.record)]
            case Heading():
                renderables = [renderer.line(Line(self.record.text, "strong"))]
            case Verbatim():
                renderables = [renderer.line(Line(line)) for line in self.record.lines]
            case Picture():
                renderables = [renderer.line(Line(self.record.alt, label="figure: "))]
        for renderable in renderables:
            for line in console.render_lines(renderable, options, pad=False):
                yield from _trimmed(line)
                yield Segment.line()


def _trimmed(line: Sequence[Segment]) -> list[Segment]:
    kept = list(line)
    while kept:
        last = kept.pop()
        text = last.text.rstrip(" ")
        if text:
            kept.append(Segment(text, last.style, last.control))
            break
    return kept


@dataclass(frozen=True)
class ShareBar:
    """A bar of at most `width` cells, in eighths of a cell; `#` where the output cannot show blocks."""

    fraction: float
    width: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fraction = min(max(self.fraction, 0.0), 1.0) if self.fraction == self.fraction else 0.0
        if options.ascii_only:
            text = "#" * round(fraction * self.width)
        else:
            whole, rest = divmod(round(fraction * self.width * 8), 8)
            text = "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
        yield Segment(text.ljust(self.width), Style(color="blue"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self.width, self.width)


@dataclass(frozen=True)
class _Renderer:
    """Records as renderables of rich, in characters that the encoding of the output has."""

    encoding: str

    def text(self, text: str, style: str = "") -> Text:
        # A blank name or cell keeps its line breaks: those are the layout's own.
        lines = (encodable(printable(line), self.encoding) for line in text.split("\n"))
        return Text("\n".join(lines), style=style)

    def line(self, line: Line) -> RenderableType:
        style = _STYLES.get(line.style, "")
        text = Text.assemble(self.text(line.text, style), self.text(line.after))
        if not line.label:
            text.overflow = "fold"
            return text
        grid = RichTable.grid(padding=0)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(self.text(line.label), text)
        return grid

    def facts(self, facts: Facts) -> RenderableType:
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in facts.facts:
            grid.add_row(self.text(label), self.text(text))
        return grid

    def table(self, table: Table, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        """Title, the first layout for which there is room, and the notes; a list where no layout has room."""
        if table.title and not table.quiet:
            yield self.text(table.title, "bold")
        # A measurement within the options' width never exceeds it, so the natural width is asked for.
        unbounded = options.update_width(10_000)
        made = [(layout, self._laid_out(table, layout)) for layout in table.layouts]
        widths = [Measurement.get(console, unbounded, grid).maximum for _, grid in made]
        prose, names = self._slack(table)
        # Prose may wrap in any layout; names are folded in the tightest alone.
        fitting = [i for i, width in enumerate(widths) if width - prose <= options.max_width]
        left_out: list[Column] = []
        if not fitting and widths[-1] - prose - names > options.max_width:
            yield self._as_list(table)
        else:
            layout, grid = made[fitting[0] if fitting else -1]
            yield grid
            left_out = [column for column in table.columns if column.shown and column.rank > layout.rank]
        for text in table.notes:
            yield self.text(text, "dim")
        if left_out:
            headers = ", ".join(column.header for column in left_out)
            yield self.text(f"no room here for: {headers}", "dim")

    def _slack(self, table: Table) -> tuple[int, int]:
        """By how much a table can be narrowed by wrapping its prose, and by folding its names."""
        prose, names = 0, 0
        for i, column in enumerate(table.columns):
            if column.shown and column.align is Align.left:
                texts = [_cell(table, row, i).text.strip() for row in table.every_row if row.role != "heading"]
                slack = max(0, max(map(len, texts), default=0) - _NARROWEST_NAME)
                if any(text.count(" ") >= _PROSE for text in texts):
                    prose += slack
                else:
                    names += slack
        return prose, names

    def _laid_out(self, table: Table, layout: TableLayout) -> RichTable:
        # `gap` columns of white between the numbers: one is the column separator, the rest is padding.
        grid = RichTable(
            box=box.HORIZONTALS, show_edge=False, pad_edge=False, padding=(0, layout.gap - 1, 0, 0), header_style="bold"
        )
        rows = table.every_row
        columns: list[list[RenderableType]] = []
        series: list[int] = []
        for i, column in enumerate(table.columns):
            if not column.shown or column.rank > layout.rank or (column.bar and not layout.bar):
                continue
            if column.series and layout.fold:
                series.append(i)
                continue
            if column.bar:
                grid.add_column("", no_wrap=True)
                columns.append([self._bar(row, i, layout.bar) for row in rows])
                continue
            columns.append(self._column(grid, table, rows, i, layout.hyphens))
        # More of a series than fit on a line continue on the next, in the headers as in the rows.
        for start in range(min(layout.fold, len(series))):
            members = series[start :: layout.fold]
            headers = "\n".join(table.columns[i].header for i in members)
            grid.add_column(self.text(headers), justify="right", no_wrap=True)
            cells = [[table.cell(i, row.cells[i]).text for i in members] for row in rows]
            columns.append([self.text("\n".join(texts)) for texts in cells])
        for j, row in enumerate(rows):
            style = "yellow" if row.warning else "italic" if row.role == "heading" else "bold" if _bold(row) else None
            grid.add_row(*(column[j] for column in columns), style=style, end_section=row.rule)
        return grid

    def _column(
        self, grid: RichTable, table: Table, rows: Sequence[Row], i: int, hyphens: bool
    ) -> list[RenderableType]:
        column = table.columns[i]
        cells = [_cell(table, row, i) for row in rows]
        after = [self.text(cell.after) for cell in cells]
        if column.align is Align.left:
            # Folded, not cut: half a layer's name does not say which layer it is.
            longest = max((len(cell.text) for cell in cells), default=0)
            if longest <= _SHORT_NAME:
                grid.add_column(self.text(column.header), no_wrap=True)
            else:
                grid.add_column(self.text(column.header), overflow="fold", min_width=_NARROWEST_NAME)
            return [self.text(cell.text) + rest for cell, rest in zip(cells, after, strict=True)]
        texts = [encodable(printable(cell.text), self.encoding) for cell in cells]
        header = encodable(printable(column.header), self.encoding)
        if column.align is Align.decimal:
            texts = align_decimal_points(texts)
        elif any(cell.after for cell in cells):
            # The marks stand outside the column of numbers, so that these stay above each other.
            width = max(len(text) for text in texts)
            texts = [text.rjust(width) for text in texts]
            header = header.rjust(width)
        else:
            broken = header.replace("-", "-\n") if hyphens else header
            grid.add_column(
                Text(broken, justify="right"), justify="right", no_wrap=True, vertical="bottom" if hyphens else "top"
            )
            return [Text(text) for text in texts]
        grid.add_column(Text(header), no_wrap=True)
        marked = zip(texts, cells, after, strict=True)
        return [
            Text.assemble(text, (rest.plain, "bold yellow" if len(cell.after) == 1 else ""))
            for text, cell, rest in marked
        ]

    def _bar(self, row: Row, i: int, width: int) -> RenderableType:
        value = row.cells[i] if i < len(row.cells) else None
        return ShareBar(value, width) if value is not None else Text()

    def _as_list(self, table: Table) -> RenderableType:
        """Every row as lines of header and value: what is left to do where no table has room."""
        shown = [i for i, column in enumerate(table.columns) if column.shown and not column.bar]
        width = max((len(table.columns[i].header) for i in shown[1:]), default=0)
        lines = self.text(table.columns[shown[0]].header + "\n", "dim")
        lines.overflow = "fold"
        for row in table.every_row:
            cells = [_cell(table, row, i) for i in shown]
            style = "bold" if _bold(row) or row.role == "heading" else ""
            lines.append_text(self.text(cells[0].text.strip() + cells[0].after + "\n", style))
            for i, cell in zip(shown[1:], cells[1:], strict=True):
                if cell.text:
                    lines.append_text(self.text(f"  {table.columns[i].header:<{width}}  {cell.text}{cell.after}\n"))
        lines.rstrip()
        return lines


def _bold(row: Row) -> bool:
    return row.strong or row.role in ("subtotal", "total")


def _cell(table: Table, row: Row, i: int) -> Cell:
    """The cell; an empty one behind the text of a heading."""
    return table.cell(i, row.cells[i]) if i < len(row.cells) else Cell(None, "")
