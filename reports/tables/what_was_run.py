"""What stands around the tables of an account: what was run, what it read, and whether every operation was counted."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.classes import starred
from saformer.analysis.diagnostics.spike_driven import Audit
from saformer.analysis.profiles.metadata import StepsFrom
from saformer.reports.document.blocks import Facts, Line, note
from saformer.reports.document.numbers import NOT_KNOWN, EnergyUnit, energy_unit, percent, si
from saformer.text import some


def what_was_run(account: Account, accounting: str | None = None, unit: EnergyUnit | None = None) -> Facts:
    """Model, checkpoint, data, accounting and accuracy; `accounting` replaces the account's own name."""
    model, data, hardware = account.model, account.data, account.hardware
    known_as = model.name if model.label is None else f"{model.label} ({model.name})"
    facts = [("model", f"{known_as}, {si(model.parameters)} parameters")]
    if model.checkpoint is not None:
        digest = f", SHA-256 {model.sha256[:12]}..." if model.sha256 else ""
        facts.append(("checkpoint", Path(model.checkpoint).name + digest))
    split = f", {data.split} split" if data.split else ""
    facts.append(("data", f"{data.name}{split}, {_images(data.images)}"))
    facts += [(line.label.removesuffix(": "), line.text) for line in what_was_read(account, unit)]
    mac = NOT_KNOWN if hardware.mac_pj is None else f"{hardware.mac_pj:g} pJ"
    costs = f"MAC {mac}, AC {hardware.ac_pj:g} pJ"
    facts.append(("accounting", f"{accounting or account.accounting}, on {hardware.name}: {costs}"))
    if account.accuracy is not None:
        top5 = account.accuracy.top5
        second = "" if top5 is None else f", top-5 {percent(top5, decimals=2)}"
        facts.append(("accuracy", f"top-1 {percent(account.accuracy.top1, decimals=2)}{second}"))
    return Facts(facts)


def what_was_read(account: Account, unit: EnergyUnit | None = None, steps: bool = True) -> list[Line]:
    """A line on what the input is taken for, its shape, the classes, T, and the shares of the dense operations by the
    class of what gates them; a second one where real values beyond the first layer cost more than 1 % of the energy.

    Args:
        account: of one network.
        unit: of the energies; that of the account's own where it is not given.
        steps: with T and where it was read.
    """
    what = account.taken_for or ("static images" if account.data.kind == "static" else "event frames")
    if account.input_shape:
        what += f" of {' x '.join(map(str, account.input_shape))}"
    if account.num_classes is not None:
        what += f", {account.num_classes:,} classes"
    if steps:
        known, where = account.model.time_steps, account.steps_from
        what += f", T = {known or NOT_KNOWN}{'' if where is None else _STEPS_FROM[where]}"
        what += "" if known else " (not seen: --time-steps T says it)"
    shares = ", ".join(f"{kind} {percent(share)}" for kind, share in account.classes.items())
    lines = [Line(f"{what}; dense operations: {shares}" if shares else what, label="input: ")]
    real = account.real_values
    if real is not None:
        names = some(starred(real.names))
        unit = unit or energy_unit(account.energy_mj)
        instead = f"{unit.text(real.as_acs_mj)} as ACs at their rate"
        cost = f"{unit.text(real.energy_mj)}, {percent(real.share)} of the energy ({instead})"
        lines.append(Line(f"{names}: {cost}", label="real values: "))
    return lines


def what_each_read(
    accounts: Iterable[tuple[str, Account]], unit: EnergyUnit | None = None, steps: bool = True
) -> list[Line]:
    """The same of several networks by name; once, without names, where it is the same of all."""
    groups: dict[tuple[Line, ...], list[str]] = {}
    accounts = list(accounts)
    unit = unit or energy_unit(*(account.energy_mj for _, account in accounts))
    for name, account in accounts:
        groups.setdefault(tuple(what_was_read(account, unit, steps)), []).append(name)
    return [
        line if len(groups) == 1 else replace(line, label=f"{', '.join(names)}, {line.label}")
        for lines, names in groups.items()
        for line in lines
    ]


_STEPS_FROM = {
    StepsFrom.GIVEN: " as given",
    StepsFrom.CHECKPOINT: " from the checkpoint",
    StepsFrom.SETTINGS: " from its settings",
    StepsFrom.DEFAULT: " by default",
    StepsFrom.FRAMES: " frames",
    StepsFrom.LAYERS: " as its layers ran",
}


def remarks(account: Account) -> list[str]:
    """What a reader must know of the numbers, where the account is one of several: its notes, and what is missing."""
    return [*account.notes, *([account.coverage] if account.uncounted else [])]


def remarks_of_several(accounts: Iterable[tuple[str, Account]], saved: Mapping[str, Collection[str]]) -> list[Line]:
    """The remarks on several networks, each once, with the names of those it is about where it is not about all.

    Args:
        accounts: of the networks by name.
        saved: remarks that were made when a profile was saved, by the network's name: what was said at another time, of
            another command, should not be taken for a remark on this one.
    """
    about: dict[tuple[str, str], list[str]] = {}
    names = []
    for name, account in accounts:
        names.append(name)
        for text in dict.fromkeys(remarks(account)):
            when = ", when it was saved" if text in saved.get(name, ()) else ""
            about.setdefault((text, when), []).append(name)
    return [
        note(text, about="" if who == names and len(names) > 1 and not when else ", ".join(who) + when)
        for (text, when), who in about.items()
    ]


def counted(of: Account | Audit) -> Line:
    """Whether every operation was counted, or which were not."""
    return Line(of.coverage, "warning" if of.uncounted else "dim")


def _images(images: int) -> str:
    return "1 image" if images == 1 else f"{images:,} images"
