import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from saformer.analysis.account import Account
from saformer.errors import InputError
from saformer.reports.plots import comparison_figure, energy_figure, save_figure
from saformer.reports.tables import ComparisonRow

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


def bar_widths(axes) -> list[float]:  # type: ignore[no-untyped-def]
    return [patch.get_width() for patch in axes.containers[0]]


def test_bars_are_the_energies_and_markers_the_rates(account: Account) -> None:
    left, right = energy_figure(account).axes
    assert left.get_xlabel() == "Energy per image (µJ)"
    assert right.get_xlabel() == "Firing rate of the input (%)"
    assert bar_widths(left) == pytest.approx([1e3 * layer.energy_mj for layer in account.layers])
    assert [label.get_text() for label in left.get_yticklabels()] == [layer.name for layer in account.layers]
    drawn = {}
    for line in right.lines:
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
            drawn[int(y)] = (x, line.get_label() == "binary")
    assert drawn == {i: (pytest.approx(100 * x.firing_rate), x.binary) for i, x in enumerate(account.layers)}


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
    assert len(label) == 44


@pytest.mark.parametrize("make", [energy_figure, comparison_figure])
def test_labels_of_bars_stay_inside_their_panel(
    make: Callable, account: Account, comparison_rows: list[ComparisonRow]
) -> None:
    figure = make(account if make is energy_figure else comparison_rows)
    figure.draw_without_rendering()
    for axes in figure.axes:
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in axes.texts)
    left = figure.axes[0]
    assert all(text.get_window_extent().x1 <= left.bbox.x1 + 1 for text in left.texts)


def test_comparison_shows_energies_and_the_accuracies_that_are_known(
    comparison_rows: list[ComparisonRow],
) -> None:
    left, right = comparison_figure(comparison_rows, ours="SAFormer-4-384").axes
    assert left.get_xlabel() == "Energy per image (mJ)"
    assert right.get_xlabel() == "Top-1 accuracy (%)"
    assert bar_widths(left) == [row.energy_mj for row in comparison_rows]
    drawn = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in right.lines}
    assert drawn == {i: 100 * row.top1 for i, row in enumerate(comparison_rows) if row.top1 is not None}
    hatches = [patch.get_hatch() for patch in left.containers[0]]
    assert hatches[:3] == [hatches[0]] * 3 and hatches[3] != hatches[0]


def test_comparison_without_accuracy_has_one_panel(comparison_rows: list[ComparisonRow]) -> None:
    assert len(comparison_figure([comparison_rows[2]]).axes) == 1


def test_comparison_names_the_data_of_each_row_where_they_differ(
    comparison_rows: list[ComparisonRow],
) -> None:
    rows = [comparison_rows[0], replace(comparison_rows[0], data="cifar100")]
    labels = [label.get_text() for label in comparison_figure(rows).axes[0].get_yticklabels()]
    assert labels[1] == "Spikformer-4-384\ncifar100"


def test_nothing_to_draw_is_said(account: Account) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        energy_figure(replace(account, layers=()))
    with pytest.raises(InputError, match="nothing to draw"):
        comparison_figure([])


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_the_same_account_gives_the_same_file(account: Account, tmp_path: Path, suffix: str) -> None:
    save_figure(energy_figure(account), tmp_path / f"first.{suffix}")
    save_figure(energy_figure(account), tmp_path / f"second.{suffix.upper()}")
    first = (tmp_path / f"first.{suffix}").read_bytes()
    assert first.startswith(MAGIC[suffix])
    assert first == (tmp_path / f"second.{suffix.upper()}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["figure.jpg", "figure", "figure.png.txt"])
def test_another_suffix_writes_nothing_and_names_the_three(account: Account, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("kept")
    with pytest.raises(InputError, match=r"\.png, \.pdf or \.svg"):
        save_figure(energy_figure(account), tmp_path / name)
    assert (tmp_path / name).read_text() == "kept"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failing_write_leaves_the_old_figure(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "figure.png"
    path.write_text("old")
    figure = energy_figure(account)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("interrupted")

    figure.savefig = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        save_figure(figure, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_tables_and_figures_load_neither_pyplot_nor_pandas() -> None:
    code = (
        "import sys, saformer.reports.tables, saformer.reports.writers, saformer.reports.plots, "
        "saformer.reports.literature\n"
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules), 'slow imports'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_users_own_style_is_left_alone(account: Account) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    energy_figure(account)
    assert dict(matplotlib.rcParams) == before
