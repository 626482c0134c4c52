"""The spiking layers: neurons, spikes and firing rates."""

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Line
from saformer.reports.document.numbers import percent
from saformer.reports.document.table import Column, Table, TableLayout, number

_LAYOUTS = (
    TableLayout(2, fold=8),
    TableLayout(1, fold=8),
    TableLayout(1, fold=8, rank=0),
    TableLayout(1, fold=4, rank=0),
)


def neuron_table(account: Account) -> Table | Line:
    """Spiking layers: neurons and spikes per image, firing rate, and the rate at each time step."""
    if not account.neurons:
        return Line("no spiking layers were recorded")
    steps = max(len(neuron.per_step) for neuron in account.neurons)

    def step(rate: float | None) -> str:
        return "" if rate is None else percent(rate).removesuffix("%")

    columns = [
        Column("spiking layer", key="layer"),
        number("neurons", rank=1),
        number("spikes", key="spikes_per_image", rank=1),
        number("rate", key="firing_rate", write=percent),
        *(number(f"t={t + 1}", key=f"firing_rate_t{t + 1}", write=step, series=True) for t in range(steps)),
    ]
    rows = []
    for neuron in account.neurons:
        padding = [None] * (steps - len(neuron.per_step))
        rows.append([neuron.name, neuron.neurons, neuron.spikes, neuron.firing_rate, *neuron.rate_per_step, *padding])
    meaning = "rate: spikes / (neurons x time steps); t = 1, 2, ...: rate at that step in %."
    title = f"Spiking layers of {account.model.title} on {account.data.name}"
    return Table(title, columns, rows, [meaning], _LAYOUTS, quiet=True)
