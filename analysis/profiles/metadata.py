"""Which model was run, and on which data."""

from dataclasses import dataclass

#: Of profiles and of the JSON that commands write: it grows, and never renames.
SCHEMA = 1


@dataclass(frozen=True)
class ModelInfo:
    """What was run: name, parameters in use, time steps T (None: not known), the checkpoint with its SHA-256."""

    name: str
    parameters: int
    time_steps: int | None
    checkpoint: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class DataInfo:
    """What it was run on. `kind` is "static" (an image repeated T times) or "events" (T frames)."""

    name: str
    split: str | None
    images: int
    kind: str = "static"
