"""Moving pixels about: which pixel of its image each pixel of the result shows."""

import torch
from torch import Tensor

from saformer.devices import sent


class Resampling:
    """One source pixel for each pixel of a batch, the same in all channels and time steps of a sample.

    Values are copied, never blended: whole numbers of events stay whole, and the result is the same on every device.
    Coordinates run from the result back to the source, so what is called first happens to the image last.

    Args:
        batch: B, samples.
        height: H, pixels.
        width: W, pixels.
    """

    def __init__(self, batch: int, height: int, width: int) -> None:
        self.size = (batch, height, width)
        self._rows = torch.arange(height)[None, :, None].expand(self.size)
        self._columns = torch.arange(width)[None, None, :].expand(self.size)
        self._empty = torch.zeros(self.size, dtype=torch.bool)

    def flip(self, chosen: Tensor) -> None:
        """Mirror the samples where `chosen` (B, bool) left to right."""
        self._columns = torch.where(chosen[:, None, None], self.size[2] - 1 - self._columns, self._columns)

    def shift(self, down: Tensor, right: Tensor) -> None:
        """Move by whole pixels (B, int64 each); what leaves the image is lost."""
        self._show(self._rows - down[:, None, None], self._columns - right[:, None, None])

    def roll(self, down: Tensor, right: Tensor) -> None:
        """Move by whole pixels (B, int64 each); what leaves on one side comes in on the other."""
        _, height, width = self.size
        self._show((self._rows - down[:, None, None]) % height, (self._columns - right[:, None, None]) % width)

    def affine(self, matrices: Tensor) -> None:
        """Apply B x 2 x 2 matrices (float64, on row and column about the centre); each pixel takes the nearest."""
        centre_row, centre_column = (self.size[1] - 1) / 2, (self.size[2] - 1) / 2
        # Result -> source is the inverse map.
        inverse = torch.linalg.inv(matrices)[:, :, :, None, None]
        rows, columns = self._rows - centre_row, self._columns - centre_column
        # floor(x + 1/2) and not round(x): halves must all go the same way, or a row would be shown twice.
        self._show(
            (inverse[:, 0, 0] * rows + inverse[:, 0, 1] * columns + centre_row + 0.5).floor().long(),
            (inverse[:, 1, 0] * rows + inverse[:, 1, 1] * columns + centre_column + 0.5).floor().long(),
        )

    def cut(self, covered: Tensor) -> None:
        """Empty the pixels where `covered` (B x H x W, bool), in the coordinates of the result."""
        self._empty = self._empty | covered

    def _show(self, rows: Tensor, columns: Tensor) -> None:
        # What has left the image is marked at once: a later move must not bring it back.
        _, height, width = self.size
        self.cut((rows < 0) | (rows >= height) | (columns < 0) | (columns >= width))
        self._rows, self._columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)

    def __call__(self, images: Tensor, fill: float) -> Tensor:
        """Apply to B x ... x H x W of any type; `fill` where nothing is shown. The input is left alone."""
        batch, height, width = self.size
        pixels = images.flatten(-2)
        between = [1] * (images.ndim - 3)
        index = (self._rows * width + self._columns).view(batch, *between, -1)
        empty = self._empty.view(batch, *between, height, width)
        index, empty = sent(index, images.device), sent(empty, images.device)
        return pixels.gather(-1, index.expand_as(pixels)).view(images.shape).masked_fill_(empty, fill)


def boxes(rectangles: Tensor, height: int, width: int) -> Tensor:
    """B x height x width, true inside each sample's rectangle; parts outside the image are cut off.

    Args:
        rectangles: 4 x B, int64: top, left, and the sides down and right.
        height: of the image, pixels.
        width: of the image, pixels.
    """
    top, left, down, right = rectangles[:, :, None]
    rows, columns = torch.arange(height), torch.arange(width)
    inside_rows, inside_columns = (rows >= top) & (rows < top + down), (columns >= left) & (columns < left + right)
    return inside_rows[:, :, None] & inside_columns[:, None, :]
