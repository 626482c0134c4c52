"""What the bars of models beside each other share: panels by data set, the look of an origin, the legend."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError
from saformer.reports.figures.lettering import make_room, shortened, wrapped
from saformer.reports.figures.style import (
    EDGE,
    MARK_SIZE,
    NAME_SIZE,
    PAGE_HEIGHT,
    PAPER,
    SMALL_SIZE,
    Look,
    Width,
    figure_style,
    model_looks,
    shaded,
)
from saformer.reports.results.comparison import IMPLIED, ORIGINS, PUBLISHED, ComparisonRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Looks = Mapping[str, Look]
# Inches of a row of bars, with a name in one line or in two.
_ROW, _TALL_ROW = 0.23, 0.31
_LEAST_PITCH = 0.9  # of letters, from row to row: descenders still end above the capitals below
_SHORT_LABEL = 24  # characters of an axis that is half a column long


@dataclass(frozen=True)
class Quantity:
    """What a panel shows of its rows.

    Args:
        label: of the axis.
        known: whether a row has the quantity.
        draw: draws the rows, the first at 0 and the others below it, with marks of a size in points.
        share: of the width, where panels stand beside each other.
    """

    label: str
    known: Callable[[ComparisonRow], bool]
    draw: Callable[["Axes", Sequence[ComparisonRow], Looks, float], None]
    share: float = 1.0


@dataclass(frozen=True)
class _Panel:
    """Rows of one data set, and the quantity that is shown of them."""

    quantity: Quantity
    data: str
    rows: Sequence[ComparisonRow]


def panels_by_data_set(
    groups: Mapping[str, Sequence[ComparisonRow]],
    quantities: Sequence[Quantity],
    width: Width,
    titles: Mapping[str, str] | None = None,
) -> "Figure":
    """Panels for each data set, at most a page tall, and the legend.

    Where every row has the first quantity, and the labels fit, the panels of a data set stand beside each other and
    share its rows. Else each quantity has a block of panels, one for each data set, with the rows that have it.

    Raises:
        InputError: there are no rows.
    """
    rows = [row for group in groups.values() for row in group]
    if not rows:
        raise InputError("nothing to draw: no models to compare")
    fits = width is Width.page or max(len(line) for q in quantities for line in q.label.split("\n")) <= _SHORT_LABEL
    shared = len(quantities) > 1 and fits and all(quantities[0].known(row) for row in rows)
    lines = _beside(groups, quantities) if shared else _below(groups, quantities, width)
    with figure_style():
        from matplotlib.figure import Figure

        title_characters = 90 if width is Width.page and (shared or len(lines[0]) == 1) else 42
        legend = _legend(rows)
        fixed = sum(_overhead(line, below) for line, below in _with_next(lines)) + 0.17 * len(legend) + 0.1
        heights = [max(len(panel.rows) for panel in line) for line in lines]
        room = (PAGE_HEIGHT - fixed) / sum(heights)
        if room * 72 < _LEAST_PITCH * SMALL_SIZE:
            raise InputError(
                f"nothing to draw: {sum(heights)} rows in letters of {SMALL_SIZE:g} points are taller than a page"
                + ("; choose --width page, or" if width is Width.column else ";")
                + " name fewer networks or data sets"
            )
        names = {row.name: _label(row, _characters(lines, width), room * 72 > 2.4 * SMALL_SIZE) for row in rows}
        tall = any("\n" in name for name in names.values())
        row_inches = min(_TALL_ROW if tall else _ROW, room)
        size = max(SMALL_SIZE, min(NAME_SIZE, row_inches * 72 / (2.5 if tall else 1.3)))
        figure = Figure(figsize=(width.inches, fixed + row_inches * sum(heights)), layout="constrained")
        grid = figure.subplots(
            len(lines),
            len(lines[0]),
            squeeze=False,
            sharey="row" if shared else False,
            width_ratios=[panel.quantity.share if shared else 1.0 for panel in lines[0]],
            height_ratios=[row_inches * n + 0.1 for n in heights],
        )
        # Ours first: it has the plain look of its family.
        ours_first = sorted(rows, key=lambda row: not row.reference)
        looks = model_looks(
            {row.name: row.family_name for row in ours_first}, {row.name for row in rows if row.published}
        )
        panels = []
        for places, (line, below) in zip(grid, _with_next(lines), strict=True):
            for axes, panel in zip(places, line, strict=False):
                first = panel is line[0] or not shared
                panel.quantity.draw(axes, panel.rows, looks, min(MARK_SIZE, size))
                axes.grid(axis="x")
                axes.set_ylim(max(map(len, [one.rows for one in line])) - 0.4, -0.6)
                if first:
                    texts = [names[row.name] for row in panel.rows]
                    axes.set_yticks(range(len(texts)), texts, fontsize=size, linespacing=1.0)
                    title = wrapped((titles or {}).get(panel.data, panel.data), title_characters)
                    axes.set_title(title, loc="left", fontsize=NAME_SIZE)
                else:
                    axes.tick_params(labelleft=False)
                if panel.quantity.label not in _labels_below(below, line, panel):
                    axes.set_xlabel(panel.quantity.label)
                panels.append(axes)
            for axes in places[len(line) :]:
                axes.remove()
        if legend:
            figure.legend(handles=legend, loc="outside upper center", ncols=2 if width is Width.page else 1)
        make_room(figure, panels)
        return figure


def _beside(groups: Mapping[str, Sequence[ComparisonRow]], quantities: Sequence[Quantity]) -> list[list[_Panel]]:
    """A line for each data set, with all quantities of the same rows."""
    return [[_Panel(quantity, data, group) for quantity in quantities] for data, group in groups.items()]


def _below(
    groups: Mapping[str, Sequence[ComparisonRow]], quantities: Sequence[Quantity], width: Width
) -> list[list[_Panel]]:
    """Lines of panels, quantity by quantity, each with the rows of a data set that have the quantity."""
    columns = 2 if width is Width.page else 1
    blocks = []
    for quantity in quantities:
        found = {data: [row for row in group if quantity.known(row)] for data, group in groups.items()}
        blocks.append([_Panel(quantity, data, group) for data, group in found.items() if group])
    if len(groups) == 1:  # its quantities stand beside each other
        blocks = [[panel for block in blocks for panel in block]]
    columns = min(columns, max(map(len, blocks)))
    return [block[i : i + columns] for block in blocks for i in range(0, len(block), columns)]


def _with_next(lines: Sequence[Sequence[_Panel]]) -> list[tuple[Sequence[_Panel], Sequence[_Panel]]]:
    return list(zip(lines, [*lines[1:], []], strict=True))


def _labels_below(below: Sequence[_Panel], line: Sequence[_Panel], panel: _Panel) -> list[str]:
    """The label of the panel below: where it is the same, one is enough."""
    place = [one is panel for one in line].index(True)
    return [below[place].quantity.label] if place < len(below) else []


def _overhead(line: Sequence[_Panel], below: Sequence[_Panel]) -> float:
    """Inches of a line of panels for its titles, its numbers, and the labels of its axes."""
    written = [p.quantity.label.count("\n") + 1 for p in line if p.quantity.label not in _labels_below(below, line, p)]
    return 0.4 + 0.13 * max(written, default=0)


def _characters(lines: Sequence[Sequence[_Panel]], width: Width) -> int:
    """How many characters of a name fit beside its bar."""
    if width is Width.column:
        return 18 if len(lines[0]) > 1 else 24
    return 24 if len(lines[0]) > 1 else 44


def _label(row: ComparisonRow, most: int, two_lines: bool) -> str:
    if not two_lines:
        marked = row.name + (" (untrained)" if row.origin == Origin.UNTRAINED else "")
        return shortened(marked, most)
    name = wrapped(row.name, most)
    if row.origin != Origin.UNTRAINED:
        return name
    mark = "(untrained)"
    return f"{row.name} {mark}" if len(row.name) + len(mark) < most else f"{shortened(row.name, most)}\n{mark}"


def _legend(rows: Sequence[ComparisonRow]) -> list[Any]:
    """What filled, pale and hollow bars stand for; nothing where all rows are measured ones."""
    from matplotlib.patches import Patch

    used = [origin for origin in ORIGINS if any(row.origin == origin for row in rows)]
    if used == [Origin.MEASURED]:
        return []
    texts = {
        Origin.MEASURED: "measured here",
        Origin.UNTRAINED: "measured here, random weights",
        Origin.RATES: "from given firing rates",
        PUBLISHED: "published in the SAFormer paper",
        IMPLIED: "published; energy solved by Eq. 21",
    }
    return [Patch(**_face(origin, Look("#888888", "", "o")), label=texts[origin]) for origin in used]


def _face(origin: str, look: Look) -> dict[str, Any]:
    """How a bar is filled: measured ones solid, those of random weights pale and dashed, published ones hollow."""
    if origin in (PUBLISHED, IMPLIED):
        hatch = "////" if origin == PUBLISHED else "xxxx"
        return {"facecolor": PAPER, "edgecolor": look.colour, "hatch": hatch, "linewidth": 0.9}
    if origin in (Origin.UNTRAINED, Origin.RATES):
        style = "--" if origin == Origin.UNTRAINED else ":"
        return {"facecolor": shaded(look.colour, 0.65), "edgecolor": EDGE, "hatch": look.hatch, "linestyle": style}
    return {"facecolor": look.colour, "edgecolor": EDGE, "hatch": look.hatch}


def draw_bars(axes: "Axes", widths: Sequence[float], rows: Sequence[ComparisonRow], looks: Looks) -> None:
    """Horizontal bars of these widths, a row each, filled by origin."""
    bars = axes.barh(range(len(rows)), widths, height=0.62)
    for bar, row in zip(bars, rows, strict=True):
        bar.set(**_face(row.origin, looks[row.name]))
