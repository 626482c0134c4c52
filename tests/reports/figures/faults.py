"""What an editor would send a figure back for: markers cut off, letters too small, texts over each other or outside."""

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.text import Text

from saformer.reports.figures.lettering import as_is, lettered
from saformer.reports.figures.style import SMALL_SIZE, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WITHOUT_AREA = ("None", "", " ", None, "|", "_", "+", "x", "1", "2", "3", "4")
_TOUCHING = 0.03  # inches by which the boxes of letters may meet, which are larger than letters


def faults(figure: "Figure") -> Iterator[str]:
    """A line for each."""
    with figure_style(), lettered(figure, as_is):
        figure.draw_without_rendering()
        for axes in figure.axes:
            yield from _clipped(axes)
        paper, texts = figure.bbox, list(_texts(figure))
        for text, (left, bottom, right, top) in texts:
            if min(left, bottom) < -1 or right > paper.x1 + 1 or top > paper.y1 + 1:
                yield f"outside: {text.get_text()}"
        for text, _ in texts:
            if text.get_fontsize() < SMALL_SIZE - 0.01:
                yield f"small: {text.get_text()}, {text.get_fontsize():.1f} points"
        for (text, one), (other, its) in combinations(texts, 2):
            across, up = min(one[2], its[2]) - max(one[0], its[0]), min(one[3], its[3]) - max(one[1], its[1])
            if min(across, up) > _TOUCHING * figure.dpi:
                yield f"overlap: {text.get_text()} and {other.get_text()}"


def _clipped(axes: "Axes") -> Iterator[str]:
    """Markers that do not lie in their axes, where these cut them off."""
    for line in axes.lines:
        if line.get_marker() in _WITHOUT_AREA or not line.get_visible() or not line.get_clip_on():
            continue
        radius = line.get_markersize() / 2 * axes.figure.dpi / 72
        for x, y in line.get_transform().transform(np.asarray(line.get_xydata(), dtype=float)):
            room = min(x - axes.bbox.x0, axes.bbox.x1 - x, y - axes.bbox.y0, axes.bbox.y1 - y)
            if np.isfinite(room) and room < radius - 0.5:
                yield f"clipped: {line.get_label()} in {axes.get_title('left')}"


def _texts(figure: "Figure") -> Iterator[tuple[Text, list[float]]]:
    """Texts that are drawn, with their left, bottom, right and top: no ticks beyond an axis, nothing of hidden axes."""
    hidden: set[int] = set()
    for axes in figure.axes:
        if not axes.get_visible():
            hidden |= {id(text) for text in axes.findobj(Text)}
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown = axis.get_major_ticks(len(axis.get_majorticklocs())) if axes.axison else []
            within = [tick for tick in shown if low <= tick.get_loc() <= high]
            seen = {id(label) for tick in within for label in (tick.label1, tick.label2)} | {id(axis.label)}
            hidden |= {id(text) for text in axis.findobj(Text) if id(text) not in seen or not axes.axison}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in hidden:
            yield text, text.get_window_extent().extents.tolist()
