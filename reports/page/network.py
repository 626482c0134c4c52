"""The section of one network: what it does and costs, block by block, and why."""

import math
from dataclasses import replace

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Heading, Part, Picture
from saformer.reports.document.numbers import EnergyUnit, percent
from saformer.reports.document.table import Table
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.rates import firing_rates, rates_figure
from saformer.reports.page.summary import Summary
from saformer.reports.tables.accountings import accountings_report
from saformer.reports.tables.audit import audit_report
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table

# Beyond these a page shows blocks instead of operations, and no longer every layer of neurons in a figure.
_MOST_OPERATIONS, _MOST_BARS, _MOST_NEURONS, _MOST_STEPS = 150, 80, 80, 32


def network_section(found: Summary, slug: str, accounting: str, unit: EnergyUnit) -> list[Part]:
    """What one network does and costs.

    Args:
        found: its accounts and its audit.
        slug: of the names of its figures.
        accounting: of its tables and figures.
        unit: of all energies.
    """
    account = found.accounts[accounting]
    gist = unit.text(account.energy_mj, account.energy_mj_ci95)
    parts: list[Part] = [
        Heading(found.section, gist=f"{gist}, {len(account.layers)} operations"),
        *_figure(account, slug, found.name, unit),
        *energy_report(account, len(account.layers) <= _MOST_OPERATIONS, unit).parts,
        Heading(f"Firing rates of {found.name}", 3, gist=f"{len(account.neurons)} layers of neurons"),
        *_rates(account, slug, found.name),
        Heading(f"Accountings of {found.name}, block by block", 3),
        *accountings_report(list(found.accounts.values()), unit=unit).parts[1:],  # what was run stands above
        Heading(f"Is {found.name} spike-driven?", 3, gist="yes" if found.audit.spike_driven else "no"),
        *audit_report(found.audit, unit).parts,
    ]
    return parts


def _figure(account: Account, slug: str, name: str, unit: EnergyUnit) -> list[Part]:
    if not account.layers or len(account.layers) > _MOST_BARS:
        return []
    largest = max(account.layers, key=lambda layer: layer.energy_mj or 0.0)
    share = (largest.energy_mj or 0.0) / account.energy_mj if account.energy_mj > 0 else math.nan
    return [
        Picture(
            f"{slug}-energy",
            lambda: energy_figure(account, unit),
            f"Bars of the energy of {len(account.layers)} operations and, on the same rows, the firing rate of "
            f"their inputs. The largest is {largest.name} with {percent(share)} of {unit.text(account.energy_mj)}",
            f"Energy and firing rate of each operation of {name}; the table below has the numbers.",
        )
    ]


def _rates(account: Account, slug: str, name: str) -> list[Part]:
    table = neuron_table(account)
    if isinstance(table, Table) and sum(column.series for column in table.columns) > _MOST_STEPS:
        # The file keeps what a page has no room for.
        table = replace(table, columns=[replace(c, shown=c.shown and not c.series) for c in table.columns])
    if not account.neurons or len(account.neurons) > _MOST_NEURONS:
        return [table]
    means = [(sum(rates) / len(rates), n.name) for rates, n in zip(firing_rates(account), account.neurons, strict=True)]
    (low, lowest), (high, highest) = min(means), max(means)
    return [
        Picture(
            f"{slug}-rates",
            lambda: rates_figure(account),
            f"Map of the firing rates of {len(means)} spiking layers over the time steps, from {low:.1f} % "
            f"({lowest}) to {high:.1f} % ({highest}) on average over the steps",
            f"Firing rate of each spiking layer of {name} at each time step.",
        ),
        table,
    ]
