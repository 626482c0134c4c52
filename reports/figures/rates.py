"""The figure of an account's spiking layers: the firing rate of each, step by step."""

from typing import TYPE_CHECKING

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.lettering import shortened
from saformer.reports.figures.style import INK, NAME_SIZE, PAGE_HEIGHT, PAPER, SMALL_SIZE, Width, figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _OVERHEAD, _LEAST_ROWS = 0.16, 0.45, 5  # inches of a row, and for the axis
# With more, the numbers in the cells would run into each other.
_STEPS_WITH_NUMBERS = {Width.page: 16, Width.column: 8}


def rates_figure(account: Account, width: Width = Width.page) -> "Figure":
    """Firing rate (%) of each spiking layer at each time step, as a map; the number stands in its cell.

    Raises:
        InputError: the account has no spiking layers.
    """
    if not account.neurons:
        raise InputError(f"nothing to draw: no spiking layers of {account.model.title} were recorded")
    rates = firing_rates(account)
    row_inches = min(_ROW, (PAGE_HEIGHT - _OVERHEAD) / len(rates))
    size = min(NAME_SIZE - 0.5, row_inches * 72 / 1.25)
    with figure_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        steps = max(len(row) for row in rates)
        # A layer that ran for fewer steps than others has blank cells.
        cells = [[*row, *[float("nan")] * (steps - len(row))] for row in rates]
        height = row_inches * max(len(cells), _LEAST_ROWS) + _OVERHEAD
        figure = Figure(figsize=(width.inches, height), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(cells, aspect="auto", cmap="cividis", vmin=0, vmax=max(map(max, rates)) or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=16 if width is Width.page else 8, min_n_ticks=1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step + 1:.0f}" if 0 <= step < steps else ""))
        most = 44 if width is Width.page else 24
        axes.set_yticks(range(len(cells)), [shortened(n.name, most) for n in account.neurons], fontsize=size)
        axes.set_xlabel("Time step")
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(length=0)
        if steps <= _STEPS_WITH_NUMBERS[width]:
            for i, row in enumerate(rates):
                for step, rate in enumerate(row):
                    # Cividis is dark up to its middle.
                    dark = rate < 0.55 * image.norm.vmax  # type: ignore[operator]
                    axes.text(
                        step,
                        i,
                        f"{rate:.1f}",
                        ha="center",
                        va="center",
                        fontsize=min(SMALL_SIZE, size),
                        color=PAPER if dark else INK,
                        in_layout=False,  # it stays in its cell
                    )
        figure.colorbar(image, ax=axes, label="Firing rate (%)", pad=0.01, aspect=max(8, 100 * row_inches))
        return figure


def firing_rates(account: Account) -> list[list[float]]:
    """Firing rate in percent of each spiking layer at each step."""
    return [[100 * rate for rate in neuron.rate_per_step] for neuron in account.neurons]
