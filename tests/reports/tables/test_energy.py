from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from saformer.analysis.accounting.account import Account
from saformer.analysis.profiles import ValueClass
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table
from saformer.reports.tables.what_was_run import what_was_read

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


def test_classes_are_shown_and_explained(account: Account, render: Render) -> None:
    text = render(energy_report(account, layers=True), 100)
    real = [line.split()[0] for line in text.splitlines() if " real " in line and "%" in line]
    assert real == ["input", "patch_embed", "proj_conv"]
    assert "class of the input: spikes (zeros and one value), real (anything else)" in text
    spikes_only = replace(account, layers=account.layers[1:])
    assert "real" not in render(energy_report(spikes_only, layers=True), 100)


def test_a_block_is_of_its_worst_class(account: Account, render: Render) -> None:
    layers = [replace(account.layers[3], kind=kind, name=f"a.0.{kind}") for kind in ValueClass]
    for i in range(1, len(layers) + 1):
        text = render(energy_report(replace(account, layers=tuple(layers[:i]))), 100)
        (block,) = (line for line in text.splitlines() if line.startswith("a.0"))
        assert f" {layers[i - 1].kind} " in block


def test_real_values_beyond_the_first_layer_have_a_line_from_one_percent(account: Account, render: Render) -> None:
    rest = [replace(layer, kind=ValueClass.SPIKES) for layer in account.layers]
    total = sum(layer.energy_mj or 0.0 for layer in rest[:-1])
    for share, shown in ((0.009, False), (0.011, True)):
        head = replace(rest[-1], kind=ValueClass.REAL, macs=1.0, energy_mj=total * share / (1 - share), sops=2e6)
        changed = replace(account, layers=(*rest[:-1], head))
        text = render(energy_report(changed), 100)
        assert ("real values" in text) is shown
        assert (changed.to_json()["totals"]["real_values"] is not None) is shown
    assert "head:" in text and "1.1% of the energy (1.80 µJ as ACs at their rate)" in text
    first = replace(changed, layers=(*rest[:-1], replace(head, first=True)))
    assert first.real_values is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "static images, T = 4 from the checkpoint; dense operations:"),
        ({"steps_from": None}, "static images, T = 4; dense operations:"),
        ({"steps_from": StepsFrom.LAYERS, "taken_for": "spike trains"}, "spike trains, T = 4 as its layers ran;"),
        ({"model": None, "steps_from": None}, "static images, T = - (not seen: --time-steps T says it);"),
    ],
)
def test_what_the_input_is_taken_for(account: Account, render: Render, changes: dict[str, Any], said: str) -> None:
    if "model" in changes:
        changes = {**changes, "model": replace(account.model, time_steps=None)}
    line = what_was_read(replace(account, **changes))[0]
    assert line.text.startswith(said)
    assert "T =" not in what_was_read(replace(account, **changes), steps=False)[0].text


def test_shares_by_class_are_of_the_dense_operations(account: Account) -> None:
    shares = account.to_json()["totals"]["classes"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["real"] == account.layers[0].flops / account.flops
    assert list(shares) == ["spikes", "real"]


def test_event_data_has_no_column_of_macs(account: Account, render: Render) -> None:
    events = replace(account, layers=account.layers[1:])
    assert "MACs" not in render(energy_report(events), 100)
    assert "ACs" in render(energy_report(events), 100)


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        ("image", " ± 0.47 µJ per image (95 % interval, variance over images)"),
        ("batch", " ± 0.47 µJ per image (95 % interval, from batch means)"),
        (None, " ± 0.47 µJ per image (95 % interval)"),
    ],
)
def test_interval_says_where_it_is_from(account: Account, render: Render, unit: str | None, words: str) -> None:
    assert words in render(energy_report(replace(account, ci_unit=unit)), 100)


def test_no_interval_no_claim(account: Account, render: Render) -> None:
    text = render(energy_report(replace(account, energy_mj_ci95=None, ci_unit=None)), 100)
    assert "energy 163.8 µJ per image\n" in text
    assert "interval" not in text


def test_account_without_operations_still_prints(account: Account, render: Render) -> None:
    empty = replace(account, layers=(), neurons=(), energy_mj_ci95=None, accuracy=None)
    assert "energy 0 mJ per image" in render(energy_report(empty, layers=True), 80)
    assert "no spiking layers" in render(neuron_table(empty), 80)
