from collections.abc import Callable
from dataclasses import replace

import pytest

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table

Render = Callable[[Report | Part, int], str]
Golden = Callable[[Report | Part, str], None]


def test_report_by_block(account: Account, matches_golden: Golden) -> None:
    matches_golden(energy_report(account), "energy_blocks")


def test_report_by_operation(account: Account, matches_golden: Golden) -> None:
    matches_golden(energy_report(account, layers=True), "energy_layers")


def test_report_of_sixty_operations(large_account: Account, matches_golden: Golden) -> None:
    assert len(large_account.layers) == 60
    matches_golden(energy_report(large_account, layers=True), "energy_sixty_layers")


def test_rate_of_a_block_is_its_sops_over_its_flops(account: Account, render: Render) -> None:
    members = [layer for layer in account.layers if layer.block == "block.0"]
    rate = sum(layer.sops for layer in members) / sum(layer.flops for layer in members)
    line = next(line for line in render(energy_report(account), 100).splitlines() if line.startswith("block.0"))
    assert f"{100 * rate:.1f}%" in line


def test_what_is_not_binary_is_marked_and_explained(account: Account, render: Render) -> None:
    text = render(energy_report(account, layers=True), 100)
    marked = [line.split()[0] for line in text.splitlines() if "†" in line]
    assert marked == ["patch_embed", "proj_conv", "total", "†"]
    spikes_only = replace(account, layers=account.layers[1:])
    assert "†" not in render(energy_report(spikes_only, layers=True), 100)


def test_event_data_has_no_column_of_macs(account: Account, render: Render) -> None:
    events = replace(account, layers=account.layers[1:])
    assert "MACs" not in render(energy_report(events), 100)
    assert "ACs" in render(energy_report(events), 100)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("image", " ± 0.0005 mJ per image (95 % interval, variance over images)"),
        ("batch", " ± 0.0005 mJ per image (95 % interval, from batch means)"),
        (None, " ± 0.0005 mJ per image (95 % interval)"),
    ],
)
def test_interval_says_where_it_is_from(account: Account, render: Render, unit: str | None, words: str) -> None:
    assert words in render(energy_report(replace(account, ci_unit=unit)), 100)


def test_no_interval_no_claim(account: Account, render: Render) -> None:
    text = render(energy_report(replace(account, energy_mj_ci95=None, ci_unit=None)), 100)
    assert "energy 0.1638 mJ per image\n" in text
    assert "interval" not in text


def test_account_without_operations_still_prints(account: Account, render: Render) -> None:
    empty = replace(account, layers=(), neurons=(), energy_mj_ci95=None, accuracy=None)
    assert "energy 0 mJ per image" in render(energy_report(empty, layers=True), 80)
    assert "no spiking layers" in render(neuron_table(empty), 80)
