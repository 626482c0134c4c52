"""Where the images of a batch are in a tensor: what tells them apart, and how many time steps lie beside them."""

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

_ALIKE = 1e-6  # relative: rows of the same image may be rounded otherwise in another place of a batch
Key = tuple[str, int]  # an operation or a layer of neurons, and which of its tensors


@dataclass(frozen=True)
class Layout:
    """Leading groups of a tensor.

    Args:
        steps: time steps (or whatever else is repeated) per image.
        batch: images.
        apart: the leading steps x batch rows can be told apart by image; otherwise images mix.
        batch_first: the steps of an image lie beside each other, not the images of a step.
    """

    steps: int
    batch: int
    apart: bool = True
    batch_first: bool = False

    @property
    def rows(self) -> int:
        """Leading groups to count apart."""
        return self.steps * self.batch if self.apart else 1

    def fold(self, rows: Tensor) -> Tensor:
        """One number per image (or one for the batch) from one per row."""
        if not self.apart:
            return rows
        return (
            rows.view(self.batch, self.steps).sum(1) if self.batch_first else rows.view(self.steps, self.batch).sum(0)
        )

    def per_step(self, rows: Tensor) -> Tensor:
        """One number per step from one per row; one for all steps where they cannot be told apart."""
        if not self.apart:
            return rows.sum().view(1)
        return (
            rows.view(self.batch, self.steps).sum(0) if self.batch_first else rows.view(self.steps, self.batch).sum(1)
        )


@dataclass
class ShapeLog:
    """Shapes of the tensors that one forward pass read, in order of execution."""

    batch: int = 0
    shapes: defaultdict[Key, list[torch.Size]] = field(default_factory=lambda: defaultdict(list))
    # Sums of each leading row, where a pass was asked for them: what tells the order of images and steps.
    rows: dict[tuple[Key, int], Tensor] = field(default_factory=dict)
    batch_first: dict[tuple[Key, int], bool] = field(default_factory=dict)  # as two passes showed it

    def compare(self, moved: "ShapeLog") -> None:
        """Find out how images and steps are merged in a first dimension, from a pass with the first image last."""
        for call, mine in self.rows.items():
            its = moved.rows.get(call)
            if its is None or len(its) != len(mine) or not len(mine) or len(mine) % self.batch:
                continue
            steps = len(mine) // self.batch
            time = torch.allclose(mine.view(steps, self.batch)[:, 0], its.view(steps, self.batch)[:, -1], rtol=_ALIKE)
            batch = torch.allclose(mine.view(self.batch, steps)[0], its.view(self.batch, steps)[-1], rtol=_ALIKE)
            if time != batch:
                self.batch_first[call] = batch


class Layouts:
    """Tells the layout of each tensor of a forward pass.

    With T known, sizes tell: T x B, T*B or B. With T unknown they do not: a first dimension of B may be T, too. Then a
    second forward pass with another number of images shows which dimension grows with it. Of a stranger's model both
    are asked.

    Args:
        time_steps: T, if activations are laid out time first; None if nobody said.
        other: shapes of a pass with another number of images; None if there was none.
        time_first: of k*T*B rows it is known that time comes first, then images: nothing else is merged before them.
        noting_rows: keep what tells the order of images and steps, for `ShapeLog.compare`.
    """

    def __init__(
        self,
        time_steps: int | None,
        other: ShapeLog | None = None,
        time_first: bool = True,
        noting_rows: bool = False,
    ) -> None:
        self.time_steps = time_steps
        self._noting_rows = noting_rows
        self._time_first = time_first
        self.log = ShapeLog()
        self._other = other
        self._axes: dict[tuple[Key, int], int | None] = {}  # which dimension grows; None: not exactly one does
        self._growing: dict[tuple[Key, int], bool] = {}  # as a batch of another size than the other pass showed it

    def start_batch(self, batch: int) -> None:
        """Announce a forward pass over `batch` images."""
        self.log = ShapeLog(batch)

    def of(self, key: Key, shape: torch.Size, stacked: bool = False, x: Tensor | None = None) -> Layout:
        """The layout of a tensor.

        Args:
            key: of what, for finding it again in the other pass.
            shape: its shape.
            stacked: images and steps can only be in the first dimension, the second holds channels.
            x: the tensor, if there is one of that shape.
        """
        seen = self.log.shapes[key]
        seen.append(shape)
        if self._noting_rows and x is not None and x.ndim > 1:
            values = x.dequantize() if x.is_quantized else x.abs() if x.is_complex() else x
            self.log.rows[key, len(seen) - 1] = values.flatten(1).sum(1, dtype=torch.float64)
        if self.time_steps is not None:
            return self._by_size(self.time_steps, (key, len(seen) - 1), shape, stacked)
        order = None if self._other is None else self._other.batch_first.get((key, len(seen) - 1))
        return self._by_axis(self._axis(key, len(seen) - 1, shape), shape, stacked, order)

    def grows(self, key: Key, shape: torch.Size) -> bool:
        """Whether a tensor has more elements for more images, as far as the other pass tells."""
        seen = self.log.shapes[key]
        seen.append(shape)
        call = key, len(seen) - 1
        others = [] if self._other is None else self._other.shapes.get(key, [])
        if self._other is not None and self._other.batch != self.log.batch and call[1] < len(others):
            self._growing[call] = _grown(shape, self.log.batch, others[call[1]], self._other.batch) is not None
        return self._growing.get(call, False)

    def _by_size(self, steps: int, call: tuple[Key, int], shape: torch.Size, stacked: bool) -> Layout:
        batch, leading = self.log.batch, shape[0] if shape else 1
        if not stacked and leading == steps and len(shape) > 1 and shape[1] == batch:
            return Layout(steps, batch, apart=self._may_hold_images(1, call, shape))
        if leading % (steps * batch) == 0 and leading >= steps * batch:
            apart = self._time_first or leading == steps * batch  # heads, say, may be merged before or after
            batch_first = self._other is not None and self._other.batch_first.get(call, False)
            return Layout(steps, batch, apart and self._may_hold_images(0, call, shape), batch_first)
        return Layout(1, batch, apart=leading == batch and self._may_hold_images(0, call, shape))

    def _may_hold_images(self, axis: int, call: tuple[Key, int], shape: torch.Size) -> bool:
        """Whether the other pass says nothing against it."""
        others = [] if self._other is None else self._other.shapes.get(call[0], [])
        if self._other is None or self._other.batch == self.log.batch or call[1] >= len(others):
            return True
        return _grown(shape, self.log.batch, others[call[1]], self._other.batch) == axis

    def _axis(self, key: Key, call: int, shape: torch.Size) -> int | None:
        """The dimension that holds the images."""
        if (key, call) in self._axes:
            return self._axes[key, call]
        others = self._other.shapes.get(key, []) if self._other is not None else []
        if self._other is not None and self._other.batch != self.log.batch and call < len(others):
            axis = self._axes[key, call] = _grown(shape, self.log.batch, others[call], self._other.batch)
            return axis
        # Nothing to compare with: the first dimension, if it fits and nothing speaks against it.
        first, second = (len(shape) > d and shape[d] == self.log.batch for d in (0, 1))
        if first:
            return 0 if not second and all(axis == 0 for axis in self._axes.values()) else None
        return 1 if second and self._other is None else 0

    def _by_axis(self, axis: int | None, shape: torch.Size, stacked: bool, batch_first: bool | None) -> Layout:
        batch, leading = self.log.batch, shape[0] if shape else 1
        if axis == 0 and leading % batch == 0:
            # Of k * B rows it must be known whether images or steps come first.
            apart = leading == batch or batch_first is not None or batch == 1
            return Layout(leading // batch, batch, apart, bool(batch_first))
        if axis == 1 and not stacked:
            # T x B, or tokens before images.
            return Layout(leading, batch, apart=shape[1] == batch)
        return Layout(1, batch, apart=False)


def _grown(shape: torch.Size, batch: int, other: torch.Size, other_batch: int) -> int | None:
    """The one dimension that grows with the number of images."""
    if len(shape) != len(other):
        return None
    grown = [d for d, (size, before) in enumerate(zip(shape, other, strict=True)) if size != before]
    return grown[0] if len(grown) == 1 and shape[grown[0]] * other_batch == other[grown[0]] * batch else None
