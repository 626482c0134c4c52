"""What the operands of an account hold: shares of the dense operations by class of values, and what real ones cost."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.rows import LayerAccount
from saformer.analysis.profiles import Operation, Profile, ValueClass
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.analysis.profiles.values import rank

#: Share of the energy from which real values beyond the first layer are named.
NAMED_FROM = 0.01


def gate_class(operation: Operation, static: bool) -> ValueClass:
    """The class of what gates an operation; event frames are sums of events, scaled at most, and never real."""
    kind = operation.gate.kind
    return ValueClass.AVERAGED if operation.first and not static and kind is ValueClass.REAL else kind


def worst_class(layers: Iterable[LayerAccount]) -> ValueClass | None:
    """The class that costs most among those of several operations; None where none is known."""
    return max((layer.kind for layer in layers if layer.kind is not None), key=rank, default=None)


def class_shares(layers: Sequence[LayerAccount]) -> dict[ValueClass, float]:
    """Share of the dense operations whose gate is of each class, in the order of the classes; those that are 0 left
    out.
    """
    dense = sum(layer.flops for layer in layers)
    sums = {kind: sum(layer.flops for layer in layers if layer.kind is kind) for kind in ValueClass}
    return {kind: flops / dense for kind, flops in sums.items() if flops}


@dataclass(frozen=True)
class RealValues:
    """Operations beyond the first layer that multiply because what they read is real.

    Args:
        names: of them.
        energy_mj: that they are charged, per image.
        as_acs_mj: what they would be charged as accumulates at their nonzero rate.
        share: of the whole energy.
    """

    names: tuple[str, ...]
    energy_mj: float
    as_acs_mj: float
    share: float


def real_values(layers: Iterable[LayerAccount], energy_mj: float, ac_mj: float) -> RealValues | None:
    """What real operands beyond the first layer cost; None where that is no more than 1 % of the energy.

    Args:
        layers: of an account.
        energy_mj: of all of them.
        ac_mj: of one accumulate.
    """
    found = [x for x in layers if x.kind is ValueClass.REAL and not x.first and x.macs and x.energy_mj]
    energy = sum(layer.energy_mj or 0.0 for layer in found)
    if not energy > NAMED_FROM * energy_mj:
        return None
    as_acs = sum(layer.sops for layer in found) * ac_mj
    return RealValues(tuple(layer.name for layer in found), energy, as_acs, energy / energy_mj)


def steps_from(profile: Profile) -> StepsFrom | None:
    """Where T was read, as far as the profile says."""
    said = profile.run.get("time_steps_from")
    return next((each for each in StepsFrom if each == said and profile.model.time_steps is not None), None)


def input_shape(profile: Profile) -> tuple[int, ...] | None:
    """Shape of one image or recording, as far as the profile says."""
    shape = profile.run.get("input_shape")
    return tuple(shape) if isinstance(shape, list) and all(isinstance(size, int) for size in shape) else None


def taken_for(profile: Profile) -> str:
    """What the input is taken for, in words."""
    shape = profile.run.get("input_shape")
    if profile.data.kind == "static":
        whole = str(profile.run.get("dtype")).startswith("int")
        what = "tokens" if whole and isinstance(shape, list) and len(shape) == 1 else "static images"
    else:
        what = "spike trains" if isinstance(shape, list) and len(shape) == 2 else "event frames"
    return f"{what} (given)" if profile.run.get("kind_from") == StepsFrom.GIVEN else what


def starred(names: Iterable[str]) -> tuple[str, ...]:
    """The names, numbers of repeated blocks replaced by a star, each once."""
    return tuple(dict.fromkeys(re.sub(r"(?<=\.)\d+(?=\.|$)", "*", name) for name in names))
