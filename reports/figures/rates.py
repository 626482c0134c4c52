"""The figure of an account's spiking layers: the firing rate of each, step by step."""

from typing import TYPE_CHECKING

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.style import WIDTH_INCHES, figure_style, short_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Wider than this, the numbers in the cells would run into each other.
_STEPS_WITH_NUMBERS = 16


def rates_figure(account: Account) -> "Figure":
    """Firing rate (%) of each spiking layer at each time step, as a map; the number stands in its cell.

    Raises:
        InputError: the account has no spiking layers.
    """
    if not account.neurons:
        raise InputError(f"nothing to draw: no spiking layers of {account.model.title} were recorded")
    with figure_style():
        from matplotlib.figure import Figure

        rates = firing_rates(account)
        steps = max(len(row) for row in rates)
        # A layer that ran for fewer steps than others has blank cells.
        cells = [[*row, *[float("nan")] * (steps - len(row))] for row in rates]
        figure = Figure(figsize=(WIDTH_INCHES, 0.19 * len(cells) + 0.9), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(cells, aspect="auto", cmap="cividis", vmin=0, vmax=max(map(max, rates)) or 1.0)
        axes.set_xticks(range(steps), [str(step + 1) for step in range(steps)])
        axes.set_yticks(range(len(cells)), [short_name(neuron.name) for neuron in account.neurons])
        axes.set_xlabel("Time step")
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes.tick_params(length=0)
        if steps <= _STEPS_WITH_NUMBERS:
            for i, row in enumerate(rates):
                for step, rate in enumerate(row):
                    # Cividis is dark up to its middle.
                    dark = rate < 0.55 * image.norm.vmax  # type: ignore[operator]
                    axes.text(
                        step, i, f"{rate:.1f}", ha="center", va="center", fontsize=6, color="white" if dark else "black"
                    )
        figure.colorbar(image, ax=axes, label="Firing rate (%)", pad=0.01, aspect=30)
        return figure


def firing_rates(account: Account) -> list[list[float]]:
    """Firing rate in percent of each spiking layer at each step."""
    return [[100 * rate for rate in neuron.rate_per_step] for neuron in account.neurons]
