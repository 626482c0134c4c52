from dataclasses import replace
from itertools import pairwise

import pytest

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.style import PAGE_HEIGHT


def bar_widths(axes) -> list[float]:  # type: ignore[no-untyped-def]
    return [patch.get_width() for patch in axes.containers[0]]


def test_bars_are_the_energies_and_markers_the_rates(account: Account) -> None:
    left, right = energy_figure(account).axes
    assert left.get_xlabel() == "Energy per image (µJ)"
    assert right.get_xlabel() == "Firing rate of the input (%)"
    assert bar_widths(left) == pytest.approx([1e3 * layer.energy_mj for layer in account.layers])
    assert [label.get_text() for label in left.get_yticklabels()] == [layer.name for layer in account.layers]
    plotted = {}
    for line in right.lines:
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
            plotted[int(y)] = (x, line.get_label() == "spikes")
    assert plotted == {i: (pytest.approx(100 * x.firing_rate), x.spikes) for i, x in enumerate(account.layers)}


def test_kinds_differ_in_colour_and_in_hatch(account: Account) -> None:
    left = energy_figure(account).axes[0]
    looks = {
        layer.op: (patch.get_facecolor(), patch.get_hatch())
        for layer, patch in zip(account.layers, left.containers[0], strict=True)
    }
    assert len({colour for colour, _ in looks.values()}) == len({hatch for _, hatch in looks.values()}) == 3


def test_sixty_operations_make_a_taller_figure_with_every_name(account: Account, large_account: Account) -> None:
    small, large = energy_figure(account), energy_figure(large_account)
    assert large.get_figheight() > 2 * small.get_figheight()
    labels = large.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == [layer.name for layer in large_account.layers]
    # Rows higher than their letters: the names do not touch.
    large.draw_without_rendering()
    boxes = [label.get_window_extent() for label in labels]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes))
    assert min(box.x0 for box in boxes) >= 0


def test_very_long_names_keep_their_start_and_end(account: Account) -> None:
    name = "block.3." + "wrapped." * 12 + "proj"
    figure = energy_figure(replace(account, layers=(replace(account.layers[0], name=name),)))
    label = figure.axes[0].get_yticklabels()[0].get_text()
    assert label.startswith("block.3.") and label.endswith(".proj")
    assert len(label) == 40


def test_what_a_page_cannot_hold_shares_a_row(large_account: Account) -> None:
    layers = [replace(layer, name=f"{i}.{layer.name}") for i in range(4) for layer in large_account.layers]
    many = replace(large_account, layers=tuple(layers))
    figure = energy_figure(many)
    left = figure.axes[0]
    assert figure.get_figheight() <= PAGE_HEIGHT and len(bar_widths(left)) < len(layers)
    rest = len(layers) - len(bar_widths(left)) + 1
    assert left.get_yticklabels()[-1].get_text() == f"{rest} smaller operations"
    energies = [layer.energy_mj or 0.0 for layer in layers]
    assert sum(bar_widths(left)) == pytest.approx(sum(energies))  # in mJ: the sum is above one
    assert bar_widths(left)[-1] == pytest.approx(sum(sorted(energies)[:rest]))


def test_labels_of_bars_stay_inside_their_panel(account: Account) -> None:
    figure = energy_figure(account)
    figure.draw_without_rendering()
    left = figure.axes[0]
    assert all(text.get_window_extent().x1 <= left.bbox.x1 + 1 for text in left.texts)


def test_nothing_to_draw_is_said(account: Account) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        energy_figure(replace(account, layers=()))
