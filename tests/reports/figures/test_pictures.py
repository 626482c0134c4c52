"""Every figure beside the picture kept of it; `SAFORMER_UPDATE_GOLDEN=1 pytest tests/reports` keeps them anew."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageChops

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.hardware import load_hardware
from saformer.analysis.complexity.formulas import Sizes, choose
from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.figures.attention import attention_figure
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.figures.complexity import formula_panels, scaling_figure
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.raster import raster_figure
from saformer.reports.figures.rates import rates_figure
from saformer.reports.figures.relative_difference import relative_figure
from saformer.reports.figures.style import Width, figure_style
from saformer.reports.figures.sweep import sweep_figure
from saformer.reports.figures.training import training_figure
from saformer.reports.results.comparison import ComparisonRow, published_rows
from saformer.reports.results.sweep import Sweep, SweepPoint
from saformer.training.metrics import Epoch
from tests.reports.figures.faults import faults
from tests.reports.figures.pictures import FAR, distance, keep, picture_of

KEPT = Path(__file__).parents[2] / "data" / "golden" / "pictures"


def _sweep(account: Account, top1: float | None = None) -> Sweep:
    def points(network: str, shift: float) -> list[SweepPoint]:
        charged = {
            t: replace(
                account,
                model=replace(account.model, name=network),
                layers=tuple(replace(x, energy_mj=(x.energy_mj or 0.0) * t * (1 + shift)) for x in account.layers),
                accuracy=account.accuracy
                and replace(account.accuracy, top1=0.94 + 0.004 * t - shift / 10 if top1 is None else top1),
            )
            for t in (1, 2, 4)
        }
        return [SweepPoint(t, one, 0.01 * t, t * 2**20, 4, network) for t, one in charged.items()]

    return Sweep("time_steps", [*points("saformer-4-384", 0.0), *points("mine", 0.2)], 64, "cpu")


def _history() -> list[Epoch]:
    rates = {"embed.lif": 0.2, "block.0.lif": 0.0005, "head_lif": 0.97}
    return [
        Epoch(
            epoch=e,
            epochs=6,
            loss=2 / e,
            accuracy=1 - 0.5 / e,
            test_loss=2.2 / e,
            test_accuracy=0.95 - 0.5 / e,
            learning_rate=1e-3 / e,
            seconds=1.0,
            firing_rates=rates,
        )
        for e in range(1, 7)
    ]


Fixtures = dict[str, Any]
FIGURES: dict[str, Callable[[Fixtures, Width], Figure]] = {
    "comparison": lambda f, w: comparison_figure(f["rows"], width=w),
    "relative": lambda f, w: relative_figure(published_rows(), width=w),
    "accountings": lambda f, w: accountings_figure({"paper": f["rows"], "exact": f["rows"]}, width=w),
    "energy": lambda f, w: energy_figure(f["account"], width=w),
    "rates": lambda f, w: rates_figure(f["account"], width=w),
    "sweep": lambda f, w: sweep_figure(_sweep(f["account"]), published=published_rows(["cifar10"])[-3:], width=w),
    "scaling": lambda f, w: scaling_figure(
        formula_panels(choose("default"), [Sizes(n) for n in (64, 256, 1024)], load_hardware("45nm-fp32")), w
    ),
    "training": lambda f, w: training_figure(_history(), w),
    "attention": lambda f, w: attention_figure(f["inspections"], [[[0.1, 0.9], [0.4, 0.2]]], "a picture", w),
    "raster": lambda f, w: raster_figure(f["inspections"]["SASA"].trains, "a picture", w),
}
LOOKED_AT = [(name, Width.page) for name in FIGURES] + [("comparison", Width.column), ("sweep", Width.column)]
# What makes room scarce: the best and the worst accuracy, long names, many networks, published ones of many T.
HARD: dict[str, Callable[[Fixtures, Width], Figure]] = {
    "comparison of extremes": lambda f, w: comparison_figure(_extremes(f["rows"]), width=w),
    "comparison of long names": lambda f, w: comparison_figure(_long_names(f["rows"]), width=w),
    "accountings of long names": lambda f, w: accountings_figure(dict.fromkeys("ab", _long_names(f["rows"])), width=w),
    "sweep at 100 %": lambda f, w: sweep_figure(_sweep(f["account"], 1.0), width=w),
    "sweep at 0 %": lambda f, w: sweep_figure(_sweep(f["account"], 0.0), width=w),
    "sweep beside all of the paper": lambda f, w: sweep_figure(
        _sweep(f["account"]), published=published_rows(["cifar10"]), width=w
    ),
}


def _extremes(rows: list[ComparisonRow]) -> list[ComparisonRow]:
    return [replace(row, top1=top1, images=100) for row, top1 in zip(rows, (1.0, 0.0, None, None), strict=True)]


def _long_names(rows: list[ComparisonRow]) -> list[ComparisonRow]:
    return [
        replace(
            rows[0], name=f"a_network_{i} of our_own, with/a long/name.of_its family-{i}.safetensors", energy_mj=2**i
        )
        for i in range(8)
    ]


@pytest.fixture
def made(rows: list[ComparisonRow], account: Account, inspections: dict[str, Inspection]) -> Fixtures:
    return {"rows": rows, "account": account, "inspections": inspections}


@pytest.mark.parametrize(("name", "width"), LOOKED_AT)
def test_a_figure_looks_as_it_did(name: str, width: Width, made: Fixtures) -> None:
    picture = picture_of(FIGURES[name](made, width))
    path = KEPT / f"{name}{'_column' if width is Width.column else ''}.png"
    if os.environ.get("SAFORMER_UPDATE_GOLDEN") == "1":
        keep(picture, path)
    far = distance(picture, Image.open(path))
    assert far < FAR, f"differs from {path.name} by {far:.2f}"


@pytest.mark.parametrize("width", Width)
@pytest.mark.parametrize("name", [*FIGURES, *HARD])
def test_markers_are_whole_and_letters_can_be_read(name: str, width: Width, made: Fixtures) -> None:
    assert not list(faults({**FIGURES, **HARD}[name](made, width)))


def test_what_an_editor_would_send_back_is_found() -> None:
    with figure_style():
        figure = Figure(figsize=(3.5, 2.0))
        axes = figure.subplots()
    axes.plot([0, 1], [0, 1], marker="o")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.text(0.5, 0.5, "small", fontsize=5)
    axes.text(0.5, 0.5, "over it")
    axes.text(1.5, 0.2, "off the paper")
    found = [fault.split(":")[0] for fault in faults(figure)]
    assert found == ["clipped", "clipped", "outside", "small", "overlap"]


def test_what_another_font_moves_is_near_and_a_change_of_the_figure_is_far(made: Fixtures) -> None:
    def again(change: Callable[[Figure], object]) -> float:
        figure = comparison_figure(made["rows"])
        change(figure)
        return distance(picture_of(figure), kept)

    kept = picture_of(comparison_figure(made["rows"]))
    assert distance(ImageChops.offset(kept.convert("RGB"), 1, 0), kept) < FAR
    assert again(lambda figure: figure.axes[0].tick_params(axis="y", labelsize=7.9)) < FAR
    assert again(lambda figure: figure.legends[0].set(loc="outside lower center")) > FAR
    assert again(lambda figure: figure.axes[0].containers[0][0].set_facecolor("#56B4E9")) > FAR
    assert again(lambda figure: figure.axes[1].lines[0].set_visible(False)) > FAR
    assert again(lambda figure: figure.set_figheight(3.0)) > FAR
