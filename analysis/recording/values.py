"""Measures the values of a tensor: are its magnitudes whole multiples of one unit, of the tensor or of each channel?"""

import torch
from torch import Tensor

from saformer.analysis.profiles.values import Values, common_unit
from saformer.analysis.recording.sources import Evidence, Source
from saformer.analysis.recording.storage_map import StorageMap

_GLANCE = 4096  # elements that settle most cases
_ROUNDS = 4  # looks at what did not fit, each with a finer unit
_PASS = 1 << 20


def tolerance(dtype: torch.dtype) -> float:
    """How far a magnitude may lie from a whole multiple, relative to it."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return 0.0
    eps = torch.finfo(dtype).eps
    return 2 * eps if dtype in (torch.float16, torch.bfloat16) else 4 * eps


def of_ones(nonzero: int, linear: bool = True) -> Values:
    """Values of zeros and so many ones."""
    return Values(linear=linear, unit=1.0, levels=1, magnitudes=1, total=nonzero) if nonzero else Values(linear=linear)


class ValueMeter:
    """Measures each tensor once: results are kept by storage until `forget` or `clear`."""

    def __init__(self) -> None:
        self._known: StorageMap[dict[tuple[object, ...], Values]] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that was written into."""
        self._known.discard(x)

    def measure(self, x: Tensor, source: Source | None, channel: int) -> Values:
        """What is seen of the values of `x`.

        Args:
            x: an activation, or a constant that is read like one.
            source: where it comes from; None for a constant.
            channel: the dimension of its channels.
        """
        evidence = Evidence.NONE if source is None else source.evidence
        linear = source is not None and source.linear
        if evidence is Evidence.REAL:
            return Values("real", linear)
        known = self._known.get(x)
        if known is None:
            known = self._known[x] = {}
        key = (x.storage_offset(), x.shape, x.stride(), channel)
        if key not in known:
            known[key] = _measured(x, channel)
        seen = known[key]
        names = {Evidence.SPIKES: "spikes", Evidence.NONE: "none"}
        multiples = seen.multiples and not (x.dtype is torch.bfloat16 and evidence is Evidence.NONE)
        return Values(**{**vars(seen), "evidence": names[evidence], "linear": linear, "multiples": multiples})


def _measured(x: Tensor, channel: int) -> Values:
    x = x.dequantize() if x.is_quantized else x.detach()
    magnitudes = x.abs() if x.dtype is not torch.bool else x.to(torch.float32)
    if not magnitudes.is_floating_point():
        magnitudes = magnitudes.to(torch.float64)
    flat, allowed = magnitudes.reshape(-1), tolerance(x.dtype)
    nonzero = flat[:: max(flat.numel() // _GLANCE, 1)]
    nonzero = nonzero[nonzero > 0]
    if not nonzero.numel():
        nonzero = flat[flat > 0][:_GLANCE]
    if not nonzero.numel():
        return Values(tolerance=allowed)
    negative = not x.is_complex() and x.dtype is not torch.bool and bool((x < 0).any())
    unit: float | None = None
    for _ in range(_ROUNDS):
        unit = _unit(nonzero, unit, allowed)
        if unit is None:
            break
        levels, least, total, rest = _multiples(flat, unit, allowed)
        if rest is None:
            if least == levels:
                unit, total, levels = unit * levels, total // levels, 1
            magnitudes_seen = 1 if least == levels or levels == 1 else 2
            return Values(
                unit=unit,
                levels=levels,
                magnitudes=magnitudes_seen,
                negative=negative,
                total=total,
                tolerance=allowed,
            )
        nonzero = rest
    channels = _channel_units(magnitudes, channel, allowed)
    return Values(magnitudes=2, negative=negative, multiples=False, channels=channels, tolerance=allowed)


def _unit(values: Tensor, unit: float | None, allowed: float) -> float | None:
    """The largest number of which these (and `unit`) are whole multiples."""
    for value in values.to(torch.float64).unique().tolist():
        unit = value if unit is None else common_unit(unit, value, allowed or 1e-12)
        if unit is None:
            return None
    return unit


def _multiples(flat: Tensor, unit: float, allowed: float) -> tuple[int, int, int, Tensor | None]:
    """Largest and smallest multiple that is no zero, and the sum of all; or some values that are none."""
    levels, least, total = 0, 1 << 62, 0
    for start in range(0, flat.numel(), _PASS):
        piece = flat[start : start + _PASS].to(torch.float64) / unit
        whole = piece.round()
        wrong = (piece - whole).abs() > (allowed or 1e-12) * piece
        if bool(wrong.any()):
            return 0, 0, 0, flat[start : start + _PASS][wrong][:_GLANCE]
        levels = max(levels, int(whole.max()))
        least = min(least, int(whole[whole > 0].min())) if bool(whole.any()) else least
        total += int(whole.sum())
    return levels, least, total, None


def _channel_units(magnitudes: Tensor, channel: int, allowed: float) -> tuple[float, ...]:
    """One unit for each channel, if each holds zeros and one magnitude; empty otherwise."""
    if magnitudes.ndim < 2:
        return ()
    by_channel = magnitudes.movedim(channel, -1).reshape(-1, magnitudes.shape[channel])
    units = by_channel.amax(0)
    zero = by_channel == 0
    fits = (zero | (by_channel >= units * (1 - (allowed or 1e-12)))).all()
    silent_once = (zero.any(0) | (units == 0)).all()
    return tuple(units.tolist()) if bool(fits) and bool(silent_once) else ()
