"""What the page says: every table and figure of the paper that can be made from the given profiles, beside its own."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from saformer.analysis.accounting.account import Account
from saformer.analysis.accounting.hardware import Hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.diagnostics.spike_driven import audit
from saformer.analysis.profiles import Profile
from saformer.analysis.profiles.origin import MEASURED, UNTRAINED, provenance
from saformer.reports.document.blocks import Facts, Heading, Line, Part, Picture, Report, Verbatim
from saformer.reports.document.numbers import energy, interval, percent
from saformer.reports.document.table import Column, Table, number
from saformer.reports.figures.accountings import accountings_figure
from saformer.reports.figures.attention import attention_figure
from saformer.reports.figures.comparison import comparison_figure
from saformer.reports.figures.complexity import formula_panels, measured_panels, scaling_figure
from saformer.reports.figures.energy import energy_figure
from saformer.reports.figures.raster import raster_figure
from saformer.reports.figures.rates import firing_rates, rates_figure
from saformer.reports.figures.relative_difference import relative_figure
from saformer.reports.figures.sweep import sweep_figure
from saformer.reports.results.comparison import ComparisonRow, comparison_rows, published_rows
from saformer.reports.results.literature import published_ablation
from saformer.reports.results.sweep import Sweep, sweep_report
from saformer.reports.tables.accountings import accountings_report
from saformer.reports.tables.attention import attention_report
from saformer.reports.tables.audit import audit_report
from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table
from saformer.reports.tables.complexity import complexity_parts
from saformer.reports.tables.energy import energy_report, neuron_table

if TYPE_CHECKING:
    from torch import Tensor

    from saformer.analysis.complexity.benchmark import Measurement
    from saformer.analysis.complexity.formulas import Attention, Sizes
    from saformer.analysis.diagnostics.attention_maps import Inspection


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
) -> Report:
    """The whole page.

    Args:
        subjects: networks, at least one.
        hardware: its picojoules are charged throughout.
        accounting: of all tables but those that compare accountings.
        ours: names of the networks that Eq. 21 compares with; in a data set without any of them it is the first.
        command: that made the page.
        more: sections that stand before the origins of the numbers, each opened by its heading.
    """
    accounts = [{name: s.profile.account(name, hardware) for name in ACCOUNTINGS} for s in subjects]
    rows = {
        name: comparison_rows([(s.name, each[name]) for s, each in zip(subjects, accounts, strict=True)], ours)
        for name in [accounting, *(name for name in ACCOUNTINGS if name != accounting)]
    }
    return Report(
        [
            *_opening(rows[accounting], accounting, hardware),
            *_overview(rows, accounting),
            *(
                part
                for subject, each in zip(subjects, accounts, strict=True)
                for part in _network(subject, each, accounting, hardware)
            ),
            *_published(rows[accounting]),
            *more,
            *_origins(subjects, command),
        ]
    )


def _opening(rows: Sequence[ComparisonRow], accounting: str, hardware: Hardware) -> list[Part]:
    """The result in a few sentences."""
    parts: list[Part] = []
    for row in rows:
        value, half_width = interval(row.energy_mj, row.energy_ci95)
        error = f" ± {half_width}" if half_width else ""
        accuracy = "" if row.top1 is None else f", top-1 accuracy {percent(row.top1, decimals=2)}"
        untrained = " Its weights are random: the numbers say nothing about a trained network." * (
            row.origin == UNTRAINED
        )
        parts.append(Line(f"{row.name} on {row.data}: {value}{error} mJ per image{accuracy}.{untrained}"))
    parts.append(
        Line(
            f"Accounting {accounting}, on {hardware.name}. All numbers are per image, over all T time steps; ± is a "
            "confidence interval of the mean over images.",
            "dim",
        )
    )
    return parts


def _overview(rows: dict[str, list[ComparisonRow]], accounting: str) -> list[Part]:
    shown = rows[accounting]
    names = ", ".join(row.name for row in shown)
    parts: list[Part] = [
        Heading("Overview"),
        comparison_table(shown),
        Picture(
            "comparison",
            comparison_figure(shown),
            "Bars of the energy per image and, beside them, markers of the top-1 accuracy: "
            + "; ".join(f"{r.name} on {r.data} {energy(r.energy_mj)}, {percent(r.top1, 2)}" for r in shown),
            f"Energy per image and top-1 accuracy of {names}; accounting {accounting}.",
        ),
        Heading("The same networks under every accounting", 3),
        accountings_comparison_table(rows),
    ]
    if any(row.energy_mj > 0 for row in shown):
        parts.append(
            Picture(
                "accountings",
                accountings_figure(rows),
                "Energy per image on a logarithmic axis, one row for each accounting, one marker for each network: "
                + "; ".join(f"{name} {energy(found[0].energy_mj)}" for name, found in rows.items())
                + f" for {shown[0].name}",
                "The same integers under each accounting. Only the rule changes between rows of the figure.",
            )
        )
    return parts


def _network(subject: Subject, accounts: Mapping[str, Account], accounting: str, hardware: Hardware) -> list[Part]:
    """What one network does and costs."""
    account = accounts[accounting]
    slug = Heading(subject.name).anchor
    parts: list[Part] = [Heading(f"{subject.name} on {account.data.name}"), *energy_report(account, layers=True).parts]
    if account.layers:
        largest = max(account.layers, key=lambda layer: layer.energy_mj or 0.0)
        share = (largest.energy_mj or 0.0) / account.energy_mj if account.energy_mj > 0 else math.nan
        parts.append(
            Picture(
                f"{slug}-energy",
                energy_figure(account),
                f"Bars of the energy of {len(account.layers)} operations and, on the same rows, the firing rate of "
                f"their inputs. The largest is {largest.name} with {percent(share)} of {energy(account.energy_mj)}",
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
        *accountings_report(list(accounts.values())).parts[1:],  # what was run stands above
        Heading(f"Is {subject.name} spike-driven?", 3),
        *audit_report(audit(subject.profile, hardware)).parts,
    ]
    return parts


def _published(rows: Sequence[ComparisonRow]) -> list[Part]:
    """Tables 1 to 3 and Figures 2 and 3 of the paper, with what was measured on the same data sets laid beside."""
    published = published_rows()
    theirs = {row.data for row in published}
    beside = [row for row in rows if row.data in theirs]
    together = [row for data in dict.fromkeys(r.data for r in published) for row in _both(data, beside, published)]
    parts: list[Part] = [
        Heading("The paper's tables, published beside measured"),
        Line(
            "Published numbers are copied from the SAFormer paper and were not measured here; energies marked implied "
            "were solved by Eq. 21 from a reduction that its text states."
        ),
    ]
    if not beside:
        data = ", ".join(dict.fromkeys(row.data for row in rows))
        parts.append(
            Line(f"The paper has no numbers for {data}: nothing measured can stand beside its own.", "warning")
        )
    parts += [
        Heading("Tables 1 and 2: accuracy and energy", 3),
        comparison_table(together),
        Heading("Figures 2 and 3: relative difference", 3),
        Picture(
            "relative-difference",
            relative_figure(together),
            "Bars of Eq. 21 for energy and accuracy, a panel for each data set; published numbers hollow, measured "
            "ones filled. Positive energies mean that SAFormer needs less",
            "Relative difference (Eq. 21) of energy and accuracy against SAFormer, as published"
            + (" and as measured here." if beside else "."),
        ),
        Heading("Table 3: ablation of SASA", 3),
        _ablation(),
    ]
    return parts


def complexity_section(
    attentions: "Sequence[Attention]", sizes: "Sizes", hardware: Hardware, measurement: "Measurement | None"
) -> list[Part]:
    """Tables 4 and 5 as formulas and numbers, and what was measured of them."""
    over_tokens = [replace(sizes, tokens=64 * 2**i) for i in range(9)]
    names = ", ".join(attention.title for attention in attentions)
    parts: list[Part] = [
        Heading("Complexity: Tables 4 and 5"),
        *complexity_parts(attentions, sizes, hardware, measurement),
        Picture(
            "complexity",
            scaling_figure(formula_panels(attentions, over_tokens, hardware)),
            f"Dense operations and energy of {names} over the number of tokens from 64 to 16384, both axes "
            "logarithmic, by the formulas",
            f"The formulas over the number of tokens, at D = {sizes.dim}, T = {sizes.time_steps} and a firing rate of "
            f"{percent(sizes.rate)} everywhere.",
        ),
    ]
    if measurement is not None:
        parts.append(
            Picture(
                "complexity-measured",
                scaling_figure(measured_panels(attentions, measurement)),
                f"Time and peak memory of the modules of {names}, measured over the number of tokens and over the "
                "dimension, both axes logarithmic",
                "Time and peak memory of the real modules as measured; the tables above have the fitted exponents.",
            )
        )
    return parts


def attention_section(inspections: "Mapping[str, Inspection]", image: "Tensor", title: str) -> list[Part]:
    """Figure 4: where the attention of each network lies on one image, and what fires."""
    names = ", ".join(inspections)
    parts: list[Part] = [
        Heading("Figure 4: attention maps"),
        *attention_report(inspections, title).parts,
        Picture(
            "attention",
            attention_figure(inspections, image, title),
            f"Attention of {names} over {title}, a row of maps for each block: the mean over time, then each time step",
            f"Attention maps of {names} over {title}; docs/figures.md says what a map shows.",
        ),
    ]
    for name, inspection in inspections.items():
        parts.append(
            Picture(
                f"{Heading(name).anchor}-raster",
                raster_figure(inspection.trains, f"{name}: {title}"),
                f"Spike raster of {name} on {title}: {len(inspection.trains)} layers, a mark where a neuron fires at a "
                "time step",
                f"Spikes of every layer of {name} on the same image.",
            )
        )
    return parts


def sweep_section(sweep: Sweep) -> list[Part]:
    """Figure 5 (time steps) or 6 (aggregated tokens)."""
    number_of_figure, what = ("5", "time steps") if sweep.parameter == "time_steps" else ("6", "aggregated tokens")
    name = sweep.points[0].account.model.name
    values = "; ".join(
        f"{point.value}: {percent(point.account.accuracy.top1 if point.account.accuracy else None, 2)}, "
        f"{energy(point.account.energy_mj)}"
        for point in sweep.points
    )
    return [
        Heading(f"Figure {number_of_figure}: {what}"),
        *sweep_report(sweep).parts,
        Picture(
            f"sweep-{sweep.parameter.replace('_', '-')}",
            sweep_figure(sweep),
            f"Accuracy and costs of {name} over {what}: {values}",
            f"{name} over {what}, measured here; the table above has the numbers.",
        ),
    ]


def _both(data: str, measured: Sequence[ComparisonRow], published: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    return [row for row in [*measured, *published] if row.data == data]


def _ablation() -> Table:
    published = published_ablation()
    data_sets = list(dict.fromkeys(published.dataset))
    columns = [
        Column("model"),
        *(number(data, key=f"{data}_top1_accuracy", write=lambda value: percent(value, 2)) for data in data_sets),
    ]
    by_model = published.pivot(index="model", columns="dataset", values="top1_percent")
    rows = [
        [model, *(float(by_model.loc[model, data]) / 100 for data in data_sets)]
        for model in dict.fromkeys(published.model)
    ]
    meaning = "A: aggregation of the tokens; D: depthwise convolution. Measured: saformer ablate --train."
    return Table("Top-1 accuracy as published", columns, rows, [meaning])


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
    origin = provenance(subject.profile.account())
    if origin == MEASURED:
        return "counted while the network ran on the data"
    return "from random weights" if origin == UNTRAINED else "from firing rates that were given; nothing was run"
