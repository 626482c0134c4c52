"""From a Profile to an Account: Eqs. 18-20 (or another accounting) times a hardware table, with an error bar."""

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from math import isfinite
from typing import TypedDict

from saformer.analysis.accounting.account import (
    MJ_PER_PJ,
    Account,
    Accuracy,
    LayerAccount,
    NeuronAccount,
)
from saformer.analysis.accounting.classes import NAMED_FROM, gate_class, input_shape, starred, steps_from, taken_for
from saformer.analysis.accounting.hardware import DEFAULT_HARDWARE, Hardware, load_hardware
from saformer.analysis.accounting.rows import none_known
from saformer.analysis.accounting.rules import (
    DEFAULT_ACCOUNTING,
    Accounting,
    Charge,
    Context,
    get_accounting,
)
from saformer.analysis.accounting.slopes import picojoules, slopes
from saformer.analysis.profiles import FreeArithmetic, Neurons, Profile
from saformer.analysis.profiles.chains import chains_of, folding_of
from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError
from saformer.text import nearest

# Operations that a note names before it counts the others.
_NAMED = 3


class Choices(TypedDict, total=False):
    """What `account_for` takes beside an accounting and a hardware, by the same names."""

    first_layer: str
    graded: str | None
    rate_at: str
    leave_out: Sequence[str]


def _not_covered(layers: Sequence[LayerAccount], hardware: Hardware) -> list[str]:
    """The note on operations whose MACs the hardware has no energy for, if there are any."""
    left_out = [layer for layer in layers if layer.energy_mj is None]
    if not left_out:
        return []
    macs, acs = sum(layer.macs for layer in left_out), sum(layer.acs for layer in left_out)
    names = ", ".join(layer.name for layer in left_out[:_NAMED])
    more = f" ({len(left_out) - _NAMED} more)" if len(left_out) > _NAMED else ""
    counts = f"{macs:,.0f} MACs" + (f" and the {acs:,.0f} ACs beside them" if acs else "")
    return [
        f"{hardware.name} has no multiply-accumulate in its table: the {counts} per image of {names}{more} "
        "are not in the energy"
    ]


def _beside(item: FreeArithmetic | Neurons, charged: Charge, images: int, hardware: Hardware) -> LayerAccount:
    """A row for something that is not a synaptic operation, under an accounting that charges it."""
    operand = item.operand if isinstance(item, FreeArithmetic) else None
    elements = item.elements if operand is None else operand.elements
    nonzero = elements if operand is None else operand.nonzero
    cost = picojoules(charged, hardware)
    return LayerAccount(
        name=item.name,
        op=item.op if isinstance(item, FreeArithmetic) else "neurons",
        flops=0.0,
        input_elements=elements / images,
        input_nonzero=nonzero / images,
        firing_rate=nonzero / elements if elements else 0.0,
        binary=False if operand is None else operand.binary,
        sops=0.0,
        sops_exact=0.0,
        macs=charged.macs / images,
        acs=charged.acs / images,
        energy_mj=None if cost is None else cost / images * MJ_PER_PJ,
    )


def context_for(
    profile: Profile,
    first_layer_once: bool = False,
    unroll: bool = False,
    first_layer: str = "repeat",
    graded: str | None = None,
    rate_at: str = "input",
) -> Context:
    """What accountings may know of a profile, under these answers; arguments as of `account_for`.

    Raises:
        InputError: unrolled events of a profile that was recorded without them.
    """
    graded = "unroll" if unroll else graded
    if graded == "unroll" and not profile.run.get("graded"):
        raise InputError("the profile was recorded without integer events: record it with --graded unroll")
    return Context(
        static=profile.data.kind == "static",
        time_steps=profile.model.time_steps or 1,
        first_layer="once" if first_layer_once else first_layer,
        graded=graded,
        rate_at=rate_at,
        passes=profile.passes,
        images=profile.images,
        operations={operation.name: operation for operation in profile.operations},
        neurons={layer.name: layer for layer in profile.neurons},
    )


def account_for(
    profile: Profile,
    accounting: str = DEFAULT_ACCOUNTING,
    hardware: str | Hardware = DEFAULT_HARDWARE,
    first_layer_once: bool = False,
    unroll: bool = False,
    confidence: float | None = None,
    *,
    first_layer: str = "repeat",
    graded: str | None = None,
    rate_at: str = "input",
    leave_out: Sequence[str] = (),
) -> Account:
    """One profile under one accounting on one hardware; all numbers per image.

    Args:
        profile: the recorded integers.
        accounting: a registered name.
        hardware: a table, or the name or path of one.
        first_layer_once: the same as `first_layer="once"`.
        unroll: the same as `graded="unroll"`.
        confidence: of the interval; default 95 %, or more where a run that looked repeatedly asked for it.
        first_layer: "repeat", "once" or "mac", see `Context`.
        graded: "rate", "unroll" or "mac", see `Context`; None, as the accounting says.
        rate_at: "input" or "output", see `Context`.
        leave_out: patterns of names (`head`, `patch_embed.*`): these operations are not charged.

    Raises:
        InputError: unknown accounting or hardware; unrolled events of a profile that was recorded without them; a
            pattern that matches nothing.
    """
    charge = get_accounting(accounting)
    table = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    profile, left_out = without(profile, leave_out)
    context = context_for(profile, first_layer_once, unroll, first_layer, graded, rate_at)
    level = confidence or profile.run.get("confidence", 0.95)
    layers = _layers(profile, charge, context, table, level)
    if not all(isfinite(layer.energy_mj) for layer in layers if layer.energy_mj is not None):
        raise InputError(
            f"the energy is beyond what a number can hold: {table.name} has {table.ac_pj:g} pJ for an accumulate and "
            f"{'nothing' if table.mac_pj is None else f'{table.mac_pj:g} pJ'} for a multiply-accumulate"
        )
    half_width = None
    if not layers or any(layer.energy_mj is not None for layer in layers):
        half_width = profile.moments.half_width(slopes(profile, charge, context, table), level)
    notes = [*profile.notes, *left_out, *_remarks(profile, charge, context, layers), *_chains(profile, layers)]
    if none_known(layers):
        notes.append(f"the accounting {accounting} knows no operation of this network, and charges nothing")
    return Account(
        model=profile.model,
        data=profile.data,
        accounting=accounting,
        hardware=table,
        accuracy=_accuracy(profile),
        layers=tuple(layers),
        neurons=_neurons(profile),
        energy_mj_ci95=None if half_width is None else half_width * MJ_PER_PJ,
        ci_unit=None if half_width is None else profile.unit,
        ci_level=None if half_width is None else level,
        uncounted=profile.uncounted,
        notes=(*notes, *_not_covered(layers, table)),
        origin=profile.origin,
        steps_from=steps_from(profile),
        taken_for=taken_for(profile),
        input_shape=input_shape(profile),
        num_classes=profile.run.get("classes"),
    )


def _chains(profile: Profile, layers: Sequence[LayerAccount]) -> list[str]:
    """A note on linear layers that read another's result, with nothing between; none where they cost 1 % or less."""
    chains = chains_of(profile)
    after = {name for chain in chains for name in chain.then}
    whole = sum(layer.energy_mj or 0.0 for layer in layers)
    cost = sum(layer.energy_mj or 0.0 for layer in layers if layer.name in after and layer.macs)
    if not cost > NAMED_FROM * whole:
        return []
    names = starred(name for chain in chains for name in chain.then)
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return [
        f"linear layers with nothing between: {shown} read real values of the layer before, {cost / whole:.1%} of the "
        f"energy; {folding_of(chains)}"
    ]


def without(profile: Profile, patterns: Sequence[str]) -> tuple[Profile, list[str]]:
    """The profile without the operations that a pattern matches, by name or by module, and a note on them."""
    if not patterns:
        return profile, []
    kept, counters, position, left = [], [0], 1, []
    for operation in profile.operations:
        width = len(operation.operands) + 1
        if any(_matches(operation.name, pattern) for pattern in patterns):
            left.append(operation)
        else:
            kept.append(operation)
            counters += range(position, position + width)
        position += width
    for pattern in patterns:
        if not any(_matches(o.name, pattern) for o in left):
            close = nearest(pattern, (operation.name for operation in profile.operations))
            raise InputError(f"--leave-out {pattern} matches no operation{close}: see `saformer flops` for their names")
    counters += range(position, len(profile.moments.sums))
    share = sum(o.dense for o in left) / max(sum(o.dense for o in profile.operations), 1)
    note = f"left out by --leave-out: {', '.join(o.name for o in left[:_NAMED])}"
    note += f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return (
        replace(profile, operations=tuple(kept), moments=profile.moments.of_counters(counters)),
        [f"{note}, {share:.1%} of the dense operations"],
    )


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _layers(
    profile: Profile, charge: Accounting, context: Context, table: Hardware, level: float
) -> list[LayerAccount]:
    """A row for each operation, then for what else the accounting charges."""
    layers, images = [], profile.images
    counter = 1  # of the moments: the nonzeros of the operation's first operand
    for operation in profile.operations:
        charged = charge(operation, context)
        cost = picojoules(charged, table)
        gate = operation.gate
        width = profile.moments.counter_half_width(counter + operation.gating, level)
        counter += len(operation.operands) + 1
        layers.append(
            LayerAccount(
                name=operation.name,
                op=operation.op,
                flops=operation.dense / images,
                input_elements=gate.elements / images,
                input_nonzero=gate.nonzero / images,
                firing_rate=gate.firing_rate,
                binary=gate.binary,
                sops=operation.sops / images,
                sops_exact=operation.events / images,
                macs=charged.macs / images,
                acs=charged.acs / images,
                energy_mj=None if cost is None else cost / images * MJ_PER_PJ,
                firing_rate_ci95=width * images / gate.elements if width is not None and gate.elements else None,
                kind=gate_class(operation, context.static),
                unit=gate.unit,
                levels=gate.levels,
                first=operation.first,
            )
        )
    beside: list[FreeArithmetic | Neurons] = [*profile.free, *profile.neurons]
    for item in beside:
        charged = charge(item, context)
        if charged.macs or charged.acs:
            layers.append(_beside(item, charged, images, table))
    return layers


def _neurons(profile: Profile) -> tuple[NeuronAccount, ...]:
    images = profile.images
    return tuple(
        NeuronAccount(
            n.name,
            n.elements / images,
            n.spikes / images,
            n.spikes / n.elements if n.elements else 0.0,
            tuple(spikes / images for spikes in n.per_step),
        )
        for n in profile.neurons
    )


def _accuracy(profile: Profile) -> Accuracy | None:
    """Of random weights none: it would say nothing of the network."""
    right = profile.hits
    if right is None or not right.labelled or profile.origin == Origin.UNTRAINED:
        return None
    return Accuracy(right.top1 / right.labelled, None if right.top5 is None else right.top5 / right.labelled)


def _remarks(profile: Profile, charge: Accounting, context: Context, layers: Sequence[LayerAccount]) -> list[str]:
    """What a reader must know of the charges."""
    notes = []
    every_step = replace(context, first_layer="repeat")
    first = [o for o in profile.operations if o.first] if context.first_layer == "once" else []
    if any(charge(o, context) != charge(o, every_step) for o in first):
        notes.append("the first layer is charged for one time step, not T: its output is the same at every step")
    elif first and context.static and all(o.one_step(context.images, context.time_steps) == 1.0 for o in first):
        notes.append(
            "the first layer was seen to run once per image, not T times: it is charged as it ran, and --first-layer "
            "once changes nothing"
        )
    if not profile.operations:
        notes.append(
            "not one operation was seen: the model computes nothing, or where PyTorch's dispatcher does not look "
            "(other threads, as DataParallel uses; code outside PyTorch)"
        )
    if any(x.values is None for o in profile.operations for x in o.operands):
        notes.append(
            "the profile was saved by an earlier version, which looked for zeros and ones alone: what holds other "
            "values is taken for sums or averages of spikes"
        )
    return notes
