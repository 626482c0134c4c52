from dataclasses import replace

import numpy as np
import pytest
import torch

from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.errors import InputError
from saformer.reports.figures.attention import attention_figure, picture, spread
from saformer.reports.figures.style import PAGE_HEIGHT

IMAGE = torch.arange(64.0).view(1, 8, 8)


def heats(axes) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    return [image.get_array().data for image in axes.get_images() if image.get_gid() == "map"]


def test_maps_are_drawn_as_given(inspections: dict[str, Inspection]) -> None:
    axes = attention_figure(inspections, IMAGE, "digits").axes[:10]
    found = inspections["SASA"].maps[0]
    assert [len(heats(one)) for one in axes] == [0, 1, 1, 1, 1] * 2
    np.testing.assert_allclose(heats(axes[1])[0], found.mean)
    for t in range(3):
        np.testing.assert_allclose(heats(axes[2 + t])[0], found.per_step[t])
    assert [one.get_title() for one in axes[:5]] == ["image", "mean", "$t = 1$", "$t = 2$", "$t = 3$"]
    assert axes[5].get_ylabel() == "SDSA\nblock.0.attn\nSDSA"


def test_maps_cover_the_image(inspections: dict[str, Inspection]) -> None:
    axes = attention_figure(inspections, IMAGE, "digits").axes[1]
    below, above = axes.get_images()
    assert below.get_extent() == above.get_extent() == [0, 8, 8, 0]


def test_sixteen_steps_get_eight_columns() -> None:
    assert spread(16, 8) == [0, 2, 4, 6, 9, 11, 13, 15]
    assert spread(4, 8) == [0, 1, 2, 3]


def test_more_attentions_than_a_page_holds_are_spread_from_first_to_last(inspections: dict[str, Inspection]) -> None:
    many = replace(
        inspections["SASA"], maps=tuple(replace(inspections["SASA"].maps[0], name=f"block.{i}") for i in range(40))
    )
    figure = attention_figure({"a": many, "b": many}, IMAGE, "digits")
    assert figure.get_figheight() <= PAGE_HEIGHT
    names = [axes.get_ylabel().split("\n")[1] for axes in figure.axes if axes.get_ylabel()]
    assert names[0] == "block.0" and names[len(names) // 2 - 1] == "block.39" and len(names) == 6


def test_a_picture_lies_between_0_and_1() -> None:
    assert picture(IMAGE).shape == (8, 8) and picture(IMAGE).max() == 1
    assert picture(torch.randn(3, 8, 8)).shape == (8, 8, 3)
    assert picture(torch.ones(16, 2, 8, 8)).shape == (8, 8)  # events, all alike: black, and no division by zero


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(InputError, match="no attention"):
        attention_figure({"a": Inspection((), (), torch.zeros(2))}, IMAGE, "x")
