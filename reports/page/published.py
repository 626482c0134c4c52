"""The paper's own tables on the page, with what was measured on the same data sets beside."""

from collections.abc import Sequence

from saformer.reports.document.blocks import Heading, Line, Part, Picture
from saformer.reports.document.numbers import MILLIJOULE, EnergyUnit, percent
from saformer.reports.document.table import Column, Table, number
from saformer.reports.figures.relative_difference import relative_figure
from saformer.reports.results.comparison import ComparisonRow, published_rows
from saformer.reports.results.literature import published_ablation
from saformer.reports.tables.comparison import comparison_table


def published_section(rows: Sequence[ComparisonRow], unit: EnergyUnit) -> list[Part]:
    """Tables 1 to 3 and Figures 2 and 3 of the paper, with what was measured on the same data sets laid beside.

    Energies are quoted as the paper prints them, in millijoules; it is said where the page has another `unit`.
    """
    published = published_rows()
    theirs = {row.data for row in published}
    beside = [row for row in rows if row.data in theirs]
    together = [row for data in dict.fromkeys(r.data for r in published) for row in _both(data, beside, published)]
    said = (
        "Published numbers are copied from the SAFormer paper and were not measured here; energies marked implied "
        "were solved by Eq. 21 from a reduction that its text states."
    )
    if unit != MILLIJOULE:
        said += (
            f" Energies of this section are in mJ, as the paper prints them; those of other sections in {unit.name}."
        )
    parts: list[Part] = [Heading("The paper's tables, published beside measured"), Line(said)]
    if not beside:
        data = ", ".join(dict.fromkeys(row.data for row in rows))
        parts.append(
            Line(f"The paper has no numbers for {data}: nothing measured can stand beside its own.", "warning")
        )
    parts += [
        Heading("Tables 1 and 2: accuracy and energy", 3),
        comparison_table(together, MILLIJOULE),
        Heading("Figures 2 and 3: relative difference", 3),
        Picture(
            "relative-difference",
            lambda: relative_figure(together),
            "Bars of Eq. 21 for energy and accuracy, a panel for each data set; published numbers hollow, measured "
            "ones filled. Positive energies mean that SAFormer needs less",
            "Relative difference (Eq. 21) of energy and accuracy against SAFormer, as published"
            + (" and as measured here." if beside else "."),
        ),
        Heading("Table 3: ablation of SASA", 3),
        _ablation(),
    ]
    return parts


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
