from collections.abc import Callable

import numpy as np
import pytest
import torch

from saformer.analysis.diagnostics.attention_maps import AttentionMap, Inspection, SpikeTrain
from saformer.errors import InputError
from saformer.reports.document.blocks import Part, Report
from saformer.reports.figures.attention import attention_figure, picture, steps_shown
from saformer.reports.figures.raster import raster, raster_figure
from saformer.reports.tables.attention import attention_report

Golden = Callable[[Report | Part, str], None]
IMAGE = torch.arange(64.0).view(1, 8, 8)


@pytest.fixture
def inspections() -> dict[str, Inspection]:
    """Two networks, T = 3, 2 x 2 tokens, and a layer with few and one with many neurons."""
    values = torch.arange(24.0).view(3, 2, 2, 2) / 24
    few = (torch.arange(15) % 3 == 0).float().view(3, 5)
    many = (torch.arange(3000) % 7 == 0).float().view(3, 1000)
    trains = (SpikeTrain("few", few), SpikeTrain("many", many))
    return {
        kind: Inspection((AttentionMap("block.0.attn", kind, values),), trains, torch.tensor([0.1, 0.9]))
        for kind in ("SASA", "SDSA")
    }


def heats(axes) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    return [image.get_array().data for image in axes.get_images() if image.get_gid() == "map"]


def test_maps_are_drawn_as_given(inspections: dict[str, Inspection]) -> None:
    axes = attention_figure(inspections, IMAGE, "digits").axes[:10]
    found = inspections["SASA"].maps[0]
    assert [len(heats(one)) for one in axes] == [0, 1, 1, 1, 1] * 2
    np.testing.assert_allclose(heats(axes[1])[0], found.mean)
    for t in range(3):
        np.testing.assert_allclose(heats(axes[2 + t])[0], found.per_step[t])
    assert [one.get_title() for one in axes[:5]] == ["image", "mean over T", "t = 1", "t = 2", "t = 3"]
    assert axes[5].get_ylabel() == "SDSA\nblock.0.attn\nSDSA"


def test_maps_cover_the_image(inspections: dict[str, Inspection]) -> None:
    axes = attention_figure(inspections, IMAGE, "digits").axes[1]
    below, above = axes.get_images()
    assert below.get_extent() == above.get_extent() == [0, 8, 8, 0]


def test_sixteen_steps_get_eight_columns() -> None:
    assert steps_shown(16) == [0, 2, 4, 6, 9, 11, 13, 15]
    assert steps_shown(4) == [0, 1, 2, 3]


def test_a_picture_lies_between_0_and_1() -> None:
    assert picture(IMAGE).shape == (8, 8) and picture(IMAGE).max() == 1
    assert picture(torch.randn(3, 8, 8)).shape == (8, 8, 3)
    assert picture(torch.ones(16, 2, 8, 8)).shape == (8, 8)  # events, all alike: black, and no division by zero


def test_a_small_layer_is_drawn_spike_by_spike(inspections: dict[str, Inspection]) -> None:
    few, many = inspections["SASA"].trains
    rates, group = raster(few)
    assert group == 1
    np.testing.assert_array_equal(rates, few.spikes.T)
    rates, group = raster(many)
    assert group == 4 and rates.shape == (250, 3)
    assert rates.mean() == pytest.approx(many.firing_rate)


def test_rasters_have_a_panel_for_each_layer(inspections: dict[str, Inspection]) -> None:
    figure = raster_figure(inspections["SASA"].trains, "digits")
    plotted = [image.get_array().data for axes in figure.axes for image in axes.get_images() if image.get_gid()]
    for train, shown in zip(inspections["SASA"].trains, plotted, strict=True):
        np.testing.assert_allclose(shown, raster(train)[0])
    assert figure.axes[1].get_title() == "many\n1,000, 4 a row; 14.3%"


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no attention"):
        attention_figure({"a": Inspection((), (), torch.zeros(2))}, IMAGE, "x")
    with pytest.raises(InputError, match="no spiking"):
        raster_figure([], "x")


def test_table(inspections: dict[str, Inspection], matches_golden: Golden) -> None:
    matches_golden(attention_report(inspections, "digits (test), sample 3", 1), "attention")


def test_the_object_holds_every_value(inspections: dict[str, Inspection]) -> None:
    found = attention_report(inspections, "x").data
    assert found is not None
    first = found["networks"][0]["maps"][0]
    assert first["per_step"] == inspections["SASA"].maps[0].per_step.tolist()
