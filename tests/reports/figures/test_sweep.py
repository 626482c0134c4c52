import pytest

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.style import PAPER
from saformer.reports.figures.sweep import sweep_figure
from saformer.reports.results.sweep import Sweep, SweepPoint


@pytest.fixture
def points(account: Account) -> list[SweepPoint]:
    return [SweepPoint(value, account, 0.01 * value, value * 2**20, trained_at=4) for value in (16, 4, 1)]


def lines(axes) -> tuple[list[float], list[float]]:  # type: ignore[no-untyped-def]
    line = next(line for line in axes.lines if line.get_gid() == "line-0")
    return list(line.get_xdata()), list(line.get_ydata())


def test_figure_5_is_accuracy_and_energy_over_t(points: list[SweepPoint]) -> None:
    accuracy, energy = sweep_figure(Sweep("time_steps", points, 64, "cpu")).axes
    mj = points[0].account.energy_mj
    assert lines(accuracy) == ([1, 4, 16], pytest.approx([95.48] * 3))
    assert lines(energy) == ([1, 4, 16], pytest.approx([1e3 * mj] * 3))
    assert energy.get_ylabel() == "Energy per image (µJ)"
    assert energy.get_xlabel() == "Time steps $T$"


def test_figure_6_is_accuracy_memory_and_time_over_n(points: list[SweepPoint]) -> None:
    accuracy, memory, time = sweep_figure(Sweep("aggregated", points, 64, "cpu")).axes
    assert lines(memory) == ([1, 4, 16], [1, 4, 16]) and memory.get_ylabel() == "Peak memory (MiB)"
    assert lines(time) == ([1, 4, 16], pytest.approx([10, 40, 160]))
    assert time.get_ylabel() == "Time per batch of 64 (ms)"
    assert accuracy.get_xscale() == "log"


def test_values_that_were_not_trained_are_open(points: list[SweepPoint]) -> None:
    figure = sweep_figure(Sweep("time_steps", points, 64, "cpu"))
    faces = {
        line.get_xdata()[0]: line.get_markerfacecolor()
        for line in figure.axes[1].lines
        if line.get_marker() == "D" and len(line.get_xdata()) == 1
    }
    assert faces[1] == faces[16] == PAPER != faces[4]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "$T$ of the training",
        "trained at another $T$",
    ]


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        sweep_figure(Sweep("time_steps", [], 64, "cpu"))
