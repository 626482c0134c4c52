"""Reasons for which accountings disagree: they name what differs, and their energies add up."""

from functools import cache
from typing import Any

import pytest
import torch
from awake_models import calibrated
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.accounting.explain import Disagreement, differences
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS


@cache
def recorded(name: str, prune: bool = False, **settings: Any) -> Profile:
    torch.manual_seed(0)
    model = saformer.build(name, image_size=16, **settings)
    x = torch.randn(3, 3, 16, 16)
    calibrated(model, x)
    if prune:
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight[torch.rand_like(module.weight) < 0.3] = 0
    return profile(model, [x], graded=True, run={"batch_size": 3}, check_flops=False)


@pytest.fixture(scope="module")
def spikformer() -> Profile:
    return recorded("spikformer-2-16", heads=2)


def found(p: Profile, accounting: str, **options: Any) -> list[Disagreement]:
    return differences(p.account(accounting, **options), p.account("paper", **options))


def named(reasons: list[Disagreement], words: str) -> Disagreement:
    (match,) = [d for d in reasons if words in d.reason]
    return match


BLURRED = {f"block.*.{layer}" for layer in ("attn.q_linear", "attn.k_linear", "attn.v_linear", "mlp.fc1_linear")}


def test_sums_of_spikes_are_charged_dense_macs_by_syops(spikformer: Profile) -> None:
    reasons = found(spikformer, "syops")
    sums = named(reasons, "whole multiples of a unit: charged MACs, dense")
    assert BLURRED <= set(sums.names) <= {*BLURRED, "head"}
    assert sums.energy_mj is not None and sums.energy_mj > 0
    norms = named(reasons, "batch_norm charged MACs")
    assert "block.*.attn.q_bn" in norms.names
    assert norms.energy_mj == pytest.approx(
        4.6e-9 * sum(2 * f.elements for f in spikformer.free if "batch_norm" in f.op) / 3
    )
    unseen = named(reasons, "not seen, charged nothing")
    assert set(unseen.names) == {"block.*.attn.qk", "block.*.attn.qkv"}
    assert unseen.energy_mj is not None and unseen.energy_mj < 0
    assert "patch_embed.proj_lif" in named(reasons, "neurons charged ACs").names
    assert named(reasons, "biases are counted").names  # of layers that read spikes: proj and fc2


def test_spike_driven_charges_the_same_layers_at_their_rate(spikformer: Profile) -> None:
    reasons = found(spikformer, "spike-driven")
    assert set(named(reasons, "charged MACs, at the nonzero rate").names) == BLURRED
    assert named(reasons, "charged MACs, dense").names == ("head",)  # means of spikes: not one is zero
    assert len(reasons) == 2


def test_exact_respects_edges_and_pairs(spikformer: Profile) -> None:
    reasons = found(spikformer, "exact")
    assert "patch_embed.proj_conv1" in named(reasons, "edge spike").names
    assert set(named(reasons, "pairs that meet").names) == {"block.*.attn.qk", "block.*.attn.qkv"}
    assert {name for d in reasons if "whole multiples" in d.reason for name in d.names} >= BLURRED


def test_integers_unrolled_are_not_taken_for_biases(spikformer: Profile) -> None:
    reasons = found(spikformer, "integer-spikes")
    assert set(named(reasons, "whole multiples unrolled").names) == {*BLURRED, "head"}
    assert len(reasons) == 1
    # Asked for, every accounting unrolls them: then edges and pairs remain.
    unrolled = found(spikformer, "exact", unroll=True)
    assert not [d for d in unrolled if "bias" in d.reason or "charged MACs" in d.reason]
    exact = differences(spikformer.account("exact", unroll=True), spikformer.account("paper"))
    assert set(named(exact, "whole multiples unrolled").names) == {*BLURRED, "head"}
    assert not [d for d in exact if "bias" in d.reason]


def test_zero_weights_are_named() -> None:
    reasons = found(recorded("saformer-1-16", prune=True, aggregated=4), "neurobench")
    assert "block.*.mlp.fc2_linear" in named(reasons, "zero weights").names


def test_layers_that_the_script_of_spikingformer_drops(spikformer: Profile) -> None:
    reasons = found(spikformer, "spikingformer")
    dropped = named(reasons, "not seen, charged nothing")
    assert {*BLURRED, "block.*.attn.proj_linear", "block.*.mlp.fc2_linear"} == set(dropped.names)
    assert "block.*.attn.qk" in named(reasons, "formula of its own").names
    assert not [d for d in reasons if "pairs" in d.reason]


@pytest.mark.parametrize("accounting", ACCOUNTINGS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("spikformer-2-16", {"heads": 2}),
        ("saformer-1-16", {"aggregated": 4, "aggregate": "spikes"}),
        ("sdt-1-16", {"heads": 2}),
        ("spikingformer-1-16", {"heads": 2}),
        ("vit-1-16", {"heads": 2}),
    ],
)
def test_they_add_up_to_the_difference_of_the_totals(name: str, settings: dict[str, Any], accounting: str) -> None:
    p = recorded(name, prune=True, **settings)
    account, reference = p.account(accounting), p.account("paper")
    reasons = differences(account, reference)
    total = sum(d.energy_mj for d in reasons if d.energy_mj is not None)
    assert total == pytest.approx(account.energy_mj - reference.energy_mj, rel=1e-9, abs=1e-15)
    sizes = [abs(d.energy_mj or 0) for d in reasons]
    assert sizes == sorted(sizes, reverse=True)
    assert len({d.reason for d in reasons}) == len(reasons)
    assert all(d.names for d in reasons)


def test_an_accounting_does_not_differ_from_itself(spikformer: Profile) -> None:
    for accounting in ACCOUNTINGS:
        assert differences(spikformer.account(accounting), spikformer.account(accounting)) == []


def test_hardware_without_macs_leaves_the_energy_open(spikformer: Profile) -> None:
    chip = Hardware("chip", "", "", "", mac_pj=None, ac_pj=2.0)
    reasons = found(spikformer, "spike-driven", hardware=chip)
    assert [d.energy_mj for d in reasons] == [None, None]


def test_a_binary_image_is_an_image() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)
            self.lif = saformer.neurons.LIF()

        def forward(self, x: Tensor) -> Tensor:
            return self.lif(self.conv(x)[None])

    p = profile(Net(), [torch.ones(2, 1, 4, 4)], check_flops=False)
    assert p.operations[0].gate.binary and p.account("exact").acs == 0
    (reason,) = found(p, "exact")
    assert reason.reason == "an edge spike reaches fewer outputs"
    # syops looks at the values alone.
    (of_syops,) = [d for d in found(p, "syops") if "conv" in d.names]
    assert of_syops.reason == "the input is binary: charged ACs"
