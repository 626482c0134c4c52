"""A figure as SVG for a page, with the values that its bars, points and cells stand for read off it."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saformer.reports.document.drawing import KEPT, Drawing, Mark
from saformer.reports.document.numbers import NOT_KNOWN, significant
from saformer.reports.figures.saving import figure_bytes, settle
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_MOST_MARKS = 1500
_MOST_CELLS = 1200  # of one map
_REACH = 4.0  # points around a marker that belong to it
_NEAR = 0.02  # how far from a tick, in its own unit, a value still has its name


def drawing_of(figure: "Figure") -> Drawing:
    """The figure as SVG and its values, in one drawing.

    Values are read off the artists: bars and points, named by the ticks beside them or by their line's label, and cells
    of maps that are few enough. A text that stands at a bar's or a point's end says its value.
    """
    for i, artist in enumerate(_kept(figure)):
        artist.set_gid(f"{KEPT}{i}")
    settle(figure)
    svg = figure_bytes(figure, "svg", outlines=True)
    marks = [mark for axes in _panels(figure) for mark in _marks(axes)]
    # What lies outside the paper is not drawn either.
    seen = [mark for mark in marks if all(-0.01 <= edge <= 1.01 for edge in mark.box)]
    return Drawing(svg, seen if len(seen) <= _MOST_MARKS else ())


def _panels(figure: "Figure") -> list["Axes"]:
    """The axes that show values; the scale of a map is none."""
    return [axes for axes in figure.axes if axes.get_visible() and not hasattr(axes, "_colorbar")]


def _kept(figure: "Figure") -> Iterator[Any]:
    for axes in figure.axes:
        yield from axes.images
        if axes.images:
            yield from axes.texts
        if hasattr(axes, "_colorbar"):
            yield from axes.collections


def _marks(axes: "Axes") -> Iterator[Mark]:
    place = _Place(axes)
    yield from _bars(axes, place)
    yield from _points(axes, place)
    yield from _cells(axes, place)


class _Place:
    """What the values in one pair of axes are called."""

    def __init__(self, axes: "Axes"):
        self.panel = next((title for one in (axes, *_beside(axes)) if (title := _panel_title(one))), "")
        self.x_names, self.y_names = _shared_names(axes, "x"), _shared_names(axes, "y")
        self.x_title, self.y_title = _title(_labelled(axes).xaxis), _title(axes.yaxis)
        # What texts say, by the point that they are about, and by its height alone.
        self.said = {_key(*_at(text)): _plain(text.get_text()) for text in axes.texts}
        self.beside = {y: text for (_, y), text in self.said.items()}


def _bars(axes: "Axes", place: _Place) -> Iterator[Mark]:
    for container in axes.containers:
        for bar in getattr(container, "patches", ()):
            level = getattr(container, "orientation", "vertical") == "horizontal"
            middle = bar.get_y() + bar.get_height() / 2 if level else bar.get_x() + bar.get_width() / 2
            value = float(bar.get_width() if level else bar.get_height())
            text = place.beside.get(_key(0, middle)[1]) if level else None
            if not math.isfinite(value) or text == NOT_KNOWN:
                continue
            shown = text if text and any(c.isdigit() for c in text) else _number(value)
            name = _name(place.y_names if level else place.x_names, middle)
            extent = bar.get_window_extent()
            box = _shares(axes, [(extent.x0, extent.y0), (extent.x1, extent.y1)])
            yield Mark(place.panel, name, place.x_title if level else place.y_title, shown, box)


def _points(axes: "Axes", place: _Place) -> Iterator[Mark]:
    caps = _caps(axes)
    for line in axes.lines:
        if line.get_marker() in ("None", None, "", " ") or not line.get_visible() or line in caps:
            continue
        label = _series(line, axes)
        points: Any = line.get_xydata()
        for x, y in points.tolist():
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            box = _around(axes, x, y)
            if place.y_names:
                name = ", ".join(part for part in (_name(place.y_names, y), label) if part)
                yield Mark(place.panel, name, place.x_title, place.said.get(_key(x, y)) or _number(x), box)
            else:
                at = _name(place.x_names, x)
                at = f"{place.x_title} = {at}" if place.x_title else at
                yield Mark(place.panel, f"{label}, {at}" if label else at, place.y_title, _number(y), box)


def _caps(axes: "Axes") -> list[Any]:
    """The ends of error bars, which are drawn as markers and are no values."""
    found: list[Any] = []
    for container in axes.containers:
        if hasattr(container, "has_xerr"):
            for ends in container:
                found += [ends] if hasattr(ends, "get_marker") else [end for end in ends or () if end is not None]
    return found


def _cells(axes: "Axes", place: _Place) -> Iterator[Mark]:
    for image in axes.images:
        cells = image.get_array()
        if not place.y_names or cells is None or cells.ndim != 2 or cells.size > _MOST_CELLS:
            continue
        scale = _plain(image.colorbar.ax.get_ylabel()) if image.colorbar is not None else ""
        left, right, bottom, top = image.get_extent()
        across, down = (right - left) / cells.shape[1], (bottom - top) / cells.shape[0]
        for row, values in enumerate(cells.tolist()):
            for column, value in enumerate(values):
                if value is None or not math.isfinite(value):
                    continue
                x, y = left + across * column, top + down * row
                corners = axes.transData.transform([(x, y), (x + across, y + down)])
                step = f"{place.x_title} {_column(axes, place, x + across / 2)}".strip()
                quantity = ", ".join(part for part in (scale, step) if part)
                name = _name(place.y_names, y + down / 2)
                yield Mark(place.panel, name, quantity, significant(value), _shares(axes, corners))


def _column(axes: "Axes", place: _Place, x: float) -> str:
    """What a column of a map is called, which need not have a tick."""
    from matplotlib.ticker import FuncFormatter

    formatter = axes.xaxis.get_major_formatter()
    named = not place.x_names and isinstance(formatter, FuncFormatter)
    return _plain(formatter(x)) if named else _name(place.x_names, x)


def _key(x: float, y: float) -> tuple[float, float]:
    return round(float(x), 9), round(float(y), 9)


def _names(axis: Any) -> dict[float, str]:
    """What ticks say by their place, where that is no number."""
    from matplotlib.ticker import FixedLocator

    if not isinstance(axis.get_major_locator(), FixedLocator):
        return {}
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
    return {float(place): _plain(label.get_text()) for place, label in ticks if label.get_text()}


def _shared_names(axes: "Axes", which: str) -> dict[float, str]:
    """The names along an axis, of these axes or of those that share it and show it."""
    together = axes.get_shared_x_axes() if which == "x" else axes.get_shared_y_axes()
    found = [_names(getattr(one, f"{which}axis")) for one in (axes, *together.get_siblings(axes))]
    return next((names for names in found if names), {})


def _series(line: "Line2D", axes: "Axes") -> str:
    """What a line is called in a legend: its label, or that of the one that looks like it."""
    from matplotlib.colors import to_hex

    def look(one: "Line2D") -> tuple[str, str, str]:
        return str(one.get_marker()), to_hex(one.get_markerfacecolor()), to_hex(one.get_markeredgecolor())

    alike = [other for one in axes.figure.axes for other in one.lines if look(other) == look(line)]
    labels = [_plain(str(one.get_label())) for one in (line, *alike)]
    return next((label for label in labels if label and not label.startswith("_")), "")


def _name(names: dict[float, str], place: float) -> str:
    nearest = min(names, key=lambda tick: abs(tick - place), default=None)
    if nearest is None or abs(nearest - place) > max(0.5, _NEAR * abs(place)):
        return _number(place)
    return names[nearest]


def _panel_title(axes: "Axes") -> str:
    titles = (axes.get_title(loc).partition("\n")[0] for loc in ("left", "center", "right"))
    return _plain(next((title for title in titles if title), ""))


def _beside(axes: "Axes") -> list["Axes"]:
    """The axes of the same row, whose title stands for all of them."""
    own = axes.get_subplotspec()
    others = [] if own is None else [(one, one.get_subplotspec()) for one in axes.figure.axes]
    return [one for one, spec in others if spec is not None and own is not None and spec.rowspan == own.rowspan]


def _labelled(axes: "Axes") -> "Axes":
    """The axes below that say what stands on the horizontal axis, where these leave it to them."""
    own = axes.get_subplotspec()
    if axes.get_xlabel() or own is None:
        return axes
    column = [other for other in axes.figure.axes if (spec := other.get_subplotspec()) and spec.colspan == own.colspan]
    return next((other for other in reversed(column) if other.get_xlabel()), axes)


def _title(axis: Any) -> str:
    return _plain(axis.label.get_text().partition("\n")[0])


def _at(text: Any) -> tuple[float, float]:
    """The point that a text is about: what it annotates, or its own place."""
    x, y = getattr(text, "xy", None) or text.get_position()
    return (float(x) if isinstance(x, int | float) else math.nan, float(y) if isinstance(y, int | float) else math.nan)


def _plain(text: str) -> str:
    """Text without what typesets a formula, in one line."""
    return printable(" ".join(text.replace("$", "").split()))


def _number(value: float) -> str:
    return f"{value:g}" if float(value).is_integer() and abs(value) < 1e6 else significant(value, 4)


def _around(axes: "Axes", x: float, y: float) -> tuple[float, float, float, float]:
    pixels = _REACH * axes.figure.dpi / 72
    (across, up) = axes.transData.transform((x, y))
    return _shares(axes, [(across - pixels, up - pixels), (across + pixels, up + pixels)])


def _shares(axes: "Axes", corners: Any) -> tuple[float, float, float, float]:
    whole: Any = axes.get_figure(root=True)
    width, height = whole.bbox.width, whole.bbox.height
    xs, ys = sorted(float(x) / width for x, _ in corners), sorted(1 - float(y) / height for _, y in corners)
    return xs[0], ys[0], xs[1], ys[1]
