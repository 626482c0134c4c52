"""How far apart two pictures of a figure are: what another version of a font moves is near, another colour is not."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from saformer.reports.figures.lettering import as_is, lettered
from saformer.reports.figures.style import figure_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 60
#: Differences beyond it are changes of the figure.
FAR = 0.16
_BLOCK = 8  # pixels, about the height of a letter
_COLOURS = 48


def picture_of(figure: "Figure") -> Image.Image:
    """The figure as it is kept: small, in a few colours."""
    output = BytesIO()
    with figure_style(), lettered(figure, as_is):
        figure.savefig(output, format="png", dpi=DPI)
    return Image.open(output).convert("RGB").quantize(_COLOURS)


def distance(one: Image.Image, other: Image.Image) -> float:
    """The largest difference of the mean colours of a block, 0 to 1; infinite where the sizes differ."""
    if max(abs(a - b) for a, b in zip(one.size, other.size, strict=True)) > 1:
        return float("inf")
    height, width = (min(sizes) // _BLOCK for sizes in zip(one.size[::-1], other.size[::-1], strict=True))
    first, second = (
        np.asarray(picture.convert("RGB"), dtype=float)[: height * _BLOCK, : width * _BLOCK]
        .reshape(height, _BLOCK, width, _BLOCK, 3)
        .mean((1, 3))
        for picture in (one, other)
    )
    return float(np.abs(first - second).max()) / 255


def keep(picture: Image.Image, path: Path) -> None:
    """Write a picture to be compared with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
