"""Attention maps over an image: the paper's Figure 4."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saformer.errors import InputError
from saformer.reports.figures.lettering import formula, shortened, typeset, wrapped
from saformer.reports.figures.style import MARK_SIZE, NAME_SIZE, PAGE_HEIGHT, SMALL_SIZE, Width, figure_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from saformer.analysis.diagnostics.attention_maps import AttentionMap, Inspection


_MOST_STEPS = {Width.page: 8, Width.column: 3}  # columns of single time steps
_NAME = {Width.page: 26, Width.column: 16}  # characters of a name in a line
_GAP, _OVERHEAD = 0.12, 0.75  # inches between rows; for titles and what the values are
_MAP = "inferno"  # lightness rises with the value: the same order in grey, and for any kind of colour vision


def spread(count: int, most: int) -> list[int]:
    """Places from 0: all of them, or as many as there is room for, evenly from the first to the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)] if most > 1 else [count - 1]


def picture(image: Any) -> "np.ndarray":
    """A normalised image (C x H x W) or event frames (T x C x H x W) as something to look at, H x W (x 3), 0 to 1."""
    array = np.asarray(image, dtype=float)
    if array.ndim == 4:
        array = array.sum(0)
    array = array.transpose(1, 2, 0)
    low, high = array.min(), array.max()
    array = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return array if array.shape[2] == 3 else array.mean(2)


def attention_figure(
    inspections: "Mapping[str, Inspection]", image: Any, title: str, width: Width = Width.page
) -> "Figure":
    """Heat maps over the image: a row for each attention, the mean over time first, then single time steps.

    Maps are averaged over heads. A row has one scale, from 0 to its largest value, with a bar beside it: what a value
    means differs from one attention to another. Where a page cannot hold all attentions, each network shows as many as
    there is room for, evenly from its first to its last.

    Args:
        inspections: of the same image, by network.
        image: as the networks took it, C x H x W or T x C x H x W.
        title: what the image is.
        width: of the figure.

    Raises:
        InputError: there is no attention.
    """
    networks = {name: inspection.maps for name, inspection in inspections.items() if inspection.maps}
    if not networks:
        raise InputError("nothing to draw: the network has no attention")
    steps = max(len(found.values) for maps in networks.values() for found in maps)
    columns = 2 + len(spread(steps, _MOST_STEPS[width]))
    names, bar = (1.0, 0.35) if width is Width.page else (0.72, 0.3)
    cell = min(0.95, (width.inches - names - bar) / columns)
    room = max(1, int((PAGE_HEIGHT - _OVERHEAD) / (cell + _GAP)) // len(networks))
    rows = [(name, maps[i]) for name, maps in networks.items() for i in spread(len(maps), room)]
    size = MARK_SIZE if width is Width.page else SMALL_SIZE
    with figure_style():
        from matplotlib.figure import Figure

        shown = picture(image)
        figure = Figure(figsize=(width.inches, (cell + _GAP) * len(rows) + _OVERHEAD), layout="constrained")
        grid = figure.subplots(len(rows), columns, squeeze=False)
        for line, (name, found) in zip(grid, rows, strict=True):
            _row(line, shown, found, _MOST_STEPS[width])
            label = "\n".join([wrapped(name, _NAME[width]), shortened(found.name, _NAME[width]), found.kind])
            line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=size)
        heads = ["image", "mean", *(f"$t = {t + 1}$" for t in spread(steps, _MOST_STEPS[width]))]
        for axes, text in zip(grid[0], heads, strict=True):
            formula(axes.set_title(text, fontsize=MARK_SIZE))
        figure.suptitle(title, fontsize=NAME_SIZE)
        kinds = {found.kind: found.meaning for _, found in rows}
        meanings = [f"{kind}: {meaning}" for kind, meaning in kinds.items()]
        text = textwrap.fill("; ".join(meanings), 150) if width is Width.page else "\n".join(meanings)
        formula(figure.supxlabel(typeset(text), fontsize=size))
        return figure


def _row(line: "Sequence[Axes]", shown: "np.ndarray", found: "AttentionMap", most: int) -> None:
    """The image, the mean map over it, the maps of single steps, and the bar of their scale."""
    height, width = shown.shape[:2]
    extent = (0, width, height, 0)
    largest = float(found.per_step.max()) or 1.0
    maps = [found.mean, *(found.per_step[t] for t in spread(len(found.values), most))]
    line[0].imshow(shown, cmap="gray", vmin=0, vmax=1, extent=extent)
    heat_map = None
    for axes, heat in zip(line[1:], maps, strict=False):
        # Under a map the image is dimmed, so that a bright pixel is not taken for attention.
        axes.imshow(0.5 * shown, cmap="gray", vmin=0, vmax=1, extent=extent)
        heat_map = axes.imshow(heat.numpy(), cmap=_MAP, vmin=0, vmax=largest, alpha=0.7, extent=extent, gid="map")
    for axes in line:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for axes in line[1 + len(maps) :]:
        axes.set_visible(False)
    assert heat_map is not None
    bar = line[0].figure.colorbar(heat_map, ax=list(line), fraction=0.02, pad=0.01, ticks=[0, largest])
    bar.ax.set_yticklabels(["0", f"{largest:.2g}"], fontsize=SMALL_SIZE)
    bar.ax.tick_params(length=2)
    bar.outline.set_visible(False)
