from dataclasses import replace
from itertools import pairwise
from math import nan

import pytest

from saformer.errors import InputError
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.results.comparison import ComparisonRow


def names(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axes.get_yticklabels()]


def test_accountings_have_a_marker_for_each_model(rows: list[ComparisonRow]) -> None:
    more = [replace(row, energy_mj=3 * row.energy_mj) for row in rows]
    (axes,) = accountings_figure({"paper": rows, "exact": more}).axes
    assert names(axes) == ["paper", "exact"]
    assert axes.get_xscale() == "log"
    markers = [(line.get_ydata()[0], line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 1]
    plotted = sorted((round(place), energy) for place, energy in markers)
    assert plotted == sorted(
        [(0, row.energy_mj) for row in rows if not row.published]
        + [(1, 3 * row.energy_mj) for row in rows if not row.published]
    )


def test_equal_energies_do_not_hide_each_other(rows: list[ComparisonRow]) -> None:
    same = [replace(row, energy_mj=0.5) for row in rows[:3]]
    (axes,) = accountings_figure({"paper": same, "exact": same}).axes
    places = sorted(float(line.get_ydata()[0]) for line in axes.lines)
    assert len(places) == 6 and min(b - a for a, b in pairwise(places)) > 0.1


def test_nothing_to_draw_is_said(rows: list[ComparisonRow]) -> None:
    with pytest.raises(InputError, match="no energies"):
        accountings_figure({"paper": [replace(rows[0], energy_mj=nan)]})


def test_a_network_that_an_accounting_does_not_know_is_named_beside_a_dash(rows: list[ComparisonRow]) -> None:
    measured = [row for row in rows if not row.published][:2]
    (axes,) = accountings_figure({"paper": measured, "syops": [measured[0], replace(measured[1], energy_mj=nan)]}).axes
    (text,) = axes.texts
    assert text.get_text() == f"{measured[1].name}: -" and text.get_position()[1] == 1
