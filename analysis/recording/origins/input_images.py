"""The network's input: what images hold, and whether they are given as they are or as spikes drawn from them."""

from collections.abc import Iterable

from torch import Tensor

from saformer.analysis.recording.operations.execution import Instruments


class InputImages:
    """Follows the images of a run into the network."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self.elements = 0  # of all images
        self._drawn: set[int] = set()  # which inputs are spikes that were drawn from the images
        self._coloured = False  # images hold other values than zeros and ones: so far, and in this batch
        self._coloured_now = False

    def start_batch(self, inputs: Iterable[Tensor], images: Tensor) -> None:
        """Announce a forward pass over a batch of images, from which these input tensors were made."""
        counter = self._instruments.counter
        self._coloured_now = not counter.holds_binary(images)
        self._coloured |= self._coloured_now
        self.elements += images.numel()
        given = list(inputs)
        for i, x in enumerate(given):
            self._instruments.finite.watch(x, "the input holds")
            # Spikes that were drawn from an image are the image no more.
            if x is not images and self._coloured_now and counter.holds_binary(x):
                self._drawn.add(i)
        self.enter(given)

    @property
    def drawn(self) -> tuple[int, ...]:
        """Which inputs are spikes that were drawn from the images."""
        return tuple(sorted(self._drawn))

    def enter(self, inputs: Iterable[Tensor]) -> None:
        """The network is given these tensors."""
        for i, x in enumerate(inputs):
            self._instruments.lineage.enter(x, raw=i not in self._drawn)

    def shown_in(self, operands: Iterable[Tensor]) -> bool:
        """Whether what an operation reads of the input holds other values than zeros and ones."""
        return self._coloured_now and not all(map(self._instruments.counter.holds_binary, operands))

    def read_by(self, raw: bool, image: bool) -> bool:
        """Whether an operation reads the image itself, and not spikes that the model drew from it.

        Args:
            raw: it read the network's input alone.
            image: that held other values than zeros and ones.
        """
        return raw and (image or not self._coloured)
