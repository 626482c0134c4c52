"""Figures of one image: attention maps over it (the paper's Figure 4), and the spikes of each layer in time."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from saformer.errors import InputError
from saformer.reports.document.numbers import percent
from saformer.reports.figures.energy import WIDTH_INCHES, figure_style
from saformer.reports.tables.attention import MEANINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from saformer.analysis.diagnostics.attention_maps import Inspection, SpikeTrain

_MOST_STEPS = 8  # columns of single time steps
_MOST_NEURONS = 256  # rows of a raster; beyond it, neighbouring neurons share a row
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
            drawn = None
            for axes, heat in zip(line, maps, strict=False):
                # Under a map the image is dimmed, so that a bright pixel is not taken for attention.
                dim = 1.0 if heat is None else 0.5
                axes.imshow(dim * shown, cmap="gray", vmin=0, vmax=1, extent=extent)
                if heat is not None:
                    drawn = axes.imshow(
                        heat.numpy(), cmap=_MAP, vmin=0, vmax=largest, alpha=0.7, extent=extent, gid="map"
                    )
            for axes in line:
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
            for axes in line[len(maps) :]:
                axes.set_visible(False)
            line[0].set_ylabel(f"{name}\n{found.name}\n{found.kind}", rotation=0, ha="right", va="center", fontsize=6.5)
            assert drawn is not None
            bar = figure.colorbar(drawn, ax=line.tolist(), fraction=0.02, pad=0.01)
            bar.ax.tick_params(labelsize=5.5, length=2)
            bar.outline.set_visible(False)
        heads = ["image", "mean over T", *(f"t = {t + 1}" for t in steps_shown(steps))]
        for axes, text in zip(grid[0], heads, strict=True):
            axes.set_title(text, fontsize=7)
        kinds = dict.fromkeys(found.kind for _, found in rows)
        figure.suptitle(title, fontsize=8)
        figure.supxlabel("; ".join(f"{kind}: {MEANINGS[kind]}" for kind in kinds), fontsize=6.5)
        return figure


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
        drawn = None
        for axes, train in zip(panels, trains, strict=False):
            rates, group = raster(train)
            steps, neurons = train.spikes.shape
            drawn = axes.imshow(
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
        assert drawn is not None
        bar = figure.colorbar(drawn, ax=panels.tolist(), fraction=0.012, pad=0.01)
        bar.set_label("Share of the neurons of a row that fire", fontsize=6.5)
        bar.ax.tick_params(labelsize=5.5, length=2)
        figure.suptitle(title, fontsize=8)
        figure.supxlabel("Time step (above each panel: neurons, how many share a row, and the firing rate)", fontsize=7)
        figure.supylabel("Neuron", fontsize=7)
        return figure
