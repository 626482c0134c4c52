import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from saformer.analysis.accounting.account import Account
from saformer.reports.document.blocks import Part, Report
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table
from saformer.reports.writers.terminal import Renderable, ShareBar

Render = Callable[[Report | Part, int], str]


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
    assert " real " in coloured.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_number_is_cut_at_any_width(
    reports: dict[str, Report], render: Callable[[Report, int], str], width: int
) -> None:
    for report in reports.values():
        text = render(report, width)
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
    found = re.sub(r"\s+", "", render(reports["energy_blocks"], width))
    for number_shown in ("94.13", "58.30", "11.42", "163.85"):
        assert number_shown in found


def test_what_has_no_room_is_named(reports: dict[str, Report], render: Callable[[Report, int], str]) -> None:
    text = render(reports["neurons"], 66)
    assert "no room here for: neurons, spikes" in text
    assert "no room" not in render(reports["neurons"], 100)


def test_an_output_without_the_characters_gets_others(reports: dict[str, Report]) -> None:
    from rich.console import Console

    raw = type("Ascii", (StringIO,), {"encoding": "ascii"})()
    console = Console(file=raw, width=100, color_system=None, legacy_windows=False)
    console.print(Renderable(reports["energy_blocks"]))
    console.print(Renderable(reports["comparison"]))
    text = raw.getvalue()
    assert text.isascii() and "?" not in text
    assert "163.85 +/- 0.47 uJ" in text
    assert "0.4900 +/- 0.0014" in text
