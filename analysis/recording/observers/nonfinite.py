"""Infinities and NaN in a forward pass: an error that names the layer where they arise."""

from math import isfinite

import torch
from torch import Tensor

from saformer.devices import numbers
from saformer.errors import InputError


class FiniteCheck:
    """Looks at tensors as they are computed; the first that holds an infinity or NaN is an error.

    The sum of a tensor costs little, and is not finite if an element is not. On a CPU it is looked at at once; on any
    other device it is kept, and all are read together by `settle`, because reading one waits for the device.
    """

    def __init__(self) -> None:
        self._answers: list[tuple[str, Tensor]] = []

    def watch(self, x: Tensor, what: str) -> None:
        """Look at `x`.

        Args:
            x: any tensor; only floating-point ones are looked at.
            what: words that begin the sentence, such as "the result of conv1 holds".

        Raises:
            InputError: it holds an infinity or NaN.
        """
        if not x.is_floating_point() or not x.numel() or x.device.type == "meta":
            return
        if x.device.type != "cpu":
            # Finite numbers of up to four bytes have a finite sum in float64, which Apple's GPUs lack; others may not.
            summed = x.itemsize <= 4 and x.device.type != "mps"
            told = x.sum(dtype=torch.float64) if summed else 1 / torch.isfinite(x).all().to(torch.float32)
            self._answers.append((what, told))
            return
        total = float(x.sum(dtype=None if x.itemsize > 2 else torch.float32))
        if not isfinite(total) and not bool(torch.isfinite(x).all()):  # a sum of finite numbers may overflow, too
            _complain(what)

    def watch_result(self, x: Tensor, what: str) -> None:
        """Look at what the model puts out; minus infinity may be meant there: log of zero, a class ruled out."""
        self.watch(x.masked_fill(x == -torch.inf, 0), what)

    def settle(self) -> None:
        """Read the answers that were kept.

        Raises:
            InputError: one of the tensors held an infinity or NaN; the first is named.
        """
        answers, self._answers = self._answers, []
        for (what, _), value in zip(answers, numbers([answer for _, answer in answers]), strict=True):
            if not isfinite(value):
                _complain(what)


def _complain(what: str) -> None:
    raise InputError(
        f"{what} values that are not finite (inf or nan), so its counts would mean nothing: check the data and the "
        "weights, or compute in float64 if they are finite"
    )
