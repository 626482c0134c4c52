"""Events, and how they become T frames: by equal number or by equal time, as SpikingJelly cuts them."""

from dataclasses import dataclass

import numpy as np

from saformer.errors import InputError

#: H and W of the DVS128 sensor, which recorded both event sets.
SENSOR = 128

SPLIT_BY = ("number", "time")


@dataclass(frozen=True)
class Events:
    """N events in the order of their file.

    Args:
        t: microseconds, int64.
        x: column, 0 to 127.
        y: row, 0 to 127, counted from the top.
        p: polarity, 0 or 1: the channel of the frame that counts the event.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    def __len__(self) -> int:
        return len(self.t)

    def between(self, start: int, stop: int) -> "Events":
        """The events with start <= t < stop."""
        inside = (self.t >= start) & (self.t < stop)
        return Events(self.t[inside], self.x[inside], self.y[inside], self.p[inside])


@dataclass(frozen=True)
class FrameSettings:
    """How events become frames.

    Args:
        time_steps: T, how many frames.
        split_by: "number" (each frame holds floor(N / T) events, the last one the rest as well) or "time" (each
            frame spans floor((t[N-1] - t[0]) / T) microseconds, the last one to the end).
        size: H = W of a frame, a divisor of 128; below 128 it sums squares of pixels.

    Raises:
        InputError: a value that cannot be used.
    """

    time_steps: int = 16
    split_by: str = "number"
    size: int = SENSOR

    def __post_init__(self) -> None:
        if self.time_steps < 1:
            raise InputError(f"--time-steps must be at least 1, got {self.time_steps}")
        if self.split_by not in SPLIT_BY:
            raise InputError(f"unknown --split-by {self.split_by!r}: choose {' or '.join(SPLIT_BY)}")
        if self.size < 1 or SENSOR % self.size:
            sizes = ", ".join(str(SENSOR >> k) for k in range(8))
            raise InputError(f"event frames of {self.size} pixels cannot be made: --image-size must be one of {sizes}")


def integrate(events: Events, settings: FrameSettings) -> np.ndarray:
    """Count the events of each frame: T x 2 x H x W integers.

    By number this is `integrate_events_by_fixed_frames_number` of SpikingJelly, the protocol of Spikformer and of
    the Spike-driven Transformer; by time also, but for a span without events, where that fails: here it is an
    empty frame. The sum is the number of events; by time, only where the clock does not jump back.

    Raises:
        InputError: no events, or split by time where the clock runs backwards.
    """
    size = settings.size
    shrink = SENSOR // size
    pixel = (events.p.astype(np.int64) * size + events.y // shrink) * size + events.x // shrink
    bins = 2 * size * size
    frames = np.empty((settings.time_steps, bins), np.int64)
    for frame, (first, end) in zip(frames, _segments(events.t, settings), strict=True):
        frame[:] = np.bincount(pixel[first:end], minlength=bins)
    return frames.reshape(-1, 2, size, size)


def shrink_frames(frames: np.ndarray, size: int) -> np.ndarray:
    """Frames of 128 x 128 pixels as `integrate` would have made them with that size."""
    shrink = SENSOR // size
    return frames if shrink == 1 else frames.reshape(-1, 2, size, shrink, size, shrink).sum((3, 5))


def _segments(t: np.ndarray, settings: FrameSettings) -> list[tuple[int, int]]:
    """First event and end of each frame."""
    steps, count = settings.time_steps, len(t)
    if not count:
        raise InputError("it holds no events")
    if settings.split_by == "number":
        each = count // steps
        return [(step * each, count if step == steps - 1 else (step + 1) * each) for step in range(steps)]
    span = int(t[-1]) - int(t[0])
    if span < 0:
        raise InputError("its last event is earlier than its first: give --split-by number")
    each = max(span // steps, 1)
    segments = []
    for step in range(steps):
        start, last = int(t[0]) + step * each, step == steps - 1
        # Clocks that jump back exist: a frame reaches from the first event of its span to the last, as in SpikingJelly.
        inside = np.flatnonzero((t >= start) & (t < start + each))
        if last and not len(inside):
            inside = np.flatnonzero(t >= start)
        if len(inside):
            segments.append((int(inside[0]), count if last else int(inside[-1]) + 1))
        else:
            segments.append((0, 0))
    return segments
