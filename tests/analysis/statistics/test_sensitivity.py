from dataclasses import replace

import pytest
import torch

import saformer
from saformer.analysis import profile
from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.rates.from_rates import profile_from_rates
from saformer.analysis.recording.rates.rates_table import Rates
from saformer.analysis.statistics.sensitivity import sensitivities
from saformer.errors import InputError

HARDWARE = load_hardware("45nm-fp32")


def at(rates: list[tuple[str, float]]) -> Profile:
    return profile_from_rates(saformer.build("spikingformer-1-32"), Rates((("*", 0.2), *rates)))


def test_the_change_is_that_of_a_profile_with_the_other_rate():
    name = "block.0.mlp.mlp1_conv"
    base = at([])
    row = next(s for s in sensitivities(base) if s.name == name)
    energy = base.account().energy_mj
    assert row.firing_rate == pytest.approx(0.2)
    assert row.per_point_mj == pytest.approx(at([(name, 0.21)]).account().energy_mj - energy, rel=1e-6)
    assert row.per_tenth_mj == pytest.approx(at([(name, 0.22)]).account().energy_mj - energy, rel=1e-6)


def test_charges_at_the_rate_change_by_a_tenth_of_themselves():
    base = at([])
    rows = sensitivities(base)
    total = base.account().energy_mj
    dense = (base.operations[0].name, "head")  # the image; the head reads membranes, as published
    for row in rows:
        assert row.energy_mj is not None
        assert row.per_tenth_mj == pytest.approx(0 if row.name in dense else row.energy_mj / 10, rel=1e-6)
    # Together: a tenth of all that Eq. 19 charges at a rate.
    free = sum(row.energy_mj for row in rows if row.name in dense)
    assert sum(row.per_tenth_mj for row in rows) == pytest.approx((total - free) / 10, rel=1e-6)


@pytest.mark.parametrize("accounting", ["paper", "integer-spikes", "spike-driven", "exact", "neurobench"])
def test_what_moves_keeps_its_class(accounting):
    # Sums of spikes read by q, k, v and fc1 of a Spikformer, and membranes by the head of a Spikingformer.
    for name in ("spikformer-1-16", "spikingformer-1-32"):
        base = profile_from_rates(saformer.build(name), None, 0.2)
        for row in sensitivities(base, accounting):
            assert row.per_tenth_mj == pytest.approx(row.energy_mj / 10, rel=1e-5) or row.per_tenth_mj == 0


def test_the_operation_that_matters_most_comes_first():
    rows = sensitivities(at([("block.0.mlp.mlp2_conv", 0.9)]))
    assert rows[0].name == max(rows, key=lambda s: s.per_tenth_mj).name
    changes = [row.per_tenth_mj for row in rows]
    assert changes == sorted(changes, reverse=True)
    assert {row.name for row in rows[-2:]} == {"patch_embed.block0_conv", "head"} and changes[-2:] == [0, 0]


def test_a_full_input_and_a_silent_one_have_slopes():
    rows = {s.name: s for s in sensitivities(at([("block.0.mlp.mlp1_conv", 1.0), ("block.0.mlp.mlp2_conv", 0.0)]))}
    full, silent = rows["block.0.mlp.mlp1_conv"], rows["block.0.mlp.mlp2_conv"]
    assert full.per_point_mj == pytest.approx(silent.per_point_mj, rel=1e-6) and full.per_point_mj > 0
    assert silent.per_tenth_mj == 0 and full.per_tenth_mj == pytest.approx(10 * full.per_point_mj)


def test_a_recorded_profile_answers_too():
    torch.manual_seed(0)
    recorded = profile(saformer.build("sdt-1-16", image_size=16), [torch.randn(3, 3, 16, 16)])
    rows = sensitivities(recorded, hardware=HARDWARE, first_layer_once=True)
    assert {row.name for row in rows} == {operation.name for operation in recorded.operations}
    assert all(row.per_tenth_mj >= 0 for row in rows)


def test_hardware_without_multiply_accumulate_leaves_those_out():
    rows = sensitivities(at([]), hardware=replace(HARDWARE, mac_pj=None))
    assert next(row for row in rows if row.energy_mj is None).per_tenth_mj == 0


def test_names_are_checked():
    with pytest.raises(InputError, match="nobody"):
        sensitivities(at([]), accounting="nobody")
