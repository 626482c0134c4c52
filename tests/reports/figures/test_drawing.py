"""Values read off a figure, and where they stand."""

import pytest
from matplotlib.figure import Figure

from saformer.reports.document.drawing import Drawing, Mark
from saformer.reports.figures.drawing import drawing_of
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.rates import rates_figure


def test_a_bar_is_named_by_its_tick_and_has_the_value_of_its_label(account):
    marks = drawing_of(energy_figure(account)).marks
    energies = {mark.name: mark.value for mark in marks if mark.quantity == "Energy per image (µJ)"}
    rates = {mark.name: mark.value for mark in marks if mark.quantity.startswith("Firing rate")}
    assert len(energies) == len(rates) == len(account.layers)
    assert energies["patch_embed.proj_conv"] == "24.4 (MAC)"
    assert rates["patch_embed.proj_conv, not spikes"] == "99.87"
    assert all(0 <= edge <= 1.02 for mark in marks for edge in mark.box)


def test_cells_of_a_map_have_their_row_and_column(account):
    marks = drawing_of(rates_figure(account)).marks
    assert len(marks) == sum(len(neuron.per_step) for neuron in account.neurons)
    assert (marks[0].name, marks[0].quantity, marks[0].value) == (
        "patch_embed.proj_lif",
        "Firing rate (%), Time step 1",
        "6.00",
    )
    assert marks[0].text == "patch_embed.proj_lif: 6.00, Firing rate (%), Time step 1"


def test_a_point_is_named_by_its_series_and_its_place_and_error_bars_are_no_points():
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], [0.5, float("nan")], marker="o", color="red", label="ours")
    axes.plot([4], [0.25], marker="o", color="red")
    axes.errorbar([1], [0.5], yerr=[0.1], capsize=2)
    axes.set_xlabel("Time steps T")
    axes.set_ylabel("Energy (µJ)\nper image")
    assert [(mark.name, mark.quantity, mark.value) for mark in drawing_of(figure).marks] == [
        ("ours, Time steps T = 1", "Energy (µJ)", "0.5000"),
        ("ours, Time steps T = 4", "Energy (µJ)", "0.2500"),
    ]


def test_a_mark_lies_on_what_it_is_about():
    figure = Figure(figsize=(4, 2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 4), ylim=(0, 2))
    axes.barh([0.5, 1.5], [1, 3], height=1)
    first, second = drawing_of(figure).marks
    assert first.box == pytest.approx((0, 0.5, 0.25, 1))
    assert second.box == pytest.approx((0, 0, 0.75, 0.5))


def test_values_are_a_table_with_a_column_for_each_quantity():
    box = (0.0, 0.0, 0.1, 0.1)
    marks = [Mark(p, n, q, f"{p}{n}{q}", box) for p in "ab" for n in "xy" for q in "uv"]
    table = Drawing(b"", marks[:-1]).table("Values")
    assert [column.title for column in table.columns] == ["panel", "of", "u", "v"]
    assert table.rows[0] == ["a", "x", "axu", "axv"] and table.rows[-1] == ["b", "y", "byu", None]
    many = Drawing(b"", [Mark("", "x", f"q{i}", "1", box) for i in range(40)]).table("Values")
    assert [column.title for column in many.columns] == ["of", "quantity", "value"] and len(many.rows) == 40
    assert Drawing(b"").table("Values") is None
