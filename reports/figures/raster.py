"""The spikes of each layer in time, on one image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saformer.errors import InputError
from saformer.reports.document.numbers import percent
from saformer.reports.figures.style import MARK_SIZE, NAME_SIZE, PAGE_HEIGHT, SMALL_SIZE, Width, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from saformer.analysis.diagnostics.attention_maps import SpikeTrain


_PANEL, _LOWEST, _OVERHEAD = 1.25, 0.9, 0.9  # inches of a line of panels, at least, and around all of them
_LEGEND = {
    Width.page: "Time step (above each panel: the layer, its neurons, how many share a row, and its firing rate)",
    Width.column: "Time step (above a panel: neurons, firing rate)",
}
_MOST_NEURONS = 256  # rows of a raster; beyond it, neighbouring neurons share a row


def raster(train: "SpikeTrain") -> tuple["np.ndarray", int]:
    """What the raster of a layer shows: rows x T firing rates, and how many neighbouring neurons share a row."""
    spikes = train.spikes.numpy().T
    group = -(-len(spikes) // _MOST_NEURONS)
    starts = np.arange(0, len(spikes), group)
    sums = np.add.reduceat(spikes, starts, axis=0)
    return sums / np.diff([*starts, len(spikes)])[:, None], group


def raster_figure(trains: "Sequence[SpikeTrain]", title: str, width: Width = Width.page) -> "Figure":
    """A panel for each layer: neurons over time steps, a spike black; where neurons share a row, their rate in grey.

    Args:
        trains: of one network.
        title: what was run.
        width: of the figure.

    Raises:
        InputError: there are no spiking layers.
    """
    if not trains:
        raise InputError("nothing to draw: the network has no spiking neurons")
    columns, lines, inches = _grid(len(trains), width)
    shared = width.inches / columns
    characters, size = int(shared / 0.052), SMALL_SIZE if shared > 0.95 else SMALL_SIZE - 1
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=(width.inches, inches * lines + _OVERHEAD), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False).ravel()
        shading = None
        for axes, train in zip(panels, trains, strict=False):
            rates, group = raster(train)
            steps, neurons = train.spikes.shape
            shading = axes.imshow(
                rates,
                cmap="gray_r",
                vmin=0,
                vmax=1,
                aspect="auto",
                interpolation="nearest",
                extent=(0.5, steps + 0.5, neurons, 0),
                gid="raster",
            )
            rows = f" ({group} a row)" if group > 1 else ""
            name = train.name if len(train.name) <= characters else "…" + train.name[1 - characters :]
            axes.set_title(f"{name}\n{neurons:,}{rows}: {percent(train.firing_rate)}", fontsize=size, pad=2)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4, min_n_ticks=1))
            axes.set_yticks([])
            axes.tick_params(labelsize=size)
            axes.spines[["top", "right"]].set_visible(True)
        for axes in panels[len(trains) :]:
            axes.remove()
        assert shading is not None
        bar = figure.colorbar(
            shading, ax=panels[: len(trains)].tolist(), location="bottom", aspect=60, pad=0.01, shrink=0.5
        )
        bar.set_label("Share of the neurons of a row that fire", fontsize=MARK_SIZE)
        bar.ax.tick_params(labelsize=SMALL_SIZE, length=2)
        figure.suptitle(title, fontsize=NAME_SIZE)
        figure.supxlabel(_LEGEND[width], fontsize=MARK_SIZE)
        figure.supylabel("Neuron", fontsize=MARK_SIZE)
        return figure


def _grid(panels: int, width: Width) -> tuple[int, int, float]:
    """Columns, lines, and the inches of a line: as few columns as a page is tall enough for."""
    columns, most = (5, 12) if width is Width.page else (3, 6)
    columns = min(columns, panels)
    while columns < most and -(-panels // columns) * _LOWEST > PAGE_HEIGHT - _OVERHEAD:
        columns += 1
    lines = -(-panels // columns)
    return columns, lines, min(_PANEL, (PAGE_HEIGHT - _OVERHEAD) / lines)
