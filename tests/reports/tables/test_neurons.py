from collections.abc import Callable

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.neurons import neuron_table

Golden = Callable[[Report | Part, str], None]


def test_neurons(account: Account, matches_golden: Golden) -> None:
    matches_golden(neuron_table(account), "neurons")


def test_neurons_over_sixteen_steps(large_account: Account, matches_golden: Golden) -> None:
    matches_golden(neuron_table(large_account), "neurons_sixteen_steps")
