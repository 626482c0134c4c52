"""The audit: which networks are spike-driven, why others are not, and what the equations leave out."""

import json
from typing import Any

import pytest
import torch
from awake_models import calibrated
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.diagnostics.spike_driven import Audit, LeftOut, audit
from saformer.neurons import LIF


def recorded(name: str, kind: str = "static", **settings: Any) -> Profile:
    torch.manual_seed(0)
    settings = {"image_size": 16, **settings}
    model = saformer.build(name, **settings)
    config = model.config
    shape = (config.in_channels, config.image_size, config.image_size)
    x = torch.randn(3, *shape)
    if config.input_kind == "events":
        x = torch.poisson(torch.full((3, config.time_steps, *shape), 0.5))
        if kind == "binary":
            x = x.clamp(max=1)
    return profile(calibrated(model, x), [x], check_flops=False)


def left_out(result: Audit) -> dict[str, LeftOut]:
    return {item.what: item for item in result.left_out}


# --- Verdicts ---


def test_saformer_is_spike_driven_on_images() -> None:
    result = audit(recorded("saformer-2-16", aggregated=4))
    assert result.spike_driven
    assert (
        result.verdict
        == "spike-driven: every operation has an input of spikes, except the first, which reads the image"
    )
    (image,) = result.not_binary
    assert (image.name, image.source, image.cause) == ("patch_embed.proj_conv", "the input", "the image itself")
    assert image.firing_rate == 1
    assert result.uncounted == ()
    assert result.operations == len(recorded("saformer-2-16", aggregated=4).operations)


def test_spikformer_is_not_and_its_shortcuts_are_to_blame() -> None:
    p = recorded("spikformer-2-16", heads=2)
    result = audit(p)
    assert not result.spike_driven
    causes = {item.name: item.cause for item in result.not_binary}
    for block in (0, 1):
        before = "patch_embed" if block == 0 else "block.0"
        for layer in "qkv":
            name = f"block.{block}.attn.{layer}_linear"
            assert causes[name] == f"a shortcut that added spikes ({before})"
        assert causes[f"block.{block}.mlp.fc1_linear"] == f"a shortcut that added spikes (block.{block})"
    assert causes["head"].startswith("averaging or summing of spikes")
    assert causes.keys() == {"patch_embed.proj_conv", "head", *(n for n in causes if n.startswith("block."))}
    assert len(causes) == 2 + 8
    dense = {o.name: o.dense for o in p.operations}
    share = sum(dense[n] for n in causes if n != "patch_embed.proj_conv") / sum(dense.values())
    assert result.verdict.startswith(f"not spike-driven: 9 of {len(dense)} operations, {share:.1%} of the dense")


def test_pooled_spikes_are_fractions() -> None:
    result = audit(recorded("saformer-1-16", aggregated=4, aggregate="spikes"))
    assert not result.spike_driven
    (fraction,) = [item for item in result.not_binary if item.name != "patch_embed.proj_conv"]
    assert (fraction.name, fraction.op) == ("block.0.attn.qk", "product")
    assert fraction.cause.startswith("averaging or summing of spikes")
    assert "1 of " in result.verdict


def test_event_frames_that_hold_counts_are_not_spikes() -> None:
    counts = audit(recorded("saformer-1-16", in_channels=2, time_steps=3, aggregated=4))
    assert not counts.spike_driven  # Eq. 20 charges the first layer ACs, and it multiplies
    assert [(item.name, item.cause) for item in counts.not_binary] == [
        ("patch_embed.proj_conv", "the event frame holds counts")
    ]
    binary = audit(recorded("saformer-1-16", "binary", in_channels=2, time_steps=3, aggregated=4))
    assert binary.spike_driven
    assert binary.not_binary == ()
    assert binary.verdict == "spike-driven: every operation has an input of spikes"


def test_a_network_without_neurons_is_not() -> None:
    result = audit(recorded("vit-1-16", heads=2))
    assert not result.spike_driven
    assert result.verdict == "not spike-driven: the network has no spiking neurons"
    assert len(result.not_binary) == result.operations
    assert "neuron updates" not in left_out(result)


def test_membrane_shortcuts_leave_spikingformer_with_its_head_alone() -> None:
    result = audit(recorded("spikingformer-1-16", heads=2))
    assert not result.spike_driven
    assert {item.name for item in result.not_binary} == {"patch_embed.block0_conv", "head"} or {
        item.name for item in result.not_binary
    } >= {"head"}
    assert all("block.0" not in item.name for item in result.not_binary)


def test_shares_are_those_of_the_accounts() -> None:
    p = recorded("spikformer-1-16", heads=2)
    for item in audit(p).not_binary:
        assert item.shares.keys() == ACCOUNTINGS.keys()
        for name, share in item.shares.items():
            account = p.account(name)
            (row,) = [row for row in account.layers if row.name == item.name]
            assert share == pytest.approx((row.energy_mj or 0) / account.energy_mj)


# --- What is left out, by hand ---


class Net(nn.Module):
    """T x B x ...: one of each."""

    def __init__(self, norm_after_pool: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.bn = nn.BatchNorm2d(2)
        self.lif = LIF()
        self.norm_after_pool = norm_after_pool

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.bn(self.pool(x)) if self.norm_after_pool else self.pool(self.bn(x))
        y = self.lif(x.expand(3, *x.shape))
        return (y + y) * 0.5


@pytest.mark.parametrize("norm_after_pool", [True, False])
def test_costs_by_hand(norm_after_pool: bool) -> None:
    chip = Hardware("chip", "", "", "", mac_pj=7.0, ac_pj=2.0, multiply_pj=5.0)
    result = audit(profile(Net(norm_after_pool), [torch.randn(5, 1, 4, 4)], check_flops=False, time_steps=3), chip)
    found = left_out(result)
    wanted = {
        "neuron updates": (1, 3 * 8, 9.0),  # T x 2 x 2 x 2, a MAC and an AC each
        "averaging": (1, 32, 2.0),  # what it read
        "shortcuts and sums": (1, 3 * 8, 2.0),
        "scaling": (1, 3 * 8, 5.0),
    }
    if norm_after_pool:
        wanted["BatchNorm that cannot be folded"] = (1, 8, 7.0)
    assert found.keys() == wanted.keys()
    for what, (places, elements, picojoules) in wanted.items():
        item = found[what]
        assert (item.places, item.elements) == (places, elements), what
        assert item.energy_mj == pytest.approx(elements * picojoules * 1e-9), what
    energies = [item.energy_mj or 0 for item in result.left_out]
    assert energies == sorted(energies, reverse=True)


def test_max_pooling_costs_membranes_alone() -> None:
    class Pools(nn.Module):
        def __init__(self, first: bool) -> None:
            super().__init__()
            self.conv, self.pool, self.lif, self.first = nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), LIF(), first

        def forward(self, x: Tensor) -> Tensor:
            x = self.conv(x)
            return self.lif(self.pool(x)[None]) if self.first else self.pool(self.lif(x[None]).flatten(0, 1))

    x = torch.randn(5, 1, 6, 6)
    membranes = left_out(audit(profile(Pools(True), [x], check_flops=False)))["max pooling of membranes"]
    assert (membranes.places, membranes.elements) == (1, 32)
    spikes = audit(profile(Pools(False), [x], check_flops=False))
    assert left_out(spikes).keys() == {"neuron updates"}


def test_batch_norm_is_foldable_right_behind_a_layer_alone() -> None:
    norms = {f.name: f.foldable for f in recorded("saformer-1-16", aggregated=4).free if "batch_norm" in f.op}
    assert norms and all(norms.values())
    p = profile(Net(True), [torch.randn(2, 1, 4, 4)], check_flops=False)
    assert [f.foldable for f in p.free if "batch_norm" in f.op] == [False]


def test_phi_of_sasa_is_among_what_is_left_out() -> None:
    p = recorded("saformer-1-16", aggregated=4)
    averages = left_out(audit(p))["averaging"]
    phi = [f for f in p.free if f.name == "block.0.attn" and "avg_pool" in f.op]
    assert phi
    assert sum(f.operand.elements for f in phi if f.operand) / p.images == 4 * 2 * 64 * 16  # T 2 N D
    assert averages.elements >= 4 * 2 * 64 * 16
    assert averages.cost == "1 AC"


def test_hardware_without_macs_leaves_energies_open() -> None:
    chip = Hardware("chip", "", "", "", mac_pj=None, ac_pj=2.0)
    result = audit(recorded("saformer-1-16", aggregated=4), chip)
    found = left_out(result)
    assert found["neuron updates"].energy_mj is None
    assert found["averaging"].energy_mj is not None


def test_as_plain_data() -> None:
    result = audit(recorded("spikformer-1-16", heads=2))
    plain = result.to_json()
    back = json.loads(json.dumps(plain, allow_nan=False))
    assert back == json.loads(json.dumps(plain))
    assert back["schema"] == 1
    assert back["spike_driven"] is False
    assert back["verdict"] == result.verdict
    assert [item["name"] for item in back["not_binary"]] == [item.name for item in result.not_binary]
    assert back["not_binary"][0]["shares"] == result.not_binary[0].shares
    assert [item["what"] for item in back["left_out"]] == [item.what for item in result.left_out]


def test_a_saved_profile_gives_the_same_audit(tmp_path: Any) -> None:
    p = recorded("spikformer-1-16", heads=2)
    p.save(tmp_path / "p.json")
    assert audit(Profile.load(tmp_path / "p.json")).to_json() == audit(p).to_json()
