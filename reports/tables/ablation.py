"""What each part costs (the paper's Table 3), or each attention in one body, and what it gains where it was trained."""

from collections.abc import Mapping, Sequence

from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.numbers import NOT_KNOWN, energy_unit, percent
from saformer.reports.document.table import Cell, Column, Row, Table, energy_cells, energy_columns, hidden, number
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.tables.comparison import origin_notes

_MEANINGS = (
    "w/o D: no depthwise convolution (F of Eq. 16); w/o A: no aggregation (n = N, phi the identity).",
    "SDSA: the Spike-driven Transformer of the same depth and width.",
)
_ATTENTIONS = (
    "Embedding, shortcuts and MLP are the same; neurons stand where an attention reads or gives something else.",
)


def ablation_table(rows: Sequence[ComparisonRow], published: bool = False) -> Table:
    """A row for each network: parameters, FLOPs, SOPs, energy, and accuracy where it was trained.

    Args:
        rows: named as in Table 3 or by their attentions, all on one data set; one of them is the reference.
        published: add the paper's accuracies, which are of saformer-2-512 on CIFAR.
    """
    unit = energy_unit(*(row.energy_mj for row in rows))
    beside = _published() if published else {}
    data_sets = list(dict.fromkeys(data for data, _ in beside))
    columns = [
        Column("network"),
        hidden("model"),
        number("params", key="parameters"),
        number("FLOPs", key="flops_per_image"),
        number("SOPs", key="sops_per_image"),
        *energy_columns(unit),
        number("top-1", key="top1_accuracy"),
        Column("from", key="from", shown=any(row.origin != Origin.MEASURED for row in rows), common=True),
        *(number(f"{data} (paper)", key=f"top1_{data}_paper") for data in data_sets),
    ]
    made = []
    for row in rows:
        trained = row.origin == Origin.MEASURED
        top1 = row.top1 if trained else None
        made.append(
            Row(
                [
                    row.name,
                    row.model,
                    row.parameters,
                    row.flops,
                    row.sops,
                    *energy_cells(unit, row.energy_mj, row.energy_ci95),
                    Cell(top1, percent(top1, decimals=2)),
                    row.origin,
                    *(_paper(beside.get((data, row.name))) for data in data_sets),
                ],
                strong=row.reference,
            )
        )
    parts = any(row.name == "SDSA" for row in rows)
    notes = [*(_MEANINGS if parts else _ATTENTIONS), *origin_notes(row.origin for row in rows)]
    if published:
        notes.append("(paper): top-1 of networks with 2 blocks and 512 channels, Table 3; not measured here.")
    model = next(row.model for row in rows if row.reference)
    title = f"Ablation of {model}" if parts else f"Attentions in the body of {model}"
    return Table(f"{title} on {rows[-1].data}", columns, made, notes)


def _published() -> Mapping[tuple[str, str], float]:
    from saformer.reports.results.literature import published_ablation

    rows = published_ablation().to_dict("records")
    return {(row["dataset"], row["model"]): row["top1_percent"] / 100 for row in rows}


def _paper(share: float | None) -> Cell:
    return Cell(share, NOT_KNOWN if share is None else percent(share, decimals=2))
