"""A run as a figure: loss, accuracy, learning rate and firing rates over the epochs."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.reports.figures.lettering import formula, power_of_ten, shortened
from saformer.reports.figures.style import MARK_SIZE, PAGE_HEIGHT, Width, figure_style, kind_look
from saformer.training.metrics import SATURATED, SILENT, Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _OVERHEAD, _LEAST_ROWS = 0.13, 0.75, 6  # inches of a row, and for legend and axis


def training_figure(history: Sequence[Epoch], width: Width = Width.page) -> "Figure":
    """Three curves over the epochs, and below them the firing rate of every layer of neurons as a map.

    The map has a row for each layer, from the image down to the head; a cross marks an epoch after which the layer was
    silent or saturated.

    Raises:
        InputError: there are no epochs.
    """
    if not history:
        raise InputError("nothing to draw: no epoch is done yet")
    with figure_style():
        from matplotlib.figure import Figure

        layers = list(history[-1].firing_rates)
        above = 1.9 if width is Width.page else 4.2
        row_inches = min(_ROW, (PAGE_HEIGHT - above - _OVERHEAD) / max(len(layers), 1))
        below = row_inches * max(len(layers), _LEAST_ROWS) + _OVERHEAD if layers else 0.0
        figure = Figure(figsize=(width.inches, above + below), layout="constrained")
        upper: Any = figure
        lower: Any = None
        if layers:
            halves: Any = figure.subfigures(2, 1, height_ratios=(above, below))
            upper, lower = halves
        beside = (1, 3) if width is Width.page else (3, 1)
        loss, accuracy, rate = upper.subplots(*beside, sharex=width is Width.column)
        epochs = [epoch.epoch for epoch in history]
        _curve(loss, epochs, [epoch.loss for epoch in history], 0, "training")
        _curve(loss, epochs, [epoch.test_loss for epoch in history], 1, "test")
        loss.set_ylabel("Loss (nats)")
        _curve(accuracy, epochs, [100 * epoch.accuracy for epoch in history], 0, "training")
        _curve(accuracy, epochs, [100 * epoch.test_accuracy for epoch in history], 1, "test")
        accuracy.set_ylabel("Accuracy (%)")
        _curve(rate, epochs, [epoch.learning_rate for epoch in history], 0, "learning rate")
        _small_numbers(rate, max(epoch.learning_rate for epoch in history))
        for axes in (loss, accuracy, rate):
            axes.grid()
            _whole_epochs(axes, epochs)
            if width is Width.page or axes is rate:
                axes.set_xlabel("Epoch")
        loss.legend()
        if lower is not None:
            _rates(lower.subplots(), history, layers, row_inches, width)
        return figure


def _curve(axes: "Axes", epochs: Sequence[int], values: Sequence[float], look: int, label: str) -> None:
    # Colour and dashes tell training from test, so that a print in grey does too.
    marker = "o" if len(epochs) <= 30 else None
    axes.plot(
        epochs,
        values,
        color=(kind_look(0)[0], kind_look(3)[0])[look],
        linestyle=("-", "--")[look],
        marker=marker,
        markersize=2.5,
        linewidth=1.1,
        label=label,
    )


def _small_numbers(axes: "Axes", largest: float) -> None:
    """Learning rates in the power of ten of the largest, which the label names."""
    from matplotlib.ticker import FuncFormatter

    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    formula(axes.set_ylabel(f"Learning rate ({power_of_ten(exponent)})" if exponent else "Learning rate"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 10.0**exponent:g}"))


def _whole_epochs(axes: "Axes", epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)


def _rates(axes: "Axes", history: Sequence[Epoch], layers: Sequence[str], row_inches: float, width: Width) -> None:
    rates = [[100 * epoch.firing_rates.get(layer, float("nan")) for epoch in history] for layer in layers]
    known = [value for row in rates for value in row if value == value]
    first, last = history[0].epoch - 0.5, history[-1].epoch + 0.5
    image = axes.imshow(
        rates,
        aspect="auto",
        cmap="cividis",
        interpolation="nearest",
        vmin=0,
        vmax=max(known) or 1,
        extent=(first, last, len(layers) - 0.5, -0.5),
    )
    extreme = [
        (history[column].epoch, row)
        for row, values in enumerate(rates)
        for column, value in enumerate(values)
        if not 100 * SILENT <= value <= 100 * SATURATED
    ]
    if extreme:
        axes.plot(
            [epoch for epoch, _ in extreme],
            [row for _, row in extreme],
            linestyle="none",
            marker="x",
            color=kind_look(3)[0],
            markersize=max(1.5, min(4.0, 240 / len(history))),
            markeredgewidth=0.8,
            label=f"silent (< {SILENT:.1%}) or saturated (> {SATURATED:.0%})",
        )
        axes.figure.legend(loc="outside upper right")
    most = 44 if width is Width.page else 24
    size = min(MARK_SIZE, row_inches * 72 / 1.25)
    axes.set_yticks(range(len(layers)), [shortened(layer, most) for layer in layers], fontsize=size)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlabel("Epoch")
    _whole_epochs(axes, [epoch.epoch for epoch in history])
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04, aspect=12)
    bar.set_label("Firing rate (%)")
