import math
from dataclasses import replace

import pytest

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles.origin import NOTHING_RUN, UNTRAINED_NOTE, Origin
from saformer.errors import InputError
from saformer.reports.results.comparison import IMPLIED, PUBLISHED, comparison_rows, published_rows
from saformer.reports.results.literature import published_accuracy, published_energy


def scaled(account: Account, factor: float, **changes: object) -> Account:
    """The account with that many times the energy."""
    layers = tuple(replace(layer, energy_mj=factor * (layer.energy_mj or 0.0)) for layer in account.layers)
    return replace(account, layers=layers, **changes)


def test_rows_hold_the_account_and_equation_21(account: Account) -> None:
    double = scaled(account, 2, accuracy=replace(account.accuracy, top1=0.8))
    ours, other = comparison_rows([("a", account), ("b", double)])
    assert (ours.energy_mj, ours.top1, ours.parameters) == (account.energy_mj, 0.9548, 5764234)
    assert ours.reference and not other.reference
    assert other.relative_difference == pytest.approx(0.5)
    assert other.relative_accuracy == pytest.approx((0.8 - 0.9548) / 0.8)


def test_each_data_set_has_its_own_reference(account: Account) -> None:
    elsewhere = replace(account, data=replace(account.data, name="cifar100"))
    named = [("a", account), ("c", elsewhere), ("b", scaled(account, 2)), ("d", scaled(elsewhere, 4))]
    rows = comparison_rows(named, ["d"])
    assert [row.name for row in rows] == ["a", "b", "c", "d"]
    assert [row.reference for row in rows] == [True, False, False, True]
    assert rows[2].relative_difference == pytest.approx(1 - 4)


def test_two_references_in_one_data_set_are_refused(account: Account) -> None:
    with pytest.raises(InputError, match="a and b"):
        comparison_rows([("a", account), ("b", account)], ["a", "b"])
    with pytest.raises(InputError, match="none of the models"):
        comparison_rows([("a", account)], ["z"])


def test_random_weights_are_marked_and_not_set_against_trained_ones(account: Account) -> None:
    random = replace(account, notes=(*account.notes, UNTRAINED_NOTE), origin=Origin.UNTRAINED)
    rates = replace(account, notes=(f"{NOTHING_RUN}: inputs have the rates given",), origin=Origin.RATES)
    rows = comparison_rows([("a", account), ("b", random), ("c", rates)])
    assert [row.origin for row in rows] == ["measured", "untrained", "rates"]
    assert math.isnan(rows[1].relative_difference) and not math.isnan(rows[2].relative_difference)


def test_every_published_number_is_there_and_named_as_such() -> None:
    rows = {(row.data, row.name): row for row in published_rows()}
    assert len(rows) == len(published_accuracy())
    for found in published_accuracy().itertuples():
        assert rows[found.dataset, found.method].top1 == pytest.approx(found.top1_percent / 100)
    for found in published_energy().itertuples():
        row = rows[found.dataset, found.method]
        assert row.energy_mj == found.energy_mj
        assert row.origin == (IMPLIED if found.source == "implied" else PUBLISHED)
        if not row.reference and found.stated_reduction_percent == found.stated_reduction_percent:
            assert 100 * row.relative_difference == pytest.approx(found.stated_reduction_percent, abs=0.06)
    assert all(row.published for row in rows.values())
    assert [row.name for row in rows.values() if row.reference] == ["SAFormer"] * 4


def test_nothing_is_published_for_digits() -> None:
    assert published_rows(["digits"]) == []
