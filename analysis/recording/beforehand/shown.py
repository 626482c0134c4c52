"""The results of a dry run."""

from dataclasses import dataclass, field

from torch import Tensor

from saformer.analysis.recording.beforehand.batch_axis import ShapeLog


@dataclass
class Shown:
    """What a dry run shows.

    Args:
        shapes: of the tensors with another number of images; None if the model cannot run on any other.
        outside: tensors that the model keeps where nobody can look.
        changed: paths of the state that a call leaves behind.
        notes: sentences on what was found.
        as_time: the images of a batch are time steps to the model; None: it loops over them, and it is not known why.
        channels_as_time: it loops over the channels of an image.
        at_rest: the same images again give the same answers.
    """

    shapes: ShapeLog | None = None
    outside: list[Tensor] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    as_time: bool | None = False
    channels_as_time: bool = False
    at_rest: bool = True
