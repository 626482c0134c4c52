"""What the page says: every table and figure of the paper that can be made from the given profiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from saformer.analysis.accounting.energy import Choices
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.diagnostics.spike_driven import audit
from saformer.analysis.profiles import Profile
from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.blocks import Facts, Heading, Part, Picture, Report, Verbatim
from saformer.reports.document.numbers import EnergyUnit, energy_unit, percent
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.page.network import network_section
from saformer.reports.page.published import published_section
from saformer.reports.page.summary import Summary, summary_parts
from saformer.reports.results.comparison import ComparisonRow, comparison_rows
from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table


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
    unit = energy_unit(*(each[accounting].energy_mj for each in accounts))
    found = [
        Summary(
            subject.name,
            f"{subject.name} on {subject.profile.data.name}",
            each,
            audit(subject.profile, hardware, **choices),
        )
        for subject, each in zip(subjects, accounts, strict=True)
    ]
    return Report(
        [
            *summary_parts(found, accounting, unit),
            *_overview(rows, accounting, unit),
            *(
                part
                for each, slug in zip(found, _slugs(subjects), strict=True)
                for part in network_section(each, slug, accounting, unit)
            ),
            *published_section(rows[accounting], unit),
            *more,
            *_origins(subjects, command),
        ]
    )


def _slugs(subjects: Sequence[Subject]) -> list[str]:
    """What the figures of each network are called: its name as far as it fits into one, and a number where it must."""
    made: list[str] = []
    for subject in subjects:
        slug = Heading(subject.name).anchor or "network"
        made.append(slug if slug not in made else f"{slug}-{len(made) + 1}")
    return made


def page_unit(
    profiles: Iterable[Profile], hardware: Hardware, accounting: str, choices: Choices | None = None
) -> EnergyUnit:
    """The unit of every energy on the page: that of the dearest network under the accounting of its tables."""
    return energy_unit(*(each.account(accounting, hardware, **(choices or {})).energy_mj for each in profiles))


def _overview(rows: dict[str, list[ComparisonRow]], accounting: str, unit: EnergyUnit) -> list[Part]:
    shown = rows[accounting]
    names = ", ".join(row.name for row in shown)
    parts: list[Part] = [
        Heading("Overview", open=True),
        comparison_table(shown, unit),
        Picture(
            "comparison",
            lambda: comparison_figure(shown, unit),
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
                lambda: accountings_figure(rows, unit),
                "Energy per image on a logarithmic axis, one row for each accounting, one marker for each network: "
                + "; ".join(f"{name} {unit.text(found[0].energy_mj)}" for name, found in rows.items())
                + f" for {shown[0].name}",
                "The same integers under each accounting. Only the rule changes between rows of the figure.",
            )
        )
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
