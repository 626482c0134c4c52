"""The head of the page: for each network what it costs, where, how sure that is, and whether it is spike-driven."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.account import Account
from saformer.analysis.diagnostics.spike_driven import Audit
from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.blocks import Line, Part
from saformer.reports.document.numbers import EnergyUnit, level, percent, si
from saformer.reports.document.table import Align, Cell, Column, Row, Table
from saformer.reports.tables.energy import blocks

# With more networks each gets a line, and the rest stands in its section.
_CARDS = 5
_NAMED = 3  # blocks in words
_TINY = 0.001


@dataclass(frozen=True)
class Summary:
    """One network, all that the head of the page says of it.

    Args:
        name: what it is called.
        section: the heading of what the page says of it.
        accounts: under every accounting, by its name.
        audit: whether it is spike-driven.
    """

    name: str
    section: str
    accounts: Mapping[str, Account]
    audit: Audit


def summary_parts(found: Sequence[Summary], accounting: str, unit: EnergyUnit) -> list[Part]:
    """A sentence on what the numbers are, and a row for each network."""
    accounts = [each.accounts[accounting] for each in found]
    hardware = accounts[0].hardware
    data = list(dict.fromkeys(account.data.name for account in accounts))
    several = len(data) > 1
    where = "" if several else f" on {data[0]}"
    accuracies = any(account.accuracy is not None for account in accounts)
    long = len(found) <= _CARDS
    columns = [
        Column("network"),
        Column("energy per image", align=Align.right),
        Column("where it goes"),
        Column("how sure"),
        *([Column("top-1", align=Align.right)] if accuracies else []),
        Column("spike-driven"),
    ]
    rows = []
    for each, account in zip(found, accounts, strict=True):
        name = f"{each.name}, {account.data.name}" if several else each.name
        cells = [
            Cell(name, name, link=each.section),
            Cell(account.energy_mj, unit.text(account.energy_mj, account.energy_mj_ci95)),
            _where(account, long),
            _how_sure(each, account, unit, long),
            *([_accuracy(account)] if accuracies else []),
            _spike_driven(each.audit, long),
        ]
        rows.append(Row(cells))
    sentence = f"Energy of one inference{where}, over all T time steps: accounting {accounting} on {hardware.name}."
    if any(account.energy_mj_ci95 for account in accounts):
        sentence += f" ± is the {level(accounts[0].ci_level)} interval of the mean over images."
    return [Line(sentence), Table("", columns, rows, cards=long)]


def _where(account: Account, long: bool) -> Cell:
    """The shares of the blocks, the largest first."""
    energies = {
        name: sum(layer.energy_mj or 0.0 for layer in members) for name, members in blocks(account.layers).items()
    }
    total = sum(energies.values())
    if not total > 0:
        return Cell(None, "nothing that this hardware has an energy for" if account.layers else "no operation")
    shares = sorted(((name, energy / total) for name, energy in energies.items()), key=lambda pair: -pair[1])
    shares = [pair for pair in shares if pair[1] >= _TINY]
    named = shares[: _NAMED if long else 1]
    words = ", ".join(f"{name} {share:.0%}" for name, share in named)
    if rest := len(shares) - len(named):
        words += f", {rest} more {sum(share for _, share in shares[len(named) :]):.0%}" if long else ""
    return Cell(shares[0][0], words, shares=shares)


def _how_sure(each: Summary, account: Account, unit: EnergyUnit, long: bool) -> Cell:
    """What the numbers rest on, how wide the interval is, and what other accountings say."""
    if account.origin == Origin.UNTRAINED:
        basis = "random weights"
    elif account.origin == Origin.RATES:
        basis = "given firing rates"
    else:
        basis = f"{si(account.data.images)} image{'s' * (account.data.images != 1)}"
    words = []
    if account.energy_mj_ci95 is not None and account.energy_mj > 0:
        words.append(f"±{percent(account.energy_mj_ci95 / account.energy_mj)}, {basis}")
    else:
        words.append(f"{basis}, no interval")
    if account.uncounted:
        words.append(f"not counted: {', '.join(account.uncounted)}")
    if long:
        others = [other.energy_mj for other in each.accounts.values() if other.energy_mj == other.energy_mj]
        if others:
            words.append(f"{unit.text(min(others))} to {unit.text(max(others))} by other accountings")
    return Cell(account.energy_mj_ci95, "; ".join(words))


def _accuracy(account: Account) -> Cell:
    known = account.accuracy is not None and account.origin == Origin.MEASURED
    top1 = account.accuracy.top1 if known and account.accuracy else None
    return Cell(top1, percent(top1, decimals=2))


def _spike_driven(audit: Audit, long: bool) -> Cell:
    """The verdict; where it is no, how much has other input."""
    answer, _, why = audit.verdict.partition(": ")
    short = "yes" if audit.spike_driven else "no"
    return Cell(audit.spike_driven, f"{short}: {why}" if long and why else short if answer else audit.verdict)
