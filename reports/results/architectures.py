"""Shapes of the networks whose energies were published: of our own presets, or counted once and kept in a file."""

from dataclasses import dataclass
from functools import cache

from saformer.errors import InputError
from saformer.reports.results.literature import records


@dataclass(frozen=True)
class Architecture:
    """What follows from an architecture alone.

    Args:
        name: of the network.
        parameters: of it.
        time_steps: T.
        dense: multiply-accumulates of one image over all T steps, biases and masks left out.
        first: those of the layer that reads the image, for one step.
        first_once: that layer runs once, whatever T.
        source: what the numbers were counted on.
    """

    name: str
    parameters: int
    time_steps: int
    dense: int
    first: int
    first_once: bool
    source: str

    @property
    def first_macs(self) -> int:
        """Multiply-accumulates of the first layer over all its executions."""
        return self.first * (1 if self.first_once else self.time_steps)


PRESET = "preset"
_STEPS = 4  # of a network on the meta device: more would take long
_CLASSES = 1000  # of ImageNet, where a name says a size and no data set


@cache
def architecture(name: str, pixels: int | None, time_steps: int | None) -> Architecture | None:
    """The network of that name for inputs of that size; None where nothing here knows it.

    Args:
        name: of a preset, or of `published/networks.csv`.
        pixels: sides of an image.
        time_steps: T.
    """
    if not name or time_steps is None:
        return None
    return _preset(name, pixels, time_steps) or _counted(name, pixels, time_steps)


def _preset(name: str, pixels: int | None, time_steps: int) -> Architecture | None:
    from saformer.analysis.recording.counting.dense_shape import shape_of
    from saformer.models import PRESETS
    from saformer.models.names import parse_name

    try:
        family, _ = parse_name(name)
    except InputError:
        return None
    settings = {"image_size": pixels, "num_classes": None if name.partition("+")[0] in PRESETS else _CLASSES}
    known = family.config.types()
    given = {key: value for key, value in settings.items() if value is not None and key in known}
    if "time_steps" not in known:
        shape = shape_of(name, **given)
        return Architecture(name, shape.parameters, time_steps, shape.dense, shape.first, False, PRESET)
    shape = shape_of(name, **given, time_steps=min(time_steps, _STEPS))
    dense = shape.dense
    if time_steps > _STEPS:  # each step beyond adds the same
        dense += (time_steps - _STEPS) * (dense - shape_of(name, **given, time_steps=_STEPS - 1).dense)
    once = shape.first_runs == 1 < shape.time_steps
    return Architecture(name, shape.parameters, time_steps, dense, shape.first, once, PRESET)


def _counted(name: str, pixels: int | None, time_steps: int) -> Architecture | None:
    for row in records("networks.csv"):
        if row["network"] == name and pixels in (None, int(row["pixels"])):
            once = row["first_layer_runs"] == "once"
            dense, first = int(row["dense_macs_per_step"]), int(row["first_layer_macs_per_step"])
            total = first + (dense - first) * time_steps if once else dense * time_steps
            return Architecture(name, int(row["parameters"]), time_steps, total, first, once, row["source"])
    return None
