from collections.abc import Callable
from dataclasses import replace

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles.origin import UNTRAINED_NOTE, Origin
from saformer.reports.document.blocks import Part, Report
from saformer.reports.results.comparison import ComparisonRow, comparison_rows, published_rows
from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table

Render = Callable[[Report | Part, int], str]
Golden = Callable[[Report | Part, str], None]


def scaled(account: Account, factor: float, **changes: object) -> Account:
    """The account with that many times the energy."""
    layers = tuple(replace(layer, energy_mj=factor * (layer.energy_mj or 0.0)) for layer in account.layers)
    return replace(account, layers=layers, **changes)


def comparison_rows_of(account: Account, random: Account) -> list[ComparisonRow]:
    return comparison_rows([("digits/saformer", account), ("saformer-1-384", random)])


def test_comparison(comparison_rows: list[ComparisonRow], matches_golden: Golden) -> None:
    matches_golden(comparison_table(comparison_rows), "comparison")


def test_comparison_on_several_data_sets(comparison_rows: list[ComparisonRow], matches_golden: Golden) -> None:
    rows = [*comparison_rows, replace(comparison_rows[0], data="cifar100, test", reference=True)]
    matches_golden(comparison_table(rows), "comparison_several_data")


def test_comparison_beside_published(account: Account, matches_golden: Golden) -> None:
    random = scaled(account, 0.1, notes=(UNTRAINED_NOTE,), origin=Origin.UNTRAINED, accuracy=None)
    rows = comparison_rows_of(account, random)
    matches_golden(comparison_table([*rows, *published_rows(["cifar10"])]), "comparison_published")


def test_several_accountings(account: Account, matches_golden: Golden) -> None:
    random = scaled(account, 0.1, notes=(UNTRAINED_NOTE,), origin=Origin.UNTRAINED)
    beside = published_rows(["cifar10"])[-3:]
    by_accounting = {
        "paper": comparison_rows_of(account, random) + beside,
        "exact": comparison_rows_of(scaled(account, 1.25), scaled(random, 2)) + beside,
    }
    matches_golden(accountings_comparison_table(by_accounting), "comparison_accountings")


def test_ours_has_no_difference_to_itself(comparison_rows: list[ComparisonRow], render: Render) -> None:
    lines = render(comparison_table(comparison_rows), 100).splitlines()
    assert "%" not in next(line for line in lines if line.startswith("SAFormer-4-384")).replace("95.80%", "")
    assert "+90.5%" in next(line for line in lines if line.startswith("Spikformer"))
    assert "-8.4%" in next(line for line in lines if line.startswith("published only"))
