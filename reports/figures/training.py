"""A run as a figure: loss, accuracy, learning rate and firing rates over the epochs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from saformer.errors import InputError
from saformer.reports.figures.style import WIDTH_INCHES, figure_style
from saformer.training.metrics import SATURATED, SILENT, Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES = 0.13
# Training and test, of Okabe and Ito's palette; a cross has the colour of neither end of the map.
_COLOURS = ("#0072B2", "#D55E00")


def training_figure(history: Sequence[Epoch]) -> "Figure":
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
        below = _ROW_INCHES * max(len(layers), 4) + 0.7 if layers else 0.0
        figure = Figure(figsize=(WIDTH_INCHES, 2.1 + below), layout="constrained")
        upper: Any = figure
        lower: Any = None
        if layers:
            halves: Any = figure.subfigures(2, 1, height_ratios=(2.1, below))
            upper, lower = halves
        loss, accuracy, rate = upper.subplots(1, 3)
        epochs = [epoch.epoch for epoch in history]
        _curve(loss, epochs, [epoch.loss for epoch in history], 0, "training")
        _curve(loss, epochs, [epoch.test_loss for epoch in history], 1, "test")
        loss.set_ylabel("Loss (cross entropy, nats)")
        _curve(accuracy, epochs, [100 * epoch.accuracy for epoch in history], 0, "training")
        _curve(accuracy, epochs, [100 * epoch.test_accuracy for epoch in history], 1, "test")
        accuracy.set_ylabel("Accuracy (%)")
        _curve(rate, epochs, [epoch.learning_rate for epoch in history], 0, "learning rate")
        rate.set_ylabel("Learning rate")
        rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0), useMathText=True)
        for axes in (loss, accuracy, rate):
            axes.set_xlabel("Epoch")
            axes.grid()
            _whole_epochs(axes, epochs)
        loss.legend()
        accuracy.legend()
        if lower is not None:
            _rates(lower.subplots(), history, layers)
        return figure


def _curve(axes: "Axes", epochs: Sequence[int], values: Sequence[float], look: int, label: str) -> None:
    # Colour and dashes tell training from test, so that a print in grey does too.
    marker = "o" if len(epochs) <= 30 else None
    axes.plot(
        epochs,
        values,
        color=_COLOURS[look],
        linestyle=("-", "--")[look],
        marker=marker,
        markersize=2.5,
        linewidth=1.1,
        label=label,
    )


def _whole_epochs(axes: "Axes", epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)


def _rates(axes: "Axes", history: Sequence[Epoch], layers: Sequence[str]) -> None:
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
            color=_COLOURS[1],
            markersize=max(1.5, min(4.0, 240 / len(history))),
            markeredgewidth=0.8,
            label=f"silent (< {SILENT:.1%}) or saturated (> {SATURATED:.0%})",
        )
        axes.figure.legend(loc="outside upper right")
    axes.set_yticks(range(len(layers)), layers, fontsize=5.5)
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlabel("Epoch")
    _whole_epochs(axes, [epoch.epoch for epoch in history])
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.04)
    bar.set_label("Firing rate (%)")
