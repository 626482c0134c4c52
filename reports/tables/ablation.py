"""The ablation of the paper's Table 3: what each part costs, and what it gains where networks were trained."""

from collections.abc import Mapping, Sequence

from saformer.analysis.profiles.origin import Origin
from saformer.reports.document.numbers import NOT_KNOWN, energy_unit, interval, percent
from saformer.reports.document.table import Align, Cell, Column, Row, Table, hidden, number
from saformer.reports.results.comparison import ComparisonRow
from saformer.reports.tables.comparison import origin_notes

_MEANINGS = (
    "w/o D: no depthwise convolution (F of Eq. 16); w/o A: no aggregation (n = N, phi the identity).",
    "SDSA: the Spike-driven Transformer of the same depth and width.",
)


def ablation_table(rows: Sequence[ComparisonRow], published: bool = False) -> Table:
    """A row for each network: parameters, FLOPs, SOPs, energy, and accuracy where it was trained.

    Args:
        rows: named as in Table 3, all on one data set.
        published: add the paper's accuracies, which are of saformer-2-512 on CIFAR.
    """
    unit, factor = energy_unit(max((row.energy_mj for row in rows if row.energy_mj == row.energy_mj), default=0.0))
    beside = _published() if published else {}
    data_sets = list(dict.fromkeys(data for data, _ in beside))
    columns = [
        Column("network"),
        hidden("model"),
        number("params", key="parameters"),
        number("FLOPs", key="flops_per_image"),
        number("SOPs", key="sops_per_image"),
        number("energy", unit, key="energy_mj_per_image", align=Align.decimal),
        hidden("energy_mj_ci95"),
        number("top-1", key="top1_accuracy"),
        Column("from", key="from", shown=any(row.origin != Origin.MEASURED for row in rows)),
        *(number(f"{data} (paper)", key=f"top1_{data}_paper") for data in data_sets),
    ]
    made = []
    for row in rows:
        half_width = None if row.energy_ci95 is None else row.energy_ci95 * factor
        value, error = interval(row.energy_mj * factor, half_width, digits=3)
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
                    Cell(row.energy_mj, value, f" ± {error}" if error else ""),
                    row.energy_ci95,
                    Cell(top1, percent(top1, decimals=2)),
                    row.origin,
                    *(_paper(beside.get((data, row.name))) for data in data_sets),
                ],
                strong=row.name == "SAFormer",
            )
        )
    notes = [*_MEANINGS, *origin_notes(row.origin for row in rows)]
    if published:
        notes.append("(paper): top-1 of networks with 2 blocks and 512 channels, Table 3; not measured here.")
    model = rows[-1].model
    return Table(f"Ablation of {model} on {rows[-1].data}", columns, made, notes)


def _published() -> Mapping[tuple[str, str], float]:
    from saformer.reports.results.literature import published_ablation

    rows = published_ablation().to_dict("records")
    return {(row["dataset"], row["model"]): row["top1_percent"] / 100 for row in rows}


def _paper(share: float | None) -> Cell:
    return Cell(share, NOT_KNOWN if share is None else percent(share, decimals=2))
