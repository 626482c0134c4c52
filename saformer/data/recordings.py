"""One recorded file of an event set, in any of its forms, and the frames of the samples in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from saformer.data.aedat import read_aedat2, read_aedat3
from saformer.data.frames import SENSOR, Events, FrameSettings, integrate, shrink_frames
from saformer.data.npz import open_npz
from saformer.errors import InputError
from saformer.files import read_bytes

_RECORDING = 2**31  # bytes; those of the two sets have 2**28 at most


@dataclass(frozen=True)
class Sample:
    """One labelled sample of a recording.

    Args:
        label: its class, from 0.
        name: file name SpikingJelly gives it; with the label it decides the order of a data set.
        window: microseconds of its first event and of the end, or None for the whole recording.
        origin: where label and window were read.
    """

    label: int
    name: str
    window: tuple[int, int] | None = None
    origin: str = ""


@dataclass(frozen=True)
class Recording:
    """A file with the samples in it; `form` is a key of `READERS`, or "frames" for frames that were made before."""

    path: Path
    form: str
    samples: tuple[Sample, ...]

    def frames(self, settings: FrameSettings) -> Iterator[tuple[Sample, np.ndarray]]:
        """Each sample with its frames, T x 2 x H x W integers.

        Raises:
            InputError: the file cannot be read, is damaged, or has no events for a sample.
        """
        where = str(self.path)
        if self.form == "frames":
            yield self.samples[0], shrink_frames(_read_frames(self.path, settings), settings.size)
            return
        events = READERS[self.form](self.path)
        for sample in self.samples:
            part = events if sample.window is None else events.between(*sample.window)
            if sample.window is not None and not len(part):
                raise InputError(
                    f"{where} holds no events from {sample.window[0]} to {sample.window[1]} microseconds, as "
                    f"{sample.origin} says: is the file cut short?"
                )
            try:
                yield sample, integrate(part, settings)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None


def _arrays(path: Path, names: tuple[str, ...]) -> list[np.ndarray]:
    """Arrays of an .npz file, each a plain array of numbers."""
    with open_npz(path, "make or copy it again") as archive:
        for name in names:
            if name not in archive.names:
                held = ", ".join(archive.names[:8]) or "nothing"
                raise InputError(f"{path} has no array {name!r} (it holds {held}): was it written by SpikingJelly?")
        return [archive.array(name) for name in names]


def _read_events(path: Path) -> Events:
    """Events that SpikingJelly saved: t, x, y and p in an .npz file."""
    arrays = dict(zip("txyp", _arrays(path, ("t", "x", "y", "p")), strict=True))
    count = arrays["t"].shape
    for name, array in arrays.items():
        if array.ndim != 1 or array.shape != count or array.dtype.kind not in "iub":
            shape = " x ".join(map(str, array.shape))
            raise InputError(f"{path}: {name} is {shape} of {array.dtype}, not a row of integers as long as t")
    for name, limit in (("x", SENSOR), ("y", SENSOR), ("p", 2)):
        wrong = (arrays[name] < 0) | (arrays[name] >= limit)
        if wrong.any():
            first = int(wrong.argmax())
            raise InputError(f"{path}: {name}[{first}] is {arrays[name][first]}, outside 0 to {limit - 1}")
    t, x, y, p = (arrays[name] for name in "txyp")
    return Events(t.astype(np.int64), x.astype(np.uint8), y.astype(np.uint8), p.astype(np.uint8))


def _read_frames(path: Path, settings: FrameSettings) -> np.ndarray:
    """Frames that SpikingJelly made of events: T x 2 x 128 x 128 counts, stored as floating numbers."""
    (frames,) = _arrays(path, ("frames",))
    wanted = (settings.time_steps, 2, SENSOR, SENSOR)
    if frames.shape != wanted:
        shapes = [" x ".join(map(str, shape)) for shape in (frames.shape, wanted)]
        raise InputError(f"{path}: frames is {shapes[0]}, expected {shapes[1]}")
    # Counts of 32-bit floats are exact below 2^24, far above any recording here.
    if frames.dtype == np.float16:  # ends below 2^24
        frames = frames.astype(np.float32)
    if frames.dtype.kind not in "iubf" or not ((frames >= 0) & (frames < 2**24) & (frames == np.floor(frames))).all():
        raise InputError(f"{path}: frames holds numbers that are no counts of events: make it again with SpikingJelly")
    return frames.astype(np.int64)


#: form of a recording -> its reader.
READERS: dict[str, Callable[[Path], Events]] = {
    "aedat2": lambda path: read_aedat2(read_bytes(path, most=_RECORDING), str(path)),
    "aedat3": lambda path: read_aedat3(read_bytes(path, most=_RECORDING), str(path)),
    "events": _read_events,
}
