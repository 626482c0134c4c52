import pytest

from saformer.analysis.accounting.account import relative_difference
from saformer.reports.results.literature import published_ablation, published_accuracy, published_energy

# The text counts its twelve reductions; fewer rows would mean that some were lost on the way.
STATED_REDUCTIONS = 12


def test_stated_reductions_follow_from_the_energies_by_equation_21() -> None:
    table = published_energy()
    ours = table[table.method == "SAFormer"].set_index("dataset").energy_mj
    stated = table[table.stated_reduction_percent.notna()]
    assert len(stated) == STATED_REDUCTIONS
    for row in stated.itertuples():
        reduction = 100 * relative_difference(row.energy_mj, ours[row.dataset])
        # The text gives one or two decimals; 0.06 covers the rounding of the coarser ones.
        assert reduction == pytest.approx(row.stated_reduction_percent, abs=0.06), (row.dataset, row.method)


def test_only_saformers_energies_are_stated() -> None:
    table = published_energy()
    assert set(table[table.source == "stated"].method) == {"SAFormer"}
    assert set(table.source) == {"stated", "implied"}
    assert (table.energy_mj > 0).all()


def test_accuracies_are_percentages_with_whole_time_steps() -> None:
    table = published_accuracy()
    assert str(table.time_steps.dtype) == "Int64"
    assert table.top1_percent.between(50, 100).all()
    row = table[(table.method == "SAFormer") & (table.dataset == "cifar10")].iloc[0]
    assert (row.architecture, row.time_steps, row.top1_percent) == ("SAFormer-4-384", 4, 95.80)


def test_ablation_has_both_data_sets_for_every_variant() -> None:
    table = published_ablation()
    assert table.groupby("model").dataset.nunique().eq(2).all()
    assert set(table.model) == {"SDSA", "w/o D", "w/o A", "w/o D+A", "SAFormer"}
