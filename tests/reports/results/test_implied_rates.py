"""The energies that the SAFormer paper gives others: bounds and mean rates."""

import pytest

from saformer.reports.results.implied_rates import Implied, counted_elsewhere, implied_rates, sentences


@pytest.fixture(scope="module")
def rows() -> list[Implied]:
    return implied_rates()


def test_each_comparator_of_the_paper_has_a_row(rows):
    assert len({(row.dataset, row.method) for row in rows}) == 12


def test_bounds_and_mean_rates(rows):
    found = {(row.dataset, row.method): row for row in rows}
    resnet = found["cifar10", "SEW-ResNet"]
    assert resnet.bound_mj == pytest.approx(8.00, abs=5e-3) and resnet.all_acs > 1
    assert resnet.sums_macs == 16 * 213_914_624
    wide = found["cifar10-dvs", "SEW-ResNet"]
    assert wide.all_acs == pytest.approx(0.96, abs=5e-3) and wide.first_repeated is None
    assert found["cifar10", "Spikformer"].sums_dense == pytest.approx(0.11, abs=5e-3)


def test_syops_on_a_trained_spikformer_is_what_the_paper_prints():
    (counted,) = counted_elsewhere()
    # 1,073,090,314 and each bias of a linear layer once per call; the source ran it step by step.
    assert counted.macs == 1_073_101_066
    assert counted.energy_mj == pytest.approx(5.19, abs=5e-3)


def test_what_follows_is_said_with_its_arithmetic(rows):
    text = "\n".join(sentences(rows))
    assert "8.88 mJ is more than all of its operations as ACs at a rate of 1, 0.9 pJ x 8.887 G = 8.00 mJ" in text
    assert "22.6 mJ would be a mean rate of 96%" in text
    assert "within 0.8% of it" in text
