"""Which model was run, and on which data."""

from dataclasses import dataclass
from enum import StrEnum

#: Of profiles and of the JSON that commands write: it grows, and never renames.
SCHEMA = 1


class StepsFrom(StrEnum):
    """Where T was read: `time_steps_from` in the settings of a run. `kind_from` is the first, where somebody said."""

    GIVEN = "given"
    CHECKPOINT = "checkpoint"
    SETTINGS = "settings"  # of one of our own models, untrained
    DEFAULT = "default"  # the checkpoint does not say
    FRAMES = "frames"  # of the data
    LAYERS = "layers"  # how often those that read spikes ran


@dataclass(frozen=True)
class ModelInfo:
    """What was run: name, parameters in use, time steps T (None: not known), the checkpoint with its SHA-256.

    `label` is what the user calls it, if anything.
    """

    name: str
    parameters: int
    time_steps: int | None
    checkpoint: str | None = None
    sha256: str | None = None
    label: str | None = None

    @property
    def title(self) -> str:
        """What tables and figures call it."""
        return self.label or self.name


@dataclass(frozen=True)
class DataInfo:
    """What it was run on. `kind` is "static" (an image repeated T times) or "events" (T frames)."""

    name: str
    split: str | None
    images: int
    kind: str = "static"
