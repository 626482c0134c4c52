"""What an account offers beside its totals: intervals of firing rates, a table, a notebook display."""

import math
import statistics

import pytest
import torch
from scipy.special import stdtrit

import saformer
from saformer.analysis import Profile, profile


@pytest.fixture(scope="module")
def recorded() -> Profile:
    torch.manual_seed(0)
    model = saformer.build("saformer-1-16", image_size=8, in_channels=1)
    return profile(model, torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(1)).split(4))


def test_the_interval_of_a_firing_rate_is_that_of_the_images(recorded: Profile) -> None:
    torch.manual_seed(0)
    model = saformer.build("saformer-1-16", image_size=8, in_channels=1)
    images = torch.randn(9, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    alone = [profile(model, [image[None]], check_flops=False).operations for image in images]
    for i, layer in enumerate(recorded.account().layers):
        rates = [operations[i].gate.firing_rate for operations in alone]
        width = stdtrit(8, 0.975) * statistics.stdev(rates) / math.sqrt(9)
        assert layer.firing_rate == pytest.approx(statistics.mean(rates), rel=1e-12)
        assert layer.firing_rate_ci95 == pytest.approx(width, rel=1e-9, abs=1e-15)


def test_one_image_has_no_interval() -> None:
    model = saformer.build("saformer-1-16", image_size=8, in_channels=1)
    account = profile(model, [torch.randn(1, 1, 8, 8)], check_flops=False).account()
    assert account.energy_mj_ci95 is None
    assert {layer.firing_rate_ci95 for layer in account.layers} == {None}


def test_tables_for_pandas_hold_the_numbers(recorded: Profile) -> None:
    account = recorded.account()
    frame = account.to_pandas()
    assert list(frame["name"]) == [layer.name for layer in account.layers]
    assert frame["energy_mj"].sum() == pytest.approx(account.energy_mj, rel=1e-12)
    assert set(frame["block"]) == {"patch_embed", "block.0", "head"}
    counts = recorded.to_pandas()
    assert list(counts["nonzero"]) == [operation.gate.nonzero for operation in recorded.operations]


def test_notebooks_show_the_total_and_the_operations(recorded: Profile) -> None:
    html = recorded._repr_html_()
    assert f"{recorded.account().energy_mj:.4g}" in html
    assert "block.0.attn.q_linear" in html and "<table" in html and "every operation was counted" in html


def test_names_in_a_notebook_are_text_not_markup() -> None:
    model = saformer.build("saformer-1-16", image_size=8, in_channels=1)
    html = profile(model, [torch.randn(1, 1, 8, 8)], name="<script>", check_flops=False)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
