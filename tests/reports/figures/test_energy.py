import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from saformer.analysis.accounting.account import Account
from saformer.errors import InputError
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.saving import save_figure
from saformer.reports.figures.style import model_family, model_looks

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}


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
            plotted[int(y)] = (x, line.get_label() == "binary")
    assert plotted == {i: (pytest.approx(100 * x.firing_rate), x.binary) for i, x in enumerate(account.layers)}


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


def test_labels_of_bars_stay_inside_their_panel(account: Account) -> None:
    figure = energy_figure(account)
    figure.draw_without_rendering()
    left = figure.axes[0]
    assert all(text.get_window_extent().x1 <= left.bbox.x1 + 1 for text in left.texts)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("digits/saformer", "saformer"),
        ("saformer-4-384", "saformer"),
        ("SASA", "saformer"),
        ("S-Transformer", "sdt"),
        ("sdt-2-256", "sdt"),
        ("SDSA", "sdt"),
        ("Spikformer", "spikformer"),
        ("SSA", "spikformer"),
        ("spikingformer-8-512", "spikingformer"),
        ("vit-2-512", "vit"),
        ("VSA", "vit"),
        ("MS-ResNet", "other"),
        ("saformers.json", "other"),
    ],
)
def test_a_family_is_known_by_model_method_and_attention(name: str, family: str) -> None:
    assert model_family(name) == family


def lightness(colour: str) -> float:
    """CIE L*, what is left of a colour in a print in grey."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return 116 * luminance ** (1 / 3) - 16 if luminance > 0.008856 else 903.3 * luminance


def test_families_are_told_apart_in_grey() -> None:
    looks = model_looks({name: name for name in ("saformer", "sdt", "spikformer", "spikingformer", "vit", "resnet")})
    found = sorted(lightness(look.colour) for look in looks.values())
    assert min(b - a for a, b in pairwise(found)) > 10
    assert len({look.marker for look in looks.values()}) == 6


def test_two_models_of_a_family_share_the_colour_alone() -> None:
    looks = model_looks({"mine": "saformer-2-64", "other": "sdt-2-64", "yours": "saformer-4-384"})
    assert looks["mine"].colour == looks["yours"].colour == model_looks({"x": "SASA"})["x"].colour
    assert looks["mine"].hatch != looks["yours"].hatch and looks["mine"].marker != looks["yours"].marker
    assert looks["other"].colour != looks["mine"].colour


def test_nothing_to_draw_is_said(account: Account) -> None:
    with pytest.raises(InputError, match="nothing to draw"):
        energy_figure(replace(account, layers=()))


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
        "import sys, saformer.reports.tables.energy, saformer.reports.writers.csv_json, "
        "saformer.reports.figures.energy, saformer.reports.results.literature, saformer.reports.tables.comparison, "
        "saformer.reports.figures.comparison\n"
        "assert not {'matplotlib', 'pandas', 'torch'} & set(sys.modules), 'slow imports'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_users_own_style_is_left_alone(account: Account) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    energy_figure(account)
    assert dict(matplotlib.rcParams) == before
