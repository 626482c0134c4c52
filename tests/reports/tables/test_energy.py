from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.catalogue import catalogue_table
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.flops import FlopsRow, flops_table
from saformer.reports.tables.neurons import neuron_table
from saformer.reports.writers.terminal import Renderable, ShareBar

Render = Callable[[Report | Part, int], str]
Golden = Callable[[Report | Part, str], None]

FLOPS_ROWS = [
    FlopsRow("patch_embed.proj_conv", "conv2d", 5308416, 5308416),
    FlopsRow("block.0.attn.qk", "matmul", 98304, None),
    FlopsRow("head", "linear", 15360, 15361),
]


def test_report_by_block(account: Account, matches_golden: Golden) -> None:
    matches_golden(energy_report(account), "energy_blocks")


def test_report_by_operation(account: Account, matches_golden: Golden) -> None:
    matches_golden(energy_report(account, layers=True), "energy_layers")


def test_report_of_sixty_operations(large_account: Account, matches_golden: Golden) -> None:
    assert len(large_account.layers) == 60
    matches_golden(energy_report(large_account, layers=True), "energy_sixty_layers")


def test_neurons(account: Account, matches_golden: Golden) -> None:
    matches_golden(neuron_table(account), "neurons")


def test_neurons_over_sixteen_steps(large_account: Account, matches_golden: Golden) -> None:
    matches_golden(neuron_table(large_account), "neurons_sixteen_steps")


def test_flops(matches_golden: Golden) -> None:
    matches_golden(flops_table(FLOPS_ROWS), "flops")


def test_catalogue(matches_golden: Golden) -> None:
    rows = [("saformer-4-384", 5764234, "32x32 images"), ("[small]", None, "event frames, " * 6)]
    matches_golden(catalogue_table("Models", ("name", "parameters", "for"), rows), "catalogue")


@pytest.mark.parametrize("width", [80, 100])
def test_nothing_is_wider_than_the_terminal(
    account: Account, large_account: Account, render: Render, width: int
) -> None:
    for renderable in (
        energy_report(large_account, layers=True),
        energy_report(account),
        neuron_table(large_account),
    ):
        assert max(map(len, render(renderable, width).splitlines())) <= width


def test_no_number_is_cut_at_eighty_columns(large_account: Account, render: Render) -> None:
    text = render(energy_report(large_account, layers=True), 80) + render(neuron_table(large_account), 80)
    assert "…" not in text


def test_names_with_brackets_are_printed_as_they_are(account: Account, render: Render) -> None:
    layer = replace(account.layers[-1], name="[bold]head[/]")
    odd = replace(account, layers=(layer,), notes=("see [1]",), uncounted=("[/x]",))
    text = render(energy_report(odd, layers=True), 100)
    for name in ("[bold]head[/]", "note: see [1]", "not counted: [/x]"):
        assert name in text


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


def test_difference_of_counters_is_marked(render: Render) -> None:
    marks = {line.split()[0]: "≠" in line for line in render(flops_table(FLOPS_ROWS), 100).splitlines() if line.strip()}
    assert not marks["patch_embed.proj_conv"]
    assert marks["head"] and not marks["block.0.attn.qk"]  # what a counter leaves out by convention is no difference
    assert "agree on all 1 operations" in render(flops_table(FLOPS_ROWS[:1]), 100)


def test_bars_are_plain_where_the_output_is_not_unicode() -> None:
    raw = StringIO()
    raw_ascii = type("Ascii", (StringIO,), {"encoding": "ascii"})()
    for file in (raw, raw_ascii):
        Console(file=file, width=20, color_system=None, legacy_windows=False).print(ShareBar(0.5, 10))
    assert raw.getvalue().strip() == "█████"
    assert raw_ascii.getvalue().strip() == "#####"


def test_colour_is_never_the_only_carrier(account: Account) -> None:
    coloured = StringIO()
    console = Console(file=coloured, width=100, force_terminal=True, color_system="standard", no_color=True)
    console.print(Renderable(energy_report(account, layers=True)))
    assert "\x1b[33" not in coloured.getvalue()
    assert "†" in coloured.getvalue()
