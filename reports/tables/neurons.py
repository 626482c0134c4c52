"""The spiking layers: neurons, spikes and firing rates."""

from math import ceil

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Line
from saformer.reports.document.numbers import percent
from saformer.reports.document.table import Column, Table, TableLayout, number

_MOST_STEPS = 128  # columns; of more steps each is a span

_LAYOUTS = (
    TableLayout(2, fold=8),
    TableLayout(1, fold=8),
    TableLayout(1, fold=8, rank=0),
    TableLayout(1, fold=4, rank=0),
)


def neuron_table(account: Account) -> Table | Line:
    """Spiking layers: neurons and spikes per image, firing rate, and the rate at each time step or span of steps."""
    if not account.neurons:
        return Line("no spiking layers were recorded")
    steps = max(len(neuron.per_step) for neuron in account.neurons)
    length = ceil(steps / _MOST_STEPS)
    spans = [(first, min(first + length - 1, steps)) for first in range(1, steps + 1, max(length, 1))]

    def step(rate: float | None) -> str:
        return "" if rate is None else percent(rate).removesuffix("%")

    columns = [
        Column("spiking layer", key="layer"),
        number("neurons", rank=1),
        number("spikes", key="spikes_per_image", rank=1),
        number("rate", key="firing_rate", write=percent),
        *(
            number(
                f"t={first}" if first == last else f"t={first}-{last}",
                key=f"firing_rate_t{first}" if first == last else f"firing_rate_t{first}_{last}",
                write=step,
                series=True,
            )
            for first, last in spans
        ),
    ]
    rows = [[n.name, n.neurons, n.spikes, n.firing_rate, *n.rates_over(spans)] for n in account.neurons]
    meaning = "rate: spikes / (neurons x time steps); t = 1, 2, ...: rate at that step in %."
    if length > 1:
        meaning += " Of so many steps it is the mean over those named; --json has each."
    title = f"Spiking layers of {account.model.title} on {account.data.name}"
    return Table(title, columns, rows, [meaning], _LAYOUTS, quiet=True)
