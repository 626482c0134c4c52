"""Attention maps over an image: the paper's Figure 4."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from saformer.errors import InputError
from saformer.reports.figures.style import WIDTH_INCHES, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from saformer.analysis.diagnostics.attention_maps import Inspection


_MOST_STEPS = 8  # columns of single time steps
_MAP = "inferno"  # lightness rises with the value: the same order in grey, and for any kind of colour vision


def steps_shown(steps: int) -> list[int]:
    """The time steps that get a column, from 0: all, or eight spread evenly from the first to the last."""
    if steps <= _MOST_STEPS:
        return list(range(steps))
    return [round(i * (steps - 1) / (_MOST_STEPS - 1)) for i in range(_MOST_STEPS)]


def picture(image: Any) -> "np.ndarray":
    """A normalised image (C x H x W) or event frames (T x C x H x W) as something to look at, H x W (x 3), 0 to 1."""
    array = np.asarray(image, dtype=float)
    if array.ndim == 4:
        array = array.sum(0)
    array = array.transpose(1, 2, 0)
    low, high = array.min(), array.max()
    array = (array - low) / (high - low) if high > low else np.zeros_like(array)
    return array if array.shape[2] == 3 else array.mean(2)


def attention_figure(inspections: "Mapping[str, Inspection]", image: Any, title: str) -> "Figure":
    """Heat maps over the image: a row for each attention, the mean over time first, then single time steps.

    Maps are averaged over heads. A row has one scale, from 0 to its largest value, with a bar beside it: what a value
    means differs from one attention to another.

    Args:
        inspections: of the same image, by network.
        image: as the networks took it, C x H x W or T x C x H x W.
        title: what the image is.

    Raises:
        InputError: there is no attention.
    """
    rows = [(name, found) for name, inspection in inspections.items() for found in inspection.maps]
    if not rows:
        raise InputError("nothing to draw: the network has no attention")
    with figure_style():
        from matplotlib.figure import Figure

        shown = picture(image)
        steps = max(len(found.values) for _, found in rows)
        columns = 2 + len(steps_shown(steps))
        cell = (WIDTH_INCHES - 1.4) / columns
        figure = Figure(figsize=(WIDTH_INCHES, (cell + 0.12) * len(rows) + 0.75), layout="constrained")
        grid = figure.subplots(len(rows), columns, squeeze=False)
        height, width = shown.shape[:2]
        extent = (0, width, height, 0)
        for line, (name, found) in zip(grid, rows, strict=True):
            largest = float(found.per_step.max()) or 1.0
            maps = [None, found.mean, *(found.per_step[t] for t in steps_shown(len(found.values)))]
            heat_map = None
            for axes, heat in zip(line, maps, strict=False):
                # Under a map the image is dimmed, so that a bright pixel is not taken for attention.
                dim = 1.0 if heat is None else 0.5
                axes.imshow(dim * shown, cmap="gray", vmin=0, vmax=1, extent=extent)
                if heat is not None:
                    heat_map = axes.imshow(
                        heat.numpy(), cmap=_MAP, vmin=0, vmax=largest, alpha=0.7, extent=extent, gid="map"
                    )
            for axes in line:
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
            for axes in line[len(maps) :]:
                axes.set_visible(False)
            line[0].set_ylabel(f"{name}\n{found.name}\n{found.kind}", rotation=0, ha="right", va="center", fontsize=6.5)
            assert heat_map is not None
            bar = figure.colorbar(heat_map, ax=line.tolist(), fraction=0.02, pad=0.01)
            bar.ax.tick_params(labelsize=5.5, length=2)
            bar.outline.set_visible(False)
        heads = ["image", "mean over T", *(f"t = {t + 1}" for t in steps_shown(steps))]
        for axes, text in zip(grid[0], heads, strict=True):
            axes.set_title(text, fontsize=7)
        kinds = {found.kind: found.meaning for _, found in rows}
        figure.suptitle(title, fontsize=8)
        figure.supxlabel("; ".join(f"{kind}: {meaning}" for kind, meaning in kinds.items()), fontsize=6.5)
        return figure
