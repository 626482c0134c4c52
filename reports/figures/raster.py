"""The spikes of each layer in time, on one image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saformer.errors import InputError
from saformer.reports.document.numbers import percent
from saformer.reports.figures.style import WIDTH_INCHES, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from saformer.analysis.diagnostics.attention_maps import SpikeTrain


_MOST_NEURONS = 256  # rows of a raster; beyond it, neighbouring neurons share a row


def _short(name: str) -> str:
    """The end of the path where the whole would not fit above a panel."""
    return name if len(name) <= 26 else "…" + name[-25:]


def raster(train: "SpikeTrain") -> tuple["np.ndarray", int]:
    """What the raster of a layer shows: rows x T firing rates, and how many neighbouring neurons share a row."""
    spikes = train.spikes.numpy().T
    group = -(-len(spikes) // _MOST_NEURONS)
    starts = np.arange(0, len(spikes), group)
    sums = np.add.reduceat(spikes, starts, axis=0)
    return sums / np.diff([*starts, len(spikes)])[:, None], group


def raster_figure(trains: "Sequence[SpikeTrain]", title: str) -> "Figure":
    """A panel for each layer: neurons over time steps, a spike black; where neurons share a row, their rate in grey.

    Args:
        trains: of one network.
        title: what was run.

    Raises:
        InputError: there are no spiking layers.
    """
    if not trains:
        raise InputError("nothing to draw: the network has no spiking neurons")
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        columns = min(5, len(trains))
        lines = -(-len(trains) // columns)
        figure = Figure(figsize=(WIDTH_INCHES, 1.45 * lines + 0.6), layout="constrained")
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
            shared = f", {group} a row" if group > 1 else ""
            axes.set_title(f"{_short(train.name)}\n{neurons:,}{shared}; {percent(train.firing_rate)}", fontsize=5.5)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
            axes.set_yticks([0, neurons])
            axes.tick_params(labelsize=5.5)
        for axes in panels[len(trains) :]:
            axes.set_visible(False)
        assert shading is not None
        bar = figure.colorbar(shading, ax=panels.tolist(), fraction=0.012, pad=0.01)
        bar.set_label("Share of the neurons of a row that fire", fontsize=6.5)
        bar.ax.tick_params(labelsize=5.5, length=2)
        figure.suptitle(title, fontsize=8)
        figure.supxlabel("Time step (above each panel: neurons, how many share a row, and the firing rate)", fontsize=7)
        figure.supylabel("Neuron", fontsize=7)
        return figure
