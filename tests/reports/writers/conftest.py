"""Reports of every kind of layout."""

from dataclasses import replace

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Report
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.tables.comparison import comparison_table
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table


@pytest.fixture
def reports(account: Account, comparison_rows: list[ComparisonRow]) -> dict[str, Report]:
    """The layouts there are: subtotals and marks, a plain table with an error bar, groups, a series of columns."""
    several = [*comparison_rows, replace(comparison_rows[0], data="cifar100, test", reference=True)]
    return {
        "energy_blocks": energy_report(account),
        "energy_layers": energy_report(account, layers=True),
        "comparison": Report([comparison_table(comparison_rows)]),
        "comparison_several_data": Report([comparison_table(several)]),
        "neurons": Report([neuron_table(account)]),
    }
