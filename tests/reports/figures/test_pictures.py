"""Every figure beside the picture kept of it; `SAFORMER_UPDATE_GOLDEN=1 pytest tests/reports` keeps them anew."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
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
from saformer.reports.figures.style import Width
from saformer.reports.figures.sweep import sweep_figure
from saformer.reports.figures.training import training_figure
from saformer.reports.results.comparison import ComparisonRow, published_rows
from saformer.reports.results.sweep import Sweep, SweepPoint
from saformer.training.metrics import Epoch
from tests.reports.figures.pictures import FAR, distance, keep, picture_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT = Path(__file__).parents[2] / "data" / "golden" / "pictures"


def _sweep(account: Account) -> Sweep:
    def points(network: str, shift: float) -> list[SweepPoint]:
        charged = {
            t: replace(
                account,
                model=replace(account.model, name=network),
                layers=tuple(replace(x, energy_mj=(x.energy_mj or 0.0) * t * (1 + shift)) for x in account.layers),
                accuracy=account.accuracy and replace(account.accuracy, top1=0.94 + 0.004 * t - shift / 10),
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
FIGURES: dict[str, Callable[[Fixtures], "Figure"]] = {
    "comparison": lambda f: comparison_figure(f["rows"]),
    "comparison_column": lambda f: comparison_figure(f["rows"], width=Width.column),
    "relative": lambda f: relative_figure(published_rows()),
    "accountings": lambda f: accountings_figure({"paper": f["rows"], "exact": f["rows"]}),
    "energy": lambda f: energy_figure(f["account"]),
    "rates": lambda f: rates_figure(f["account"]),
    "sweep": lambda f: sweep_figure(_sweep(f["account"]), published=published_rows(["cifar10"])[-3:]),
    "sweep_column": lambda f: sweep_figure(_sweep(f["account"]), width=Width.column),
    "scaling": lambda f: scaling_figure(
        formula_panels(choose("default"), [Sizes(n) for n in (64, 256, 1024)], load_hardware("45nm-fp32"))
    ),
    "training": lambda f: training_figure(_history()),
    "attention": lambda f: attention_figure(f["inspections"], [[[0.1, 0.9], [0.4, 0.2]]], "a picture"),
    "raster": lambda f: raster_figure(f["inspections"]["SASA"].trains, "a picture"),
}


@pytest.fixture
def made(rows: list[ComparisonRow], account: Account, inspections: dict[str, Inspection]) -> Fixtures:
    return {"rows": rows, "account": account, "inspections": inspections}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name: str, made: Fixtures) -> None:
    picture, path = picture_of(FIGURES[name](made)), KEPT / f"{name}.png"
    if os.environ.get("SAFORMER_UPDATE_GOLDEN") == "1":
        keep(picture, path)
    far = distance(picture, Image.open(path))
    assert far < FAR, f"differs from {path.name} by {far:.2f}"


def test_what_another_font_moves_is_near_and_a_change_of_the_figure_is_far(made: Fixtures) -> None:
    def again(change: Callable[["Figure"], object]) -> float:
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
