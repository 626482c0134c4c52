import numpy as np
import pytest

from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.errors import InputError
from saformer.reports.figures.raster import raster, raster_figure


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
    assert figure.axes[1].get_title() == "many\n1,000 (4 a row): 14.3%"


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no spiking"):
        raster_figure([], "x")
