"""Measures the values of a tensor: are its magnitudes whole multiples of one unit, of the tensor or of each channel?"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from saformer.analysis.profiles.values import MOST_LEVELS, Values, common_unit
from saformer.analysis.recording.counting.integers import Integers
from saformer.analysis.recording.counting.looks import Counted, Look, Looks, dense, pass_size
from saformer.analysis.recording.origins.sources import Provenance, Source
from saformer.analysis.recording.origins.storage_map import StorageMap
from saformer.devices import numbers
from saformer.native.passes import fits

GLANCE = 4096  # elements that settle most cases
_HEAD = 1024  # the first elements
_ROUNDS = 4  # looks at what did not fit, each with a finer unit


@lru_cache(maxsize=64)
def tolerance(dtype: torch.dtype) -> float:
    """How far a magnitude may lie from a whole multiple, relative to it."""
    if not (dtype.is_floating_point or dtype.is_complex):
        return 0.0
    eps = torch.finfo(dtype).eps
    return 2 * eps if dtype in (torch.float16, torch.bfloat16) else 4 * eps


def of_ones(nonzero: int) -> Values:
    """Values of zeros and so many ones, which are spikes."""
    return Values(unit=1.0, levels=1, magnitudes=1, total=nonzero) if nonzero else Values()


class ValueMeter:
    """Measures each tensor once: results are kept by storage until `forget` or `clear`."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._known: StorageMap[dict[tuple[object, ...], Values]] = StorageMap()

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def forget(self, x: Tensor) -> None:
        """Void what is known of a tensor that was written into."""
        self._known.discard(x)

    def values_of(self, x: Tensor, source: Source | None, channel: int, counted: Counted) -> Callable[[], Values]:
        """The same as `measure`, quicker where counts say it all: every nonzero is a one. The tensor is looked at now
        and, where that says it all, what was seen is put in order when it is asked for.

        Args:
            x: an activation, or a constant that is read like one.
            source: where it comes from; None for a constant.
            channel: the dimension of its channels.
            counted: its nonzeros, in whatever groups, and its ones.
        """
        look = None if _is_real(source) else self._looks.seen(x)
        told = None if look is None else _told(look, tolerance(x.dtype))
        if told is not None:
            return lambda: _from(source, _of_counts(*counted()) or told)
        ones = None if _is_real(source) else _of_counts(*counted())
        values = self.measure(x, source, channel) if ones is None else _from(source, ones)
        return lambda: values

    def measure(self, x: Tensor, source: Source | None, channel: int) -> Values:
        """What is seen of the values of `x`.

        Args:
            x: an activation, or a constant that is read like one.
            source: where it comes from; None for a constant.
            channel: the dimension of its channels.
        """
        if source is not None and _is_real(source):
            return Values("real", source.linear)
        known = self._known.get(x)
        if known is None:
            known = self._known[x] = {}
        averaged = source is not None and source.averaged
        key = (x.storage_offset(), x.shape, x.stride(), channel, averaged)
        seen = known.get(key)
        if seen is None:
            seen = known[key] = _measured(x, channel, averaged, self._looks)
        seen = _from(source, seen)
        return replace(seen, multiples=False) if x.dtype is torch.bfloat16 and seen.provenance == "none" else seen


def _is_real(source: Source | None) -> bool:
    return source is not None and source.provenance is Provenance.REAL


def _from(source: Source | None, seen: Values) -> Values:
    """What was seen of values, as values from `source`, which are no real numbers."""
    if source is None:
        return replace(seen, provenance="none", linear=False, averaged=False)
    return replace(seen, provenance=source.provenance.name.lower(), linear=source.linear, averaged=source.averaged)


def _of_counts(nonzero: Tensor, ones: Integers) -> Values | None:
    """What counts say, if every nonzero is a one."""
    seen = nonzero.sum()
    count, all_ones = (int(seen), int(ones)) if ones.away is None else numbers([seen, ones.tensor()])
    return of_ones(count) if count == all_ones else None


def _told(look: Look, allowed: float) -> Values | None:
    """What a look at all elements says, where these are whole numbers and some are one; None where it does not."""
    if look.whole is None:
        return None
    low, high, total = look.whole
    levels = max(high, -low)
    if not levels:
        return Values(tolerance=allowed)
    if levels > 1 and (levels > MOST_LEVELS or not int(look.ones)):
        return None
    few = 1 if levels == 1 else 2
    return Values(unit=1.0, levels=levels, magnitudes=few, negative=low < 0, total=total, tolerance=allowed)


def _whole_numbers(x: Tensor, allowed: float, looks: Looks) -> Values | None:
    """The same of a tensor, which is looked at if a few elements show nothing else."""
    if looks.seen(x) is None:  # these tell that most are no whole numbers, at no cost
        head = x.as_strided((min(x.numel(), _HEAD),), (1,)) if fits(x) and dense(x) else None
        if head is None or not torch.equal(head, head.trunc()):
            return None
    return None if looks.whole(x, 1.0) is None else _told(looks.of(x), allowed)


def _measured(x: Tensor, channel: int, averaged: bool, looks: Looks) -> Values:
    given = x
    x = x.dequantize() if x.is_quantized else x.detach()
    allowed = tolerance(x.dtype)
    if (told := _whole_numbers(given, allowed, looks)) is not None:
        return told
    if x.is_complex():
        x = x.abs()
    elif not x.is_floating_point() or x.itemsize < 4:
        x = x.to(torch.float32 if x.itemsize < 4 else torch.float64)
    flat = x.reshape(-1)
    # The first elements and some from everywhere, read together: a GPU is waited for once.
    first = min(flat.numel(), _HEAD)
    few = torch.cat([flat[:first], flat[:: max(flat.numel() // GLANCE, 1)]]).cpu()
    # More magnitudes than channels, and no unit: neither are others among the rest of it.
    head = _magnitudes(few[:first])[1:]
    if len(head) > (x.shape[channel] if x.ndim > 1 else 0) and _unit(head, None, allowed, averaged) is None:
        negative = bool((few[:first] < 0).any()) or bool((flat < 0).any())
        return Values(magnitudes=2, negative=negative, multiples=False, tolerance=allowed)
    glance = few[first:]
    glance = glance[glance != 0]
    if not glance.numel():
        glance = flat[flat != 0][:GLANCE]
    if not glance.numel():
        return Values(tolerance=allowed)
    unit: float | None = None
    several = False
    for _ in range(_ROUNDS):
        magnitudes = _magnitudes(glance)
        unit = _unit(magnitudes, unit, allowed, averaged)
        if unit is None:
            break
        several |= len(magnitudes) > 1 and max(magnitudes) > unit * (1 + allowed)
        whole = looks.whole(given, unit)
        if whole is not None:
            low, high, total = whole
            levels, negative, rest = max(high, -low), low < 0, None
        else:
            levels, total, negative, rest = _multiples(flat, unit, allowed)
        if rest is None:
            magnitudes_seen = 2 if several or levels > 1 else 1
            return Values(
                unit=unit,
                levels=levels,
                magnitudes=magnitudes_seen,
                negative=negative,
                total=total,
                tolerance=allowed,
            )
        glance = rest
    else:
        magnitudes = _magnitudes(glance)
    negative = bool((glance < 0).any()) or bool((flat < 0).any())
    # One magnitude for each channel at most: what shows more at a glance needs no second look.
    by_channel = len(magnitudes) <= (x.shape[channel] if x.ndim > 1 else 0)
    channels = _channel_units(x.abs(), channel, allowed) if by_channel else ()
    return Values(magnitudes=2, negative=negative, multiples=False, channels=channels, tolerance=allowed)


def _magnitudes(x: Tensor) -> list[float]:
    """The different magnitudes in a few elements, the smallest first."""
    found = np.unique(x.abs().to(torch.float64).cpu().numpy(), equal_nan=False)
    finite: list[float] = found[np.isfinite(found)].tolist()
    return finite


def _unit(magnitudes: list[float], unit: float | None, allowed: float, averaged: bool) -> float | None:
    """The largest number of which these (and `unit`) are whole multiples."""
    for magnitude in magnitudes:
        if unit is None:
            unit = magnitude
            continue
        before, tolerance = unit, allowed or 1e-12
        unit = common_unit(before, magnitude, tolerance)
        if unit is None and averaged:
            unit = _of_few_levels(before, magnitude, tolerance)
        if unit is None:
            return None
    return unit


def _of_few_levels(a: float, b: float, allowed: float) -> float | None:
    """The same for up to `MOST_LEVELS` levels, however they were rounded.

    Euclid's remainders carry the rounding of all numbers before them, and of shares of a hundred places (k / 100) it is
    more than the last remainder may have: here each is known with its error, and the larger number tells the unit.
    """
    large, small = max(a, b), min(a, b)
    most, floor = large, large / (MOST_LEVELS + 0.5)
    errors = [allowed * large / 4, allowed * small / 4]
    while small > floor:
        whole = round(large / small)
        rest, error = abs(large - whole * small), errors[0] + whole * errors[1]
        if rest <= error:
            return most / round(most / small)
        large, small, errors = small, rest, [errors[1], error]
    return None


def _multiples(flat: Tensor, unit: float, allowed: float) -> tuple[int, int, bool, Tensor | None]:
    """The largest multiple, the sum of all, and whether some are negative; or some values that are no multiples."""
    levels, total, negative = 0, 0, False
    buffer = torch.empty(0, dtype=flat.dtype, device=flat.device)
    size = pass_size(flat)
    for start in range(0, flat.numel(), size):
        piece = flat[start : start + size]
        scaled = piece if unit == 1 else piece / unit
        whole = torch.round(scaled, out=buffer.resize_(piece.shape))
        if whole.device.type == "cpu":  # where comparing needs no memory, and the sum may still not be wanted
            alike, (low, high), signed = torch.equal(whole, scaled), map(float, torch.aminmax(whole)), None
        else:  # all that is asked of a piece is read together: a GPU is waited for once
            seen = (*torch.aminmax(whole), whole.sum(dtype=torch.float64), (whole == scaled).all())
            low, high, signed, alike = numbers([value.to(torch.float64) for value in seen])
        if not alike:
            wrong = ~((scaled - whole).abs() <= (allowed or 1e-12) * scaled.abs())  # not-a-number is none, either
            if bool(wrong.any()):
                return 0, 0, False, piece[wrong][:GLANCE]
        levels, negative = max(levels, int(high), -int(low)), negative or low < 0
        if signed is None or low < 0:
            signed = (whole.abs() if low < 0 else whole).sum(dtype=torch.float64)
        total += int(signed)
    return levels, total, negative, None


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
