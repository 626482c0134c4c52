"""What the page says: every table and figure of the paper that can be made from the given profiles."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.energy import Choices
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.diagnostics.spike_driven import Audit, audit
from saformer.analysis.profiles import Profile
from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.blocks import Facts, Heading, Line, Part, Picture, Report, Verbatim
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.rates import firing_rates, rates_figure
from saformer.reports.page.published import published_section
from saformer.reports.results.comparison import ComparisonRow, comparison_rows
from saformer.reports.tables.accountings import accountings_report
from saformer.reports.tables.audit import audit_report
from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table
from saformer.reports.tables.energy import energy_report
from saformer.reports.tables.neurons import neuron_table


@dataclass(frozen=True)
class Subject:
    """One network of the page.

    Args:
        name: what it is called; different from the others' names.
        profile: its integers.
        source: the checkpoint, model name or saved profile that it came from.
    """

    name: str
    profile: Profile
    source: str


def page(
    subjects: Sequence[Subject],
    hardware: Hardware,
    accounting: str,
    ours: Sequence[str],
    command: str,
    more: Sequence[Part] = (),
    choices: Choices | None = None,
) -> Report:
    """The whole page.

    Args:
        subjects: networks, at least one.
        hardware: its picojoules are charged throughout.
        accounting: of all tables but those that compare accountings.
        ours: names of the networks that Eq. 21 compares with; in a data set without any of them it is the first.
        command: that made the page.
        more: sections that stand before the origins of the numbers, each opened by its heading.
        choices: what the accountings leave open, as of `account_for`.
    """
    choices = choices or {}
    accounts = [{name: s.profile.account(name, hardware, **choices) for name in ACCOUNTINGS} for s in subjects]
    rows = {
        name: comparison_rows([(s.name, each[name]) for s, each in zip(subjects, accounts, strict=True)], ours)
        for name in [accounting, *(name for name in ACCOUNTINGS if name != accounting)]
    }
    unit = page_unit([s.profile for s in subjects], hardware, accounting, choices)
    return Report(
        [
            *_opening(rows[accounting], accounting, hardware, unit),
            *_overview(rows, accounting, unit),
            *(
                part
                for subject, each in zip(subjects, accounts, strict=True)
                for part in _network(subject, each, accounting, audit(subject.profile, hardware, **choices), unit)
            ),
            *published_section(rows[accounting]),
            *more,
            *_origins(subjects, command),
        ]
    )


def page_unit(
    profiles: Iterable[Profile], hardware: Hardware, accounting: str, choices: Choices | None = None
) -> EnergyUnit:
    """The unit of every energy on the page: that of the dearest network under the accounting of its tables."""
    return energy_unit(*(each.account(accounting, hardware, **(choices or {})).energy_mj for each in profiles))


def _opening(rows: Sequence[ComparisonRow], accounting: str, hardware: Hardware, unit: EnergyUnit) -> list[Part]:
    """The result in a few sentences."""
    parts: list[Part] = []
    for row in rows:
        accuracy = "" if row.top1 is None else f", top-1 accuracy {percent(row.top1, decimals=2)}"
        untrained = " Its weights are random: the numbers say nothing about a trained network." * (
            row.origin == Origin.UNTRAINED
        )
        parts.append(
            Line(
                f"{row.name} on {row.data}: {unit.text(row.energy_mj, row.energy_ci95)} per image{accuracy}.{untrained}"
            )
        )
    parts.append(
        Line(
            f"Accounting {accounting}, on {hardware.name}. All numbers are per image, over all T time steps; ± is a "
            "confidence interval of the mean over images.",
            "dim",
        )
    )
    return parts


def _overview(rows: dict[str, list[ComparisonRow]], accounting: str, unit: EnergyUnit) -> list[Part]:
    shown = rows[accounting]
    names = ", ".join(row.name for row in shown)
    parts: list[Part] = [
        Heading("Overview"),
        comparison_table(shown, unit),
        Picture(
            "comparison",
            comparison_figure(shown, unit),
            "Bars of the energy per image and, beside them, markers of the top-1 accuracy: "
            + "; ".join(f"{r.name} on {r.data} {unit.text(r.energy_mj)}, {percent(r.top1, 2)}" for r in shown),
            f"Energy per image and top-1 accuracy of {names}; accounting {accounting}.",
        ),
        Heading("The same networks under every accounting", 3),
        accountings_comparison_table(rows, unit),
    ]
    if any(row.energy_mj > 0 for row in shown):
        parts.append(
            Picture(
                "accountings",
                accountings_figure(rows, unit),
                "Energy per image on a logarithmic axis, one row for each accounting, one marker for each network: "
                + "; ".join(f"{name} {unit.text(found[0].energy_mj)}" for name, found in rows.items())
                + f" for {shown[0].name}",
                "The same integers under each accounting. Only the rule changes between rows of the figure.",
            )
        )
    return parts


def _network(
    subject: Subject, accounts: Mapping[str, Account], accounting: str, audited: Audit, unit: EnergyUnit
) -> list[Part]:
    """What one network does and costs."""
    account = accounts[accounting]
    slug = Heading(subject.name).anchor
    parts: list[Part] = [Heading(f"{subject.name} on {account.data.name}"), *energy_report(account, True, unit).parts]
    if account.layers:
        largest = max(account.layers, key=lambda layer: layer.energy_mj or 0.0)
        share = (largest.energy_mj or 0.0) / account.energy_mj if account.energy_mj > 0 else math.nan
        parts.append(
            Picture(
                f"{slug}-energy",
                energy_figure(account, unit),
                f"Bars of the energy of {len(account.layers)} operations and, on the same rows, the firing rate of "
                f"their inputs. The largest is {largest.name} with {percent(share)} of {unit.text(account.energy_mj)}",
                f"Energy and firing rate of each operation of {subject.name}; the table above has the numbers.",
            )
        )
    parts += [Heading(f"Firing rates of {subject.name}", 3), neuron_table(account)]
    if account.neurons:
        means = [
            (sum(rates) / len(rates), n.name) for rates, n in zip(firing_rates(account), account.neurons, strict=True)
        ]
        (low, lowest), (high, highest) = min(means), max(means)
        parts.append(
            Picture(
                f"{slug}-rates",
                rates_figure(account),
                f"Map of the firing rates of {len(means)} spiking layers over the time steps, from {low:.1f} % "
                f"({lowest}) to {high:.1f} % ({highest}) on average over the steps",
                f"Firing rate of each spiking layer of {subject.name} at each time step.",
            )
        )
    parts += [
        Heading(f"Accountings of {subject.name}, block by block", 3),
        *accountings_report(list(accounts.values()), unit=unit).parts[1:],  # what was run stands above
        Heading(f"Is {subject.name} spike-driven?", 3),
        *audit_report(audited, unit).parts,
    ]
    return parts


def _origins(subjects: Sequence[Subject], command: str) -> list[Part]:
    """How each number was made."""
    parts: list[Part] = [Heading("How each number was made"), Verbatim(command)]
    for subject in subjects:
        profile = subject.profile
        model, run = profile.model, profile.run
        facts = [
            ("source", subject.source),
            ("numbers", _meaning(subject)),
            ("checkpoint", f"{model.checkpoint}, SHA-256 {model.sha256}" if model.checkpoint else "none"),
            ("data", f"{profile.data.name}, {profile.data.split or 'one'} split, {profile.images:,} images"),
            *((key.replace("_", " "), str(value)) for key, value in run.items()),
        ]
        parts += [Heading(subject.name, 3), Facts(facts)]
    return parts


def _meaning(subject: Subject) -> str:
    origin = subject.profile.origin
    if origin == Origin.MEASURED:
        return "counted while the network ran on the data"
    return "from random weights" if origin == Origin.UNTRAINED else "from firing rates that were given; nothing was run"
